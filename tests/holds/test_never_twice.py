"""The daemon is killed right after each of its writes, and goes on as if it had not been.

Real processes, a real control plane, machines that join it.
"""

from datetime import timedelta

import pytest

from hk3s_lab.clock import RealClock
from holds.field import (
    DEPLOYMENTS,
    IDLE,
    PODS,
    POOLS,
    Field,
    deployment,
    pool,
)
from holds.writes import (
    ATTACH,
    BUY,
    CORDON,
    DELETE_NODE,
    DELETE_SERVER,
    EVICT,
    POWER_ON,
    TOKEN,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SHRINKING = {"disruption": {**IDLE, "policy": "WhenUnderutilized", "budgets": [{"nodes": "100%"}]}}


async def grown(field: Field, pods: int, **spec: object) -> None:
    await field.create(POOLS, pool("workers", **spec))
    await field.create(DEPLOYMENTS, deployment("web", pods))


async def halve(field: Field) -> None:
    """Let one of the two pods on each node go."""
    for node in await field.nodes():
        params = {"fieldSelector": f"spec.nodeName={node['metadata']['name']}"}
        first = (await field.cluster.kubernetes.list(PODS, params))[0][0]
        cheap = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}}
        await field.cluster.kubernetes.patch(f"{PODS}/{first['metadata']['name']}", cheap)
    await field.scale("web", 2)


async def test_killed_after_every_write_of_a_purchase_it_is_made_once(field: Field) -> None:
    replica = await field.start("one")
    snare = field.ears.lay(*TOKEN, kill=True)
    await grown(field, pods=2)
    await field.caught(snare)
    for method, path in (BUY, ATTACH, POWER_ON):
        snare = field.ears.lay(method, path, kill=True)
        replica = await field.revive(replica)
        await field.caught(snare)
    await field.revive(replica)

    await field.settled(pods=2, servers=1)
    assert len(await field.bought()) == 1
    # The first token was for a server that nobody bought. No machine was told it, and it ends.
    (token,) = await field.tokens()
    assert token.ends_at < RealClock().now() + timedelta(hours=1)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(BUY, id="buy"),
        pytest.param(ATTACH, id="attach"),
        pytest.param(POWER_ON, id="power-on", marks=pytest.mark.long),
    ],
)
async def test_killed_in_the_middle_of_a_batch_all_of_it_is_made_once(
    field: Field, write: tuple[str, str]
) -> None:
    replica = await field.start("one")
    snare = field.ears.lay(*write, kill=True)
    await grown(field, pods=6)
    await field.caught(snare)
    await field.revive(replica)

    await field.settled(pods=6, servers=3)
    assert len(await field.bought()) == 3


async def test_a_lost_reply_and_a_create_that_fails_after_its_201_cost_nothing(
    field: Field,
) -> None:
    """Of three creates the first takes effect unheard, the second is undone by its action."""
    path = {"method": "POST", "path": "^/servers$"}
    await field.fault({"drop_after": True}, match=path, times=1)
    gone = {"code": "resource_unavailable", "message": "no capacity left"}
    await field.fault({"action_fails": gone}, match=path, nth=2)
    await field.start("one")
    await grown(field, pods=6, serverTypes=["cx23", "cpx22"], locations=["fsn1", "nbg1"])

    await field.settled(pods=6, servers=3)
    made = await field.bought()
    assert len(made) == 4, "the one that failed existed for a moment"
    answered = field.ears.effects(*BUY)
    assert len(answered) == 3


async def test_killed_at_every_step_of_a_removal_it_ends_and_no_pod_goes_twice(
    field: Field,
) -> None:
    replica = await field.start("one")
    await grown(field, pods=4)
    await field.settled(pods=4, servers=2)
    snare = field.ears.lay(*CORDON, kill=True)
    await halve(field)
    await field.cluster.kubernetes.patch(f"{POOLS}/workers", {"spec": SHRINKING})
    for method, path in (EVICT, DELETE_SERVER, DELETE_NODE):
        await field.caught(snare)
        snare = field.ears.lay(method, path, kill=True)
        replica = await field.revive(replica)
    await field.caught(snare)
    await field.revive(replica)

    await field.settled(pods=2, servers=1)
    assert len(await field.bought()) == 2
    assert len(field.ears.effects(*EVICT)) == 1
