"""Two replicas, of which the leader is paused in the middle of two creates and goes on too late."""

import asyncio
import signal

import pytest

from hk3s_kube.lease import LeaseTimes
from holds.field import DEPLOYMENTS, LEASE, PLENTY, POOLS, Field, deployment, pool
from holds.relay import Write
from holds.writes import BUY
from lab.machines.clusters import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TIMES = LeaseTimes()
GUARD = TIMES.duration + TIMES.write
"""Seconds that a new leader waits for what the last one may still have on its way."""


async def leads(field: Field, replica: str) -> None:
    async def holds() -> bool:
        lease = await field.cluster.kubernetes.get(LEASE)
        return bool(lease["spec"]["holderIdentity"].startswith(f"{replica}_"))

    await eventually(f"{replica} holds the Lease", holds, PLENTY)


def changes(field: Field, replica: str, since: float = 0.0) -> list[Write]:
    """Writes of a replica other than to the Lease, answered or not."""
    return [w for w in field.ears.of(replica) if not w.is_lease and w.began >= since]


def took_lease(field: Field, replica: str) -> float:
    return next(w.ended for w in field.ears.of(replica) if w.is_lease and w.took_effect)


@pytest.mark.parametrize("way", ["expires", pytest.param("is-deleted", marks=pytest.mark.long)])
async def test_a_leader_that_was_paused_is_not_the_writer_any_more(field: Field, way: str) -> None:
    """Of two calls on their way one is answered after the pause, one breaks and is retried.

    A Lease that expires is deleted when the old leader goes on: it must not make it anew and lead.
    One that is deleted is taken at once, while the old leader's own clock still lets it write.
    """
    old = await field.start("old", patient=False)
    await leads(field, "old")
    await field.start("new", patient=False)
    answered, broken = field.ears.lay(*BUY), field.ears.lay(*BUY, answered=False)
    await field.create(POOLS, pool("workers"))
    await field.create(DEPLOYMENTS, deployment("web", 4))
    await field.caught(answered)
    await field.caught(broken)

    old.send(signal.SIGSTOP)
    if way == "is-deleted":
        await field.delete(LEASE)
    await leads(field, "new")
    taken = asyncio.get_running_loop().time()
    if way == "expires":
        await field.delete(LEASE)
    old.send(signal.SIGCONT)
    answered.release.set()
    broken.release.set()

    assert await old.wait() == 1
    assert old.said("lease.lost")
    await field.settled(pods=4, servers=2)
    assert len(await field.bought()) == 2
    assert len(field.ears.effects(*BUY)) == 2
    late = changes(field, "old", since=taken)
    if way == "expires":
        assert late == []
    first = changes(field, "new")[0]
    assert first.began - took_lease(field, "new") >= GUARD
    assert all(write.ended < first.began for write in late)
