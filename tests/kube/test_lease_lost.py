"""A leader that pauses, does not reach the API, or finds its Lease changed or gone."""

from kube.fakes import FakeClock
from kube.leases import LeaseStore, MakeElector, may_write


async def test_a_paused_leader_cannot_pass_the_fence(
    elector_for: MakeElector, clock: FakeClock
) -> None:
    elector = elector_for()
    await elector._round()

    clock.advance(12.9)
    just_before = may_write(elector)
    clock.advance(0.1)

    assert just_before
    assert not may_write(elector)
    assert not elector.leading


async def test_a_paused_leader_that_lost_waits_for_its_successor(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    ours, theirs = elector_for("us"), elector_for("them")
    await ours._round()
    await theirs._round()
    clock.advance(15.0)
    await theirs._round()

    before = may_write(ours)
    await ours._round()

    assert (before, ours.leading, theirs.leading) == (False, False, True)
    assert ours.holder == "them"


async def test_failing_renewals_end_the_term_at_the_deadline(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    elector = elector_for()
    await elector._round()
    store.broken = True

    clock.advance(9.9)
    await elector._round()
    before = may_write(elector)
    clock.advance(0.1)
    await elector._round()

    assert before
    assert not may_write(elector)


async def test_a_leader_that_recovers_before_anyone_took_over_goes_on(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    elector = elector_for()
    await elector._round()
    store.broken = True
    clock.advance(12.0)
    await elector._round()
    lost = not elector.leading
    store.broken = False

    await elector._round()

    assert lost
    assert may_write(elector)


async def test_a_lease_that_was_deleted_under_its_leader_is_made_anew(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    elector = elector_for()
    await elector._round()
    store.lease = None

    await elector._round()

    assert may_write(elector)
    assert store.spec["holderIdentity"] == "us"


async def test_a_paused_leader_that_finds_no_lease_is_a_candidate_like_any_other(
    elector_for: MakeElector, store: LeaseStore, clock: FakeClock
) -> None:
    """Somebody led while it was away, and may have calls on their way."""
    ours, theirs = elector_for("us"), elector_for("them")
    await ours._round()
    await theirs._round()
    clock.advance(15.0)
    await theirs._round()
    store.lease = None

    await ours._round()
    assert (store.lease, ours.leading) == (None, False)
    await ours._round()

    assert store.spec["holderIdentity"] == "us"
    assert not may_write(ours)
    for _ in range(22):
        clock.advance(1.0)
        await ours._round()
        assert not may_write(ours)
    clock.advance(1.0)
    assert may_write(ours)


async def test_a_lease_that_another_made_anew_ends_the_term(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    elector = elector_for()
    await elector._round()
    store.lease = None
    store.hold("them")

    await elector._round()

    assert not elector.leading
    assert elector.holder == "them"


async def test_a_lease_that_vanished_under_another_may_still_be_theirs(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    store.hold("them")
    elector = elector_for()
    await elector._round()
    store.lease = None

    await elector._round()

    assert elector.leading
    assert not may_write(elector)


async def test_an_edit_by_somebody_else_does_not_end_the_term(
    elector_for: MakeElector, store: LeaseStore
) -> None:
    elector = elector_for()
    await elector._round()
    assert store.lease is not None
    store.store({**store.lease, "metadata": {**store.lease["metadata"], "labels": {"a": "b"}}})

    await elector._round()

    assert may_write(elector)
    assert store.lease["metadata"]["labels"] == {"a": "b"}
