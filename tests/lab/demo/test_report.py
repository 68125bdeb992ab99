"""The demo's numbers come from the emulator's log and the daemon's log."""

import json
from typing import Any

from hk3s_lab.demo import report


def request(at: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of a log entry
    entry = {
        "monotonic": at,
        "time": "2026-11-23T12:00:00+00:00",
        "method": "POST",
        "template": "/servers",
        "status": 201,
        "code": None,
        "agent": "hk3s-autoscaler",
    }
    return entry | changes


def batch(closed: float) -> dict[str, Any]:
    return {"event": "pods.observed", "batch_closed": closed}


def test_a_reaction_runs_from_the_closed_batch_to_the_first_create() -> None:
    requests = [request(10.5), request(10.1), request(9.0), request(10.05, method="GET")]

    assert report.reactions([batch(10.0)], requests) == [request(10.1)["monotonic"] - 10.0]


def test_a_batch_that_bought_nothing_before_the_next_one_has_no_sample() -> None:
    samples = report.reactions([batch(10.0), batch(20.0)], [request(20.25)])

    assert samples == [0.25]


def test_calls_per_server_counts_the_autoscaler_alone_and_only_what_was_created() -> None:
    requests = [
        request(1.0),
        request(1.1),
        request(1.2, status=412, code="resource_unavailable"),
        request(1.3, method="GET", template="/actions", status=200),
        request(1.4, agent="hk3s-bootstrap"),
        request(9.0),
    ]

    assert report.calls_per_server(requests, since=0.0, until=5.0) == 2.0
    assert report.calls_per_server(requests, since=6.0, until=8.0) is None


def test_a_fallback_names_what_was_wanted_and_what_was_bought() -> None:
    events: list[dict[str, Any]] = [
        {"event": "server.create", "name": "a", "pool": "p", "offering": "cx33/fsn1"},
        {"event": "server.create", "name": "b", "pool": "p", "offering": "cx33/nbg1"},
        {"event": "server.create", "name": "a", "pool": "p", "offering": "cx33/nbg1"},
        {"event": "server.created", "name": "b", "offering": "cx33/nbg1", "fallback": False},
        {
            "event": "server.created",
            "name": "a",
            "pool": "p",
            "offering": "cx33/nbg1",
            "fallback": True,
        },
    ]

    assert report.fallbacks(events) == [
        {"name": "a", "pool": "p", "wanted": "cx33/fsn1", "bought": "cx33/nbg1"}
    ]


def test_only_creates_refused_for_lack_of_capacity_are_counted() -> None:
    requests = [
        request(1.0, status=412, code="resource_unavailable"),
        request(2.0, status=409, code="uniqueness_error"),
        request(3.0, status=412, code="resource_unavailable", template="/volumes"),
    ]

    assert report.count_refused(requests) == 1


def test_lines_that_are_no_json_objects_are_passed_over() -> None:
    lines = ["starting", '{"event": "server.joined", "seconds": 6.5}', "{broken", "[1]"]

    assert report.joins(report.parse_log(lines)) == [6.5]


def test_a_report_with_a_failure_is_not_ok_and_keeps_the_reason() -> None:
    result = report.Report(failures=["left after destroy: servers/x"])
    result.cost = report.Cost(eur_per_hour_bought=0.11, lower_bound_eur_per_hour=0.1)

    values = json.loads(result.to_json())

    assert values["ok"] is False
    assert values["failures"] == ["left after destroy: servers/x"]
    assert values["cost"]["ratio"] == 1.1
    assert any("left after destroy" in line for line in result.summary())
