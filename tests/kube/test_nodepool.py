from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from hk3s_findings.finding import Finding
from hk3s_kube import duration, nodepool, quantity
from hk3s_kube.crd import crd
from hk3s_kube.nodepool_check import (
    NodePoolInvalid,
    read,
    read_object,
)
from hk3s_kube.objects import NodePoolObject, ObjectMeta

FULL: dict[str, Any] = {
    "serverTypes": ["cx23", "cpx22"],
    "requirements": {
        "arch": ["amd64"],
        "cpuType": ["shared"],
        "minCores": 2,
        "maxCores": 8,
        "minMemory": "4Gi",
        "maxMemory": "32Gi",
    },
    "locations": ["fsn1", "nbg1"],
    "minNodes": 1,
    "maxNodes": 10,
    "limits": {"cpu": 32, "memory": "64Gi", "euroPerHour": 0.5},
    "weight": 10,
    "labels": {"team": "batch", "example.com/tier": "cheap"},
    "taints": [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}],
    "startupTaints": [{"key": "example.com/agent", "effect": "NoExecute"}],
    "image": "debian-12",
    "expireAfter": "720h",
    "terminationGracePeriod": "1h30m",
    "disruption": {
        "policy": "WhenEmpty",
        "consolidateAfter": "5s",
        "minSavings": 1.5,
        "budgets": [{"nodes": "2", "reasons": ["Empty"]}],
        "keepUntilHourEnd": False,
    },
    "joinTimeout": "10m",
}


def pool(**spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "hk3s.dev/v1alpha1",
        "kind": "NodePool",
        "metadata": {"name": "workers", "managedFields": []},
        "spec": {"maxNodes": 3, **spec},
    }


def problems(**spec: object) -> tuple[Finding, ...]:
    with pytest.raises(NodePoolInvalid) as caught:
        read(pool(**spec))
    return caught.value.problems


def schema() -> dict[str, Any]:
    found: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def test_a_pool_has_defaults_that_save_money_and_limits_that_were_asked_for() -> None:
    spec = read(pool()).spec

    assert (spec.min_nodes, spec.max_nodes, spec.weight) == (0, 3, 0)
    assert spec.disruption.policy == "WhenUnderutilized"
    assert spec.disruption.consolidate_after == timedelta(minutes=10)
    assert nodepool.micro_eur(spec.disruption.min_savings) == 2_000_000
    assert spec.disruption.keep_until_hour_end
    assert spec.disruption.budgets == (nodepool.Budget(nodes="10%"),)
    assert spec.join_timeout == timedelta(minutes=15)
    assert (spec.expire_after, spec.termination_grace_period) == (None, None)
    assert spec.image == "ubuntu-24.04"


def test_everything_that_can_be_said_is_understood() -> None:
    spec = read(pool(**FULL)).spec

    assert spec.server_types == ("cx23", "cpx22")
    assert spec.requirements.max_memory == "32Gi"
    assert spec.limits.cpu == "32"
    assert spec.limits.euro_per_hour == Decimal("0.5")
    assert spec.expire_after == timedelta(days=30)
    assert spec.termination_grace_period == timedelta(hours=1, minutes=30)
    assert spec.taints[0].effect == "NoSchedule"
    assert spec.startup_taints[0].value == ""
    assert not spec.disruption.keep_until_hour_end


def test_never_is_no_expiry() -> None:
    assert read(pool(expireAfter="Never")).spec.expire_after is None


def test_a_spec_survives_the_manifest() -> None:
    spec = read(pool(**FULL)).spec

    written = nodepool.manifest("workers", spec)

    assert read(written).spec == spec
    assert written["spec"]["terminationGracePeriod"] == "1h30m"


def test_a_manifest_says_only_what_differs_from_the_defaults() -> None:
    assert nodepool.manifest("workers", read(pool()).spec)["spec"] == {"maxNodes": 3}


def test_all_problems_are_reported_at_once_with_code_path_and_fix() -> None:
    found = problems(
        maxNodes=101,
        serverType=["cx23"],
        disruption={"consolidateAfter": "soon", "policy": "Sometimes"},
        taints=[{"key": "a"}],
    )

    assert {(problem.code, problem.key) for problem in found} == {
        ("HK3S-E203", "spec.maxNodes"),
        ("HK3S-E202", "spec.serverType"),
        ("HK3S-E203", "spec.disruption.consolidateAfter"),
        ("HK3S-E203", "spec.disruption.policy"),
        ("HK3S-E201", "spec.taints[0].effect"),
    }
    fixes = {problem.key: problem.fix for problem in found}
    assert fixes["spec.serverType"] == "did you mean serverTypes?"
    assert all(problem.fix and problem.cause for problem in found)


