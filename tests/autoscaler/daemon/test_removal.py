"""Giving servers back: nothing is harmed that has changed since the plan."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import fakes
from autoscaler.daemon.world import World
from hk3s_autoscaler.daemon.trigger import Batch
from hk3s_autoscaler.model.pod import Owner, PodKey
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    DeleteNode,
    DeleteServer,
    DrainNode,
    MarkUnneeded,
    UncordonNode,
)
from hk3s_autoscaler.planning.reasons import Code, Reason

NAME = "demo-workers-a"
EMPTY = Reason(Code.EMPTY, "no pod needs it")
DELETE = DeleteServer(server_id=1, name=NAME, pool="workers", node=NAME, reason=EMPTY)
CORDONED = fakes.node(unschedulable=True, draining_since=fakes.START, draining_reason="Empty")


def drain(*names: str) -> DrainNode:
    return DrainNode(node=NAME, pods=tuple(PodKey("default", n) for n in names), reason=EMPTY)


@pytest.fixture
def world() -> World:
    world = World()
    world.cloud.add(fakes.server())
    world.cluster.add(fakes.node())
    return world


async def carry_out(world: World, *actions: Action) -> None:
    world.do(*actions)
    await world.turn()
    world.do()


async def test_an_idle_node_is_cordoned_drained_and_deleted(world: World) -> None:
    world.cluster.add(fakes.pod("web-1", node=NAME))

    await carry_out(world, MarkUnneeded(node=NAME, since=fakes.START, reason=EMPTY))
    assert world.cluster.node_objects[NAME].unneeded_since == fakes.START
    await carry_out(world, CordonNode(node=NAME, reason=EMPTY))
    assert world.cluster.node_objects[NAME].draining_reason == "Empty"
    await carry_out(world, drain("web-1"))
    assert world.cluster.pod_objects == {}
    await carry_out(world, DELETE)

    assert world.cloud.servers == {}
    assert world.cluster.node_objects == {}
    order = [c for c in world.cloud.calls + world.cluster.calls if c.startswith("delete")]
    assert order == ["delete_server", "delete_node"]
    assert world.metric("servers_deleted_total", pool="workers", reason="Empty") == 1
    assert world.metric("evictions_total", result="evicted") == 1
    assert world.cluster.reasons("Node")[-1] == "ScaleDown"
    assert world.cluster.reasons() == ["ServerDeleted"]


async def test_a_removal_can_be_taken_back(world: World) -> None:
    await carry_out(world, CordonNode(node=NAME, reason=EMPTY))
    await carry_out(
        world, UncordonNode(node=NAME, reason=Reason(Code.NO_LONGER_UNNEEDED, "pods fit"))
    )

    assert not world.cluster.node_objects[NAME].unschedulable
    assert world.cluster.reasons("Node")[-1] == "ScaleDownCancelled"


async def test_a_pod_that_came_meanwhile_stops_the_drain(world: World) -> None:
    world.cluster.add(CORDONED, fakes.pod("web-1", node=NAME), fakes.pod("new", node=NAME))

    await carry_out(world, drain("web-1"))

    assert world.cluster.count("evict") == 0


async def test_a_node_that_somebody_uncordoned_is_not_drained(world: World) -> None:
    world.cluster.add(fakes.pod("web-1", node=NAME))

    await carry_out(world, drain("web-1"))

    assert world.cluster.count("evict") == 0


async def test_a_budget_delays_the_drain_and_is_told(world: World) -> None:
    world.cluster.add(CORDONED, fakes.pod("web-1", node=NAME), fakes.pod("web-2", node=NAME))
    world.cluster.protected = {PodKey("default", "web-1")}

    await carry_out(world, drain("web-1", "web-2"))
    await world.turn()

    assert set(world.cluster.pod_objects) == {PodKey("default", "web-1")}
    assert world.metric("evictions_total", result="blocked") == 1
    assert world.metric("drain_blocked", pool="workers", reason="BlockedByPdb") == 1
    assert "DrainBlocked" in world.cluster.reasons("Node")

    world.cluster.protected = set()
    await carry_out(world, drain("web-1"))
    await world.turn()

    assert world.cluster.pod_objects == {}
    assert world.metric("drain_blocked", pool="workers", reason="BlockedByPdb") == 0


async def test_pods_that_are_ending_are_left_to_end(world: World) -> None:
    ending = replace(fakes.pod("web-1", node=NAME), deleted_at=fakes.START)
    world.cluster.add(CORDONED, ending)

    await carry_out(world, drain())

    assert world.cluster.count("evict") == 0


@pytest.mark.parametrize(("ago", "gone"), [(timedelta(minutes=2), True), (timedelta(0), False)])
async def test_a_pod_that_a_finalizer_holds_does_not_hold_its_server(
    world: World, ago: timedelta, *, gone: bool
) -> None:
    stuck = replace(fakes.pod("web-1", node=NAME), deleted_at=world.clock.now() - ago)
    world.cluster.add(CORDONED, stuck)

    await carry_out(world, DELETE)

    assert (NAME not in world.cloud.servers) is gone


def a_pod(world: World) -> None:
    world.cluster.add(CORDONED, fakes.pod("web-1", node=NAME))


def a_volume(world: World) -> None:
    world.cluster.add(CORDONED)
    world.cluster.volumes[NAME] = 1


def no_cordon(world: World) -> None:
    world.cluster.add(fakes.node())


def another_server_behind_the_node(world: World) -> None:
    world.cluster.add(replace(CORDONED, server_id=99))


def a_master(world: World) -> None:
    world.cluster.add(replace(CORDONED, is_master=True))


def a_foreign_node(world: World) -> None:
    world.cluster.add(replace(CORDONED, pool=""))


def another_pool(world: World) -> None:
    world.cluster.add(CORDONED)
    world.cloud.add(fakes.server(pool="other"))


def another_cluster(world: World) -> None:
    world.cluster.add(CORDONED)
    world.cloud.add(fakes.server(cluster_uid="another"))


@pytest.mark.parametrize(
    "finds",
    [
        a_pod,
        a_volume,
        no_cordon,
        another_server_behind_the_node,
        a_master,
        a_foreign_node,
        another_pool,
        another_cluster,
    ],
)
async def test_what_a_last_look_finds_saves_the_server(
    world: World, finds: Callable[[World], None]
) -> None:
    finds(world)

    await carry_out(world, DELETE)

    assert NAME in world.cloud.servers
    assert NAME in world.cluster.node_objects
    assert world.cloud.count("delete_server") == 0


async def test_daemons_and_static_pods_do_not_hold_a_server(world: World) -> None:
    daemon = Owner(kind="DaemonSet", name="agent", uid="d")
    world.cluster.add(
        CORDONED,
        replace(fakes.pod("agent", node=NAME), owner=daemon),
        replace(fakes.pod("static", node=NAME), mirror=True),
    )

    await carry_out(world, DELETE)

    assert world.cloud.servers == {}


async def test_a_server_that_is_gone_takes_its_node_along(world: World) -> None:
    world.cluster.add(CORDONED)
    world.cluster.tokens[NAME] = "t"
    world.cloud.servers.clear()

    await carry_out(world, DELETE)

    assert world.cluster.node_objects == {}
    assert world.cluster.tokens == {}
    assert world.metric("servers_deleted_total", pool="workers", reason="Empty") == 0


async def test_a_lost_reply_to_a_delete_is_repeated_until_it_is_certain(world: World) -> None:
    world.cluster.add(CORDONED)
    world.cloud.lose_reply("delete_server")

    world.do(DELETE)
    await world.turn()
    assert NAME in world.cluster.node_objects, "the Node goes only once the server is surely gone"
    await world.clock.advance(5)
    await world.turn()

    assert world.cluster.node_objects == {}


def orphan(uid: str = f"uid-{NAME}") -> DeleteNode:
    return DeleteNode(node=NAME, uid=uid, reason=Reason(Code.ORPHANED_NODE, "no server"))


async def test_a_node_whose_server_exists_is_no_orphan(world: World) -> None:
    await carry_out(world, orphan())
    assert NAME in world.cluster.node_objects

    world.cloud.servers.clear()
    await carry_out(world, orphan("another-uid"))
    assert NAME in world.cluster.node_objects

    await carry_out(world, orphan())
    assert world.cluster.node_objects == {}
    assert world.metric("orphans_collected_total", kind="node") == 1


async def test_a_server_is_deleted_once_however_often_it_is_planned(world: World) -> None:
    world.cluster.add(CORDONED)
    world.do(DELETE)

    batch = Batch(closed_at=world.clock.monotonic())
    for _ in range(3):
        await world.loop.turn(batch)
    await fakes.settle()

    assert world.cloud.count("delete_server") == 1
