"""Who takes a Lease when, and from when on it may write."""

import asyncio

import pytest

from hk3s_kube.client import Kube
from hk3s_kube.lease import LeaseElector, LeaseTimes
from kube.conftest import Background
from kube.fakes import FakeApi, FakeClock, StoppedClock, until
from kube.leases import PATH, LeaseStore, MakeElector, may_write


async def test_a_lease_that_nobody_ever_held_is_taken_and_used_at_once(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    elector = elector_for()
    assert not may_write(elector)

    await elector._round()

    assert elector.leading
    assert may_write(elector)
    assert store.spec == {
        "holderIdentity": "us",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-23T12:00:00.000000Z",
        "renewTime": "2026-11-23T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


async def test_a_renewal_is_one_call_and_moves_only_the_time(
    elector_for: MakeElector, store: LeaseStore, api: FakeApi, clock: FakeClock
) -> None:
    elector = elector_for()
    await elector._round()
    calls = len(api.requests)
    clock.advance(2.0)

    await elector._round()

    assert api.said()[calls:] == [f"PUT {PATH}"]
    assert store.spec["renewTime"] == "2026-11-23T12:00:02.000000Z"
    assert store.spec["acquireTime"] == "2026-11-23T12:00:00.000000Z"


async def test_a_lease_that_is_renewed_is_left_to_its_holder(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    elector = elector_for()
    for _ in range(4):
        store.hold("them")
        await elector._round()
        clock.advance(14.0)

    assert elector.holder == "them"
    assert not elector.leading


async def test_an_expired_lease_is_taken_after_its_duration_on_our_clock(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    store.hold("them", seconds=15)
    elector = elector_for()

    await elector._round()
    clock.advance(14.9)
    await elector._round()
    too_early = elector.leading
    clock.advance(0.1)
    await elector._round()

    assert not too_early
    assert elector.leading
    assert (store.spec["holderIdentity"], store.spec["leaseTransitions"]) == ("us", 4)


async def test_a_new_leader_waits_a_lease_and_a_call_before_it_writes(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    store.hold("them")
    elector = elector_for()
    await elector._round()
    clock.advance(15.0)
    await elector._round()
    taken = clock.time

    while clock.time < taken + 22.0:
        assert elector.leading
        assert not may_write(elector)
        clock.advance(2.0)
        await elector._round()
    clock.time = taken + 23.0
    await elector._round()

    assert may_write(elector)


async def test_a_released_lease_is_taken_and_used_at_once(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    store.hold("", seconds=1)
    elector = elector_for()

    await elector._round()

    assert may_write(elector)


async def test_there_are_never_two_that_may_write(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    electors = [elector_for("us"), elector_for("them")]
    writers: list[str] = []
    for step in range(200):
        asleep = electors[0] if step // 30 % 2 else electors[1]
        for elector in electors:
            if elector is not asleep or step % 3 == 0:
                await elector._round()
        able = [name for name, elector in zip("ab", electors, strict=True) if may_write(elector)]
        assert len(able) <= 1
        writers.extend(able)
        clock.advance(5.0 if step % 7 == 0 else 2.0)

    assert writers


async def test_a_lease_with_our_own_name_at_the_start_counts_as_anothers(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    store.hold("us")
    elector = elector_for()

    await elector._round()

    assert elector.leading
    assert not may_write(elector)


async def test_stop_gives_the_lease_back(
    elector_for: MakeElector, store: LeaseStore, background: Background
) -> None:
    clock = StoppedClock()
    elector = elector_for("us", clock)
    running = background.start(elector.run())
    await until(lambda: elector.leading)

    elector.stop()
    await running

    assert not may_write(elector)
    assert (store.spec["holderIdentity"], store.spec["leaseDurationSeconds"]) == ("", 1)
    assert clock.slept == [2.0]


async def test_a_candidate_that_is_stopped_leaves_the_lease_alone(
    elector_for: MakeElector, store: LeaseStore, background: Background
) -> None:
    store.hold("them")
    clock = StoppedClock()
    elector = elector_for("us", clock)
    running = background.start(elector.run())
    await until(lambda: len(clock.slept) == 1)

    elector.stop()
    await running

    assert store.spec["holderIdentity"] == "them"
    assert clock.slept == [3.0]


async def test_a_cancelled_leader_stops_writing_and_releases_nothing(
    elector_for: MakeElector, store: LeaseStore, background: Background
) -> None:
    elector = elector_for("us", StoppedClock())
    running = background.start(elector.run())
    await until(lambda: elector.leading)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not may_write(elector)
    assert store.spec["holderIdentity"] == "us"


async def test_changes_are_told_once(kube: Kube, clock: FakeClock, store: LeaseStore) -> None:
    told: list[bool] = []
    elector = LeaseElector(
        kube,
        namespace="hk3s-system",
        name="hk3s-autoscaler",
        identity="us",
        clock=clock,
        chance=lambda: 0.0,
        on_change=told.append,
    )

    await elector._round()
    await elector._round()
    store.hold("them")
    await elector._round()
    await elector._round()

    assert told == [True, False]


@pytest.mark.parametrize(
    "times", [{"request": 10.0}, {"renew_deadline": 13.0}, {"retry": 6.0}, {"margin": 5.0}]
)
def test_unsafe_times_are_refused(times: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs"):
        LeaseTimes(**times)