@pytest.mark.parametrize(
    ("spec", "code", "path"),
    [
        ({"minNodes": 4}, "HK3S-E204", "spec.minNodes"),
        (
            {"requirements": {"minCores": 4, "maxCores": 2}},
            "HK3S-E204",
            "spec.requirements.minCores",
        ),
        (
            {"requirements": {"minMemory": "4Gi", "maxMemory": "4G"}},
            "HK3S-E204",
            "spec.requirements.minMemory",
        ),
        ({"labels": {"a b": "c"}}, "HK3S-E205", "spec.labels[a b]"),
        ({"labels": {"hk3s.dev/pool": "x"}}, "HK3S-E206", "spec.labels[hk3s.dev/pool]"),
        (
            {"labels": {"kubernetes.io/arch": "arm64"}},
            "HK3S-E206",
            "spec.labels[kubernetes.io/arch]",
        ),
        (
            {"labels": {"node-role.kubernetes.io/worker": ""}},
            "HK3S-E207",
            "spec.labels[node-role.kubernetes.io/worker]",
        ),
        (
            {"taints": [{"key": "a", "effect": "NoSchedule"}] * 2},
            "HK3S-E208",
            "spec.taints",
        ),
        (
            {"startupTaints": [{"key": "/a", "effect": "NoSchedule"}]},
            "HK3S-E205",
            "spec.startupTaints",
        ),
        ({"joinTimeout": "9s"}, "HK3S-E209", "spec.joinTimeout"),
        (
            {"disruption": {"budgets": [{"nodes": "0", "schedule": "@daily"}]}},
            "HK3S-E210",
            "spec.disruption.budgets[0].duration",
        ),
        (
            {"disruption": {"budgets": [{"schedule": "daily", "duration": "8h"}]}},
            "HK3S-E203",
            "spec.disruption.budgets[0].schedule",
        ),
    ],
)
def test_a_pool_that_cannot_work_is_refused(spec: dict[str, Any], code: str, path: str) -> None:
    assert [(problem.code, problem.key) for problem in problems(**spec)] == [(code, path)]


@pytest.mark.parametrize(
    "spec",
    [
        {"minNodes": 3},
        {"requirements": {"minCores": 2, "maxCores": 2}},
        {"labels": {"node.kubernetes.io/mine": "x", "notkubernetes.io/x": "y"}},
        {
            "taints": [
                {"key": "a", "effect": "NoSchedule"},
                {"key": "a", "effect": "NoExecute"},
            ]
        },
        {"joinTimeout": "10s"},
    ],
)
def test_a_pool_at_the_boundary_is_accepted(spec: dict[str, Any]) -> None:
    assert read(pool(**spec)).metadata.name == "workers"


def test_a_stored_object_is_read_with_its_status() -> None:
    status = nodepool.NodePoolStatus(
        nodes=2,
        ready=1,
        eur_per_hour="0.0176",
        conditions=(
            nodepool.Condition(
                type="Ready",
                status="True",
                reason="Healthy",
                last_transition_time=datetime(2026, 11, 23, tzinfo=UTC),
            ),
        ),
        blocked_offerings=(
            nodepool.BlockedOffering(
                offering="cx23/fsn1",
                reason="resource_unavailable",
                until=datetime(2026, 11, 23, 12, 10, tzinfo=UTC),
            ),
        ),
        last_decision=nodepool.Decision(
            time=datetime(2026, 11, 23, tzinfo=UTC), reason="pending", message="2 pods"
        ),
    )
    written = nodepool.status_manifest("workers", status)
    stored = NodePoolObject(
        metadata=ObjectMeta(name="workers", uid="u", generation=4),
        spec={"maxNodes": 3},
        status=written["status"],
    )

    assert written["status"]["blockedOfferings"][0]["until"] == "2026-11-23T12:10:00Z"
    assert read_object(stored).status == status
    assert read_object(stored).metadata.generation == 4
    jsonschema.validate(written["status"], schema()["properties"]["status"])


