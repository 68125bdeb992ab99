"""Whole stories through loop and executor."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import fakes
from autoscaler.daemon.world import World, create, one_server_a_pending_pod
from hk3s_autoscaler.model.node import JoinReport
from hk3s_autoscaler.planning.actions import DeleteServer, FinishServer
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.ports import CapacityUnavailable, QuotaExceeded, Rejected, Unavailable


def sold_out(name: str) -> CapacityUnavailable:
    return CapacityUnavailable(fakes.key(name), "no room")


@pytest.fixture
def world() -> World:
    return World(fakes.offering("cx23/fsn1"), fakes.offering("cx23/nbg1", micro_eur_per_hour=7000))


async def test_pending_pods_become_ready_nodes_and_their_tokens_are_revoked(world: World) -> None:
    world.cluster.add(
        fakes.pod("web-1", unschedulable=True), fakes.pod("web-2", unschedulable=True)
    )
    world.script = one_server_a_pending_pod

    await world.turn(**{"web-1": 999.5, "web-2": 999.7})

    assert sorted(world.cloud.servers) == ["demo-workers-1", "demo-workers-2"]
    assert all(s.attached and s.status == "running" for s in world.cloud.servers.values())
    assert set(world.cluster.tokens) == {"demo-workers-1", "demo-workers-2"}
    assert world.metric("reaction_seconds_count") == 2
    assert world.metric("reaction_seconds_sum") == pytest.approx(0.5 + 0.3)

    await world.turn()
    await world.clock.advance(42)
    for name, server in world.cloud.servers.items():
        world.cluster.add(fakes.node(name, server_id=server.server_id))
    world.cluster.pod_objects.clear()
    await world.turn()

    assert world.cluster.tokens == {}
    assert world.metric("nodes_joined_total", pool="workers") == 2
    assert world.metric("join_seconds_sum", pool="workers") == 84
    assert world.cluster.reasons("Node") == ["NodeJoined", "NodeJoined"]
    assert world.cluster.reasons("Pod") == ["TriggeredScaleUp", "TriggeredScaleUp"]
    assert len(world.cloud.requests) == 2


async def test_nothing_is_bought_twice_while_a_create_is_in_flight(world: World) -> None:
    world.cluster.add(fakes.pod("web-1", unschedulable=True))
    world.script = one_server_a_pending_pod
    world.cloud.gate.clear()

    await world.turn()
    for _ in range(5):
        await world.clock.advance(20)
        await world.turn()

    assert len(world.cloud.requests) == 1
    assert [s.status for s in world.snapshots[-1].servers] == ["requested"]

    world.cloud.gate.set()
    await fakes.settle()
    await world.turn()

    assert [s.status for s in world.snapshots[-1].servers] == ["starting"]
    assert len(world.cloud.requests) == 1


async def test_all_servers_of_a_batch_are_asked_for_at_once(world: World) -> None:
    world.cloud.gate.clear()
    world.do(*(create() for _ in range(8)))

    await world.turn()

    assert world.cloud.count("create_server") == 8
    world.cloud.gate.set()
    await fakes.settle()
    assert world.cloud.count("power_on_server") == 8


async def test_a_sold_out_offering_falls_back_and_is_left_alone(world: World) -> None:
    world.cloud.refusals[fakes.key("cx23/fsn1")] = sold_out("cx23/fsn1")
    world.do(create("cx23/fsn1", "cx23/nbg1"))

    await world.turn()
    world.do()
    await world.turn()

    (server,) = world.cloud.servers.values()
    assert str(server.offering) == "cx23/nbg1"
    assert server.micro_eur_per_hour == 7000
    (block,) = world.cluster.statuses["workers"].pool.blocks
    assert (str(block.key), block.until) == ("cx23/fsn1", fakes.START + timedelta(minutes=10))
    assert world.snapshots[-1].pools[0].blocks == (block,)
    assert world.cluster.reasons() == ["OfferingUnavailable", "ServerCreated"]
    labels = {"pool": "workers", "server_type": "cx23", "location": "nbg1"}
    assert world.metric("fallbacks_total", **labels) == 1
    assert (
        world.metric(
            "create_failures_total",
            **{**labels, "location": "fsn1", "reason": "OutOfStock"},
        )
        == 1
    )


async def test_when_everything_is_sold_out_nothing_is_left_behind(world: World) -> None:
    for name in ("cx23/fsn1", "cx23/nbg1"):
        world.cloud.refusals[fakes.key(name)] = sold_out(name)
    world.do(create("cx23/fsn1", "cx23/nbg1"))

    await world.turn()
    world.do()
    await world.turn()

    assert world.cluster.tokens == {}
    assert world.snapshots[-1].servers == ()
    assert len(world.snapshots[-1].pools[0].blocks) == 2


async def test_an_account_limit_becomes_a_fact_and_survives_a_restart(world: World) -> None:
    world.cloud.add(fakes.server("demo-workers-a"))
    world.cloud.refusals[fakes.key("cx23/fsn1")] = QuotaExceeded("servers", "limit reached")
    world.do(create("cx23/fsn1", "cx23/nbg1"))

    await world.turn()
    world.do()
    await world.clock.advance(3)
    await world.turn()

    (limit,) = world.snapshots[-1].learnt_limits
    assert (limit.name, limit.ceiling) == ("servers", 1)
    assert world.cloud.count("create_server") == 1, "a quota is no reason for a fallback"
    assert world.cluster.reasons() == ["AtLimit"]

    world.restart()
    stop = asyncio.Event()
    running = asyncio.create_task(world.loop.run(stop))
    await fakes.settle()
    assert world.snapshots[-1].learnt_limits == (limit,)
    stop.set()
    world.trigger.close()
    await running


async def test_a_rejected_request_pauses_the_pool(world: World) -> None:
    world.cloud.refusals[fakes.key("cx23/fsn1")] = Rejected("invalid_input", "image not found")
    world.do(create("cx23/fsn1", "cx23/nbg1"))

    await world.turn()
    world.do()
    await world.turn()

    assert world.snapshots[-1].pools[0].paused_until == fakes.START + timedelta(minutes=10)
    paused = next(c for c in world.cluster.statuses["workers"].conditions if c.type == "Paused")
    assert paused.status
    assert "image not found" in paused.message
    assert world.cluster.tokens == {}


async def test_a_lost_reply_buys_one_server(world: World) -> None:
    world.cloud.lose_reply("create_server")
    world.do(create())

    await world.turn()
    world.do()
    await world.clock.advance(2)
    await world.turn()

    assert world.cloud.count("create_server") == 2
    assert list(world.cloud.servers) == ["demo-workers-1"]
    assert world.cloud.servers["demo-workers-1"].status == "running"


@pytest.mark.parametrize("dies_in", ["attach_server", "power_on_server"])
async def test_a_new_process_finishes_what_the_last_one_began(world: World, dies_in: str) -> None:
    world.cluster.add(fakes.pod("web-1", unschedulable=True))
    world.script = one_server_a_pending_pod
    world.cloud.fail(dies_in, Unavailable("the process died here"))
    await world.turn()
    (half,) = world.cloud.servers.values()
    assert half.status == "off"

    world.restart()
    world.script = lambda snapshot, now: (
        *one_server_a_pending_pod(snapshot, now),
        *(
            FinishServer(
                server_id=server.server_id,
                name=server.name,
                step="power-on" if server.attached else "attach",
                reason=Reason(Code.UNFINISHED_CREATE, "made but not started"),
            )
            for server in snapshot.servers
            if server.status == "off"
        ),
    )
    await world.turn()
    await world.turn()

    (whole,) = world.cloud.servers.values()
    assert (whole.name, whole.attached, whole.status) == (half.name, True, "running")
    assert world.cloud.count("create_server") == 1
    assert half.name in world.cluster.tokens, "it still has to join with it"


async def test_a_step_that_keeps_failing_is_not_a_hot_loop(world: World) -> None:
    world.cloud.add(fakes.server("demo-workers-a", status="off", attached=False))
    world.cloud.fail("attach_server", *(Rejected("no_subnet_available", "full"),) * 100)
    world.do(
        FinishServer(
            server_id=1,
            name="demo-workers-a",
            step="attach",
            reason=Reason(Code.UNFINISHED_CREATE, "made but not started"),
        )
    )

    for _ in range(60):
        await world.turn()
        await world.clock.advance(1)

    assert world.cloud.count("attach_server") <= 6


async def test_nothing_is_bought_in_the_turn_that_gives_a_server_up(world: World) -> None:
    """The failure may pause the pool: the next turn knows."""
    world.cloud.add(fakes.server("demo-workers-a"))
    world.do(create(), gave_up("demo-workers-a", 1))
    await world.turn()
    assert world.cloud.requests == []

    world.do(create())
    await world.turn()
    assert len(world.cloud.requests) == 1


async def test_a_server_that_is_given_up_in_several_attempts_failed_once(world: World) -> None:
    world.cloud.add(fakes.server("demo-workers-a"))
    world.cloud.fail("delete_server", *(Unavailable("no answer"),) * 3)
    world.do(gave_up("demo-workers-a", 1))
    for _ in range(60):
        await world.turn()
        await world.clock.advance(1)

    assert world.cloud.servers == {}
    assert world.metric("join_failures_total", pool="workers", step="unreachable") == 1
    assert world.kit.memory.pause_of("workers") is None


def gave_up(name: str, server_id: int) -> DeleteServer:
    return DeleteServer(
        server_id=server_id,
        name=name,
        pool="workers",
        node="",
        reason=Reason(Code.JOIN_TIMED_OUT, "15 minutes are over"),
    )


async def test_two_joins_that_fail_alike_pause_the_pool(world: World) -> None:
    names = ["demo-workers-a", "demo-workers-b", "demo-workers-c"]
    for number, name in enumerate(names, start=1):
        world.cloud.add(fakes.server(name, server_id=number))
        error = "no-egress" if name != "demo-workers-b" else "no-dns"
        world.cloud.reports[name] = JoinReport(
            server_name=name, step="egress", error=error, message="nothing answers"
        )
    await world.clock.advance(60)
    await world.turn()
    assert len(world.kit.cluster.pools()) == 1

    await world.turn()
    assert len(world.snapshots[-1].join_reports) == 3

    world.do(gave_up("demo-workers-a", 1))
    await world.turn()
    world.do(gave_up("demo-workers-b", 2))
    await world.turn()
    assert world.snapshots[-1].pools[0].paused_until is None

    world.cloud.reports["demo-workers-c"] = JoinReport(
        server_name="demo-workers-c", step="egress", error="no-dns", message="nothing answers"
    )
    await world.clock.advance(10)
    world.do()
    await world.turn()
    world.do(gave_up("demo-workers-c", 3))
    await world.turn()
    world.do()
    await world.turn()

    assert world.snapshots[-1].pools[0].paused_until is not None
    assert world.metric("join_failures_total", pool="workers", step="egress") == 3
    assert world.metric("servers_replaced_total", pool="workers", reason="JoinTimedOut") == 3
    assert world.cluster.reasons().count("Paused") == 1
    assert world.cloud.servers == {}


async def test_a_server_that_joined_meanwhile_is_not_given_up(world: World) -> None:
    world.cloud.add(fakes.server("demo-workers-a"))
    world.do(gave_up("demo-workers-a", 1))

    def joins_now(name: str) -> None:
        world.cluster.add(fakes.node(name))

    world.cluster.on_look = joins_now
    await world.turn()

    assert "demo-workers-a" in world.cloud.servers


async def test_a_server_of_another_cluster_is_never_deleted(world: World) -> None:
    world.cloud.add(replace(fakes.server("demo-workers-a"), cluster_uid="another"))
    world.do(gave_up("demo-workers-a", 1))

    await world.turn()

    assert world.cloud.count("delete_server") == 0


async def test_without_the_lease_nothing_is_written(world: World) -> None:
    world.cloud.leader = world.cluster.leader = False
    world.cloud.add(fakes.server("demo-workers-a"))
    for action in (create(), gave_up("demo-workers-a", 1)):
        world.do(action)
        await world.turn()

    assert list(world.cloud.servers) == ["demo-workers-a"]
    assert world.metric("loop_errors_total", kind="NotLeader") == 2
