"""New nodes go into service: pods planned for them are let in first, then the taint goes."""

from dataclasses import replace

import pytest

from autoscaler import fakes
from autoscaler.daemon.mortal import Fate, Realm
from autoscaler.daemon.world import World
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.pod import PodKey, Taint
from hk3s_autoscaler.planning.actions import InvitePods, OpenNode
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.ports import Changed, Unavailable

REASON = Reason(Code.JOINED, "it is Ready")
STARTING = (Taint(key=STARTING_TAINT, value="", effect="NoSchedule"),)


@pytest.fixture
def world() -> World:
    """A node that waits to be opened, and a pod that waits for it."""
    world = World()
    world.cloud.add(fakes.server("demo-workers-a"))
    world.cluster.add(
        replace(fakes.node("demo-workers-a"), taints=STARTING), fakes.pod(unschedulable=True)
    )
    world.do(OpenNode(node="demo-workers-a", reason=REASON))
    return world


async def test_a_node_is_opened(world: World) -> None:
    await world.turn()

    assert world.cluster.node_objects["demo-workers-a"].taints == ()


async def test_pods_are_let_in_while_the_node_is_closed(world: World) -> None:
    pods = (PodKey("default", "web-1"), PodKey("default", "gone"))
    world.do(InvitePods(node="demo-workers-a", pods=pods, reason=REASON))

    await world.turn()

    node = world.cluster.node_objects["demo-workers-a"]
    (pod,) = world.cluster.pod_objects.values()
    assert (pod.nominated_node, pod.invited_to) == ("demo-workers-a", ("demo-workers-a",))
    assert (node.taints, node.opening_since) == (STARTING, world.clock.now())


async def test_a_node_that_is_gone_is_no_failure(world: World) -> None:
    world.cluster.fail("open_node", Changed("node demo-workers-a: not found"))

    await world.turn()

    assert world.kit.health.failures == 0
    assert world.metric("loop_errors_total", kind="Changed") == 0


async def test_a_node_that_could_not_be_opened_is_tried_again_with_pauses(world: World) -> None:
    world.cluster.fail("open_node", *(Unavailable("no answer"),) * 3)
    for _ in range(30):
        await world.turn()
        await world.clock.advance(1)

    assert world.cluster.node_objects["demo-workers-a"].taints == ()
    assert world.metric("loop_errors_total", kind="Unavailable") == 3


async def test_without_the_lease_the_taint_stays(world: World) -> None:
    world.cluster.leader = False

    await world.turn()

    assert world.cluster.node_objects["demo-workers-a"].taints == STARTING


@pytest.mark.parametrize("call", ["invite_pods", "open_node"])
@pytest.mark.parametrize("fate", ["before", "after", "lost"])
async def test_a_crash_around_the_opening_leaves_no_node_closed(fate: Fate, call: str) -> None:
    plain = Realm()
    await plain.begin()
    plain.ask(4)
    await plain.live(16)
    await plain.end()
    realm = Realm(fates={plain.calls.index(call): fate})
    await realm.begin()
    realm.ask(4)
    await realm.live(20)
    await realm.end()

    assert all(pod.node for pod in realm.cluster.pod_objects.values())
    assert len(realm.cloud.bought) == 1


async def test_a_crash_between_nomination_and_opening_is_made_good() -> None:
    """The pods are nominated, the taint is still there, and the process is gone."""
    realm = Realm()
    await realm.begin()
    realm.ask(4)
    for _ in range(12):
        await realm.live(1)
        for key, pod in realm.cluster.pod_objects.items():
            if not pod.node:
                half = replace(pod, nominated_node=next(iter(realm.cloud.servers)))
                realm.cluster.pod_objects[key] = half
        await realm.end()
        await realm.begin()
    await realm.live(6)
    await realm.end()

    assert all(pod.node for pod in realm.cluster.pod_objects.values())
    assert all(not node.taints for node in realm.cluster.node_objects.values())
    assert len(realm.cloud.bought) == 1