def test_the_definition_takes_what_the_models_take() -> None:
    for spec in (FULL, {"maxNodes": 3}):
        jsonschema.validate({"spec": spec}, schema())


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"maxNodes": 101},
        {"maxNodes": 3, "weight": -1},
        {"maxNodes": 3, "joinTimeout": "15"},
        {"maxNodes": 3, "expireAfter": "never"},
        {"maxNodes": 3, "limits": {"memory": "64 GB"}},
        {"maxNodes": 3, "limits": {"euroPerHour": -0.1}},
        {"maxNodes": 3, "requirements": {"arch": ["x86"]}},
        {"maxNodes": 3, "taints": [{"key": "a", "effect": "Never"}]},
        {"maxNodes": 3, "disruption": {"budgets": [{"nodes": "101%"}]}},
        {"maxNodes": 3, "labels": {"a": "-"}},
    ],
)
def test_the_definition_and_the_models_refuse_the_same(spec: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"spec": spec}, schema())
    with pytest.raises(NodePoolInvalid):
        read({**pool(), "spec": spec})


def test_the_defaults_of_the_definition_are_those_of_the_models() -> None:
    properties = schema()["properties"]["spec"]["properties"]
    disruption = properties["disruption"]

    assert disruption["default"] == {}
    said = {
        name: part["default"]
        for name, part in disruption["properties"].items()
        if "default" in part
    }
    assert said == {
        "policy": "WhenUnderutilized",
        "consolidateAfter": "10m",
        "minSavings": 2.0,
        "budgets": [{"nodes": "10%"}],
        "keepUntilHourEnd": True,
    }
    assert read(pool(disruption=said)).spec == read(pool()).spec
    assert properties["joinTimeout"]["default"] == "15m"
    assert properties["minNodes"]["default"] == 0
    assert properties["expireAfter"]["default"] == "Never"


def walk(node: object) -> list[dict[str, Any]]:
    """Return every schema below one."""
    found: list[dict[str, Any]] = []
    if isinstance(node, dict):
        if "properties" in node or "type" in node:
            found.append(node)
        children = [*node.get("properties", {}).values()]
        children += [node[key] for key in ("items", "additionalProperties") if key in node]
        for child in children:
            found.extend(walk(child))
    return found


def test_the_schema_is_structural() -> None:
    for part in walk(schema()):
        assert "type" in part or part.get("x-kubernetes-int-or-string")
        assert not {"$ref", "$defs", "title", "const", "oneOf", "allOf"} & part.keys()
        assert part.get("additionalProperties") is not False
        assert part.get("type") != "null"
        assert part.get("default", "") is not None
        assert not ({"properties", "additionalProperties"} <= part.keys())


def test_kubectl_shows_what_a_person_asks_first() -> None:
    version = crd()["spec"]["versions"][0]

    assert [column["name"] for column in version["additionalPrinterColumns"]] == [
        "Nodes",
        "Ready",
        "Max",
        "EUR-h",
        "Age",
        "Status",
        "Message",
    ]
    assert version["subresources"] == {"status": {}}
    assert crd()["metadata"]["name"] == "nodepools.hk3s.dev"
    assert crd()["spec"]["scope"] == "Cluster"


@pytest.mark.parametrize(
    ("text", "seconds", "shortest"),
    [
        ("90s", 90, "1m30s"),
        ("1h30m", 5400, "1h30m"),
        ("1.5h", 5400, "1h30m"),
        ("720h", 2592000, "720h"),
        ("500ms", 0.5, "500ms"),
        ("0s", 0, "0s"),
    ],
)
def test_durations_are_gos(text: str, seconds: float, shortest: str) -> None:
    parsed = duration.parse(text)

    assert parsed == timedelta(seconds=seconds)
    assert duration.render(parsed) == shortest
    assert duration.parse(shortest) == parsed


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1d", "1 h", "1h "])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration.parse(text)


@pytest.mark.parametrize(
    ("text", "whole", "milli"),
    [
        ("1", 1, 1000),
        ("500m", 1, 500),
        ("1.5Gi", 3 * 2**29, 3 * 2**29 * 1000),
        ("1k", 1000, 1_000_000),
        ("0.1", 1, 100),
        ("0", 0, 0),
    ],
)
def test_quantities_are_exact_and_rounded_up(text: str, whole: int, milli: int) -> None:
    assert (quantity.whole(text), quantity.milli(text)) == (whole, milli)


@pytest.mark.parametrize("text", ["", "Gi", "1gi", "-1", "1 Gi", "1e3"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity.parse(text)
