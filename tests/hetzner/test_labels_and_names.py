from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hk3s_hetzner import labels, names

WORKER = labels.WorkerLabels(
    cluster="demo",
    cluster_uid="6b1f0c1e-6f0c-4f43-9a0e-1f6f1d0f8a11",
    pool="workers",
    price_micro_eur_hour=8800,
    token_expires=datetime(2026, 11, 23, 12, 20, tzinfo=UTC),
)


def test_a_workers_labels_are_read_back() -> None:
    written = labels.for_worker(WORKER)

    assert written["hk3s.dev/price"] == "8800"
    assert written["hk3s.dev/token-expires"] == "1795436400"
    assert labels.read_worker(written) == WORKER
    assert all(labels.is_value(value) for value in written.values())


def test_a_record_of_the_template_is_read_back_and_may_lack() -> None:
    recorded = replace(WORKER, template="1.0123456789abcdef.0123456789abcdef")

    written = labels.for_worker(recorded)

    assert written["hk3s.dev/template"] == recorded.template
    assert labels.read_worker(written) == recorded
    assert "hk3s.dev/template" not in labels.for_worker(WORKER)


@pytest.mark.parametrize(
    "change",
    [{labels.PRICE: "cheap"}, {labels.ROLE: "master"}, {labels.TOKEN_EXPIRES: "9" * 30}],
)
def test_edited_labels_are_not_a_workers(change: dict[str, str]) -> None:
    assert labels.read_worker(labels.for_worker(WORKER) | change) is None


@pytest.mark.parametrize("key", list(labels.for_worker(WORKER)))
def test_a_missing_label_is_not_a_workers(key: str) -> None:
    written = labels.for_worker(WORKER)
    del written[key]

    assert labels.read_worker(written) is None


def test_a_value_that_hetzner_refuses_is_refused_first() -> None:
    with pytest.raises(ValueError, match=r"hk3s\.dev/pool"):
        labels.for_worker(replace(WORKER, pool="no spaces"))


def test_the_master_carries_half_of_the_ca_hash() -> None:
    written = labels.for_infrastructure("demo", "master", "ab" * 32)

    assert written == {
        "hk3s.dev/cluster": "demo",
        "hk3s.dev/role": "master",
        "hk3s.dev/ca": "ab" * 16,
    }
    assert labels.role_of(written) == "master"
    assert labels.role_of({"hk3s.dev/role": "king"}) is None


def test_selectors_name_cluster_and_role() -> None:
    assert labels.select_cluster("demo") == "hk3s.dev/cluster=demo"
    assert labels.select_role("demo", "worker") == "hk3s.dev/cluster=demo,hk3s.dev/role=worker"


def test_names_follow_their_role() -> None:
    letters = iter("x7k2p")

    assert names.worker("demo", "workers", lambda _: next(letters)) == "demo-workers-x7k2p"
    assert names.bastion("demo") == "demo-bastion"
    assert names.master("demo") == "demo-master-1"
    assert names.cluster_object("demo") == "demo"


def test_a_pools_name_may_be_as_long_as_its_workers_names_allow() -> None:
    longest = "p" * names.longest_pool("demo")

    assert len(names.worker("demo", longest, lambda text: text[0])) == 63
    with pytest.raises(ValueError, match="no hostname"):
        names.worker("demo", f"{longest}p", lambda text: text[0])


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64])
def test_what_is_no_hostname_label(text: str) -> None:
    assert not names.is_label(text)
