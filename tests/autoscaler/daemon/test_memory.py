"""Refusals, how long they hold, and what outlives the process."""

from datetime import timedelta

import pytest

from autoscaler import fakes
from hk3s_autoscaler.daemon.memory import Memory
from hk3s_autoscaler.model.pod import PodKey

NOW = fakes.START
KEY = fakes.key("cx23/fsn1")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_blocks_grow_from_ten_minutes_to_thirty(memory: Memory) -> None:
    now, lengths = NOW, []
    for _ in range(4):
        block = memory.block("workers", KEY, "resource_unavailable", now)
        lengths.append((block.until - now) / minutes(1))
        now = block.until

    assert lengths == [10, 20, 30, 30]


def test_refusals_of_one_batch_count_once(memory: Memory) -> None:
    ends = {memory.block(pool, KEY, "r", NOW).until for pool in ("a", "b", "a", "b")}

    assert ends == {NOW + minutes(10)}


def test_a_block_ends_when_its_time_is_over_and_when_the_offering_is_had(memory: Memory) -> None:
    until = memory.block("workers", KEY, "r", NOW).until
    assert memory.is_blocked("workers", KEY, until - minutes(0.1))
    assert not memory.is_blocked("workers", KEY, until)

    memory.bought("workers", KEY)
    assert not memory.is_blocked("workers", KEY, NOW)


def test_a_pool_is_seen_with_what_its_status_and_this_process_know(memory: Memory) -> None:
    other = fakes.key("cx23/nbg1")
    stored = Memory().block("workers", other, "r", NOW)
    pool = fakes.pool(blocks=(stored,), paused_until=NOW + minutes(5))
    memory.block("workers", KEY, "r", NOW)

    seen = memory.overlay(pool, NOW + minutes(1))

    assert [str(block.key) for block in seen.blocks] == ["cx23/fsn1", "cx23/nbg1"]
    assert seen.paused_until == NOW + minutes(5)
    assert memory.overlay(pool, NOW + minutes(5)).paused_until is None


def test_one_failed_join_is_bad_luck_and_two_alike_are_not(memory: Memory) -> None:
    assert memory.join_failed("workers", "egress/no-dns", "m", NOW) is None
    assert memory.join_failed("workers", "join/ca-hash-mismatch", "m", NOW) is None

    pause = memory.join_failed("workers", "join/ca-hash-mismatch", "m", NOW)

    assert pause is not None
    assert pause.until == NOW + minutes(10)


def test_pauses_grow_to_an_hour(memory: Memory) -> None:
    now, lengths = NOW, []
    memory.join_failed("workers", "d", "m", now)
    for _ in range(5):
        pause = memory.join_failed("workers", "d", "m", now)
        assert pause is not None
        lengths.append((pause.until - now) / minutes(1))
        now = pause.until

    assert lengths == [10, 20, 40, 60, 60]


def test_a_server_that_joins_ends_the_pause_that_joins_caused(memory: Memory) -> None:
    for _ in range(2):
        memory.join_failed("workers", "d", "m", NOW)
    stored = memory.overlay(fakes.pool(), NOW)
    assert stored.paused_until is not None

    memory.joined("workers")

    assert memory.overlay(stored, NOW).paused_until is None
    assert memory.join_failed("workers", "d", "m", NOW) is None


def test_a_server_that_joins_does_not_end_the_pause_of_a_refusal(memory: Memory) -> None:
    memory.reject("workers", "invalid_input", "image not found", NOW)

    memory.joined("workers")

    assert memory.overlay(fakes.pool(), NOW).paused_until == NOW + minutes(10)


def test_a_limit_holds_for_half_an_hour(memory: Memory) -> None:
    memory.limit("server_limit", 5, NOW)

    assert [item.ceiling for item in memory.limits(NOW + minutes(29))] == [5]
    assert memory.limits(NOW + minutes(30)) == ()


def test_what_no_status_holds_survives_the_process(memory: Memory) -> None:
    memory.limit("server_limit", 5, NOW)
    memory.join_failed("workers", "d", "m", NOW)
    memory.expect("demo-workers-a", (PodKey("default", "web-1"),))

    later = Memory()
    later.load(memory.dump(NOW - minutes(60), NOW), NOW + minutes(2))

    assert later.limits(NOW) == memory.limits(NOW)
    assert later.join_failed("workers", "d", "m", NOW) is not None
    assert later.expected(fakes.server("demo-workers-a")).bought_for == (
        PodKey("default", "web-1"),
    )
    assert later.healthy_since == NOW - minutes(60)


def test_health_begins_anew_when_nobody_looked_for_minutes(memory: Memory) -> None:
    """The outage of an apiserver cannot be written down there."""
    later = Memory()

    later.load(memory.dump(NOW - minutes(60), NOW), NOW + minutes(3))

    assert later.healthy_since is None


def test_the_entry_is_a_sign_of_life_once_a_minute(memory: Memory) -> None:
    texts = {memory.dump(NOW, NOW + timedelta(seconds=s)) for s in range(0, 180, 10)}

    assert len(texts) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"limits": 3, "joinFailures": {}}'])
def test_a_report_of_another_making_is_ignored(memory: Memory, text: str) -> None:
    memory.load(text, NOW)

    assert memory.limits(NOW) == ()


def test_servers_are_remembered_until_their_pods_have_a_node(memory: Memory) -> None:
    first, second = PodKey("default", "a"), PodKey("default", "b")
    memory.expect("s", (first, second))

    memory.forget_served(["s"], frozenset({second}))
    assert memory.expected(fakes.server("s")).bought_for == (first, second)

    memory.forget_served(["s"], frozenset())
    assert memory.expected(fakes.server("s")).bought_for == ()
