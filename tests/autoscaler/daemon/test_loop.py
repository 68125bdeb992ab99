"""The loop itself: order of reading, freshness, pauses, the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from autoscaler import fakes
from autoscaler.daemon.world import World, create, one_server_a_pending_pod
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.ports import Change, Unavailable


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(world.loop.run(stop))
    await fakes.settle()
    yield
    stop.set()
    world.trigger.close()
    await world.clock.advance(0)
    await asyncio.wait_for(task, 30)


async def test_nodes_are_read_before_servers_and_servers_before_pods(world: World) -> None:
    order: list[str] = []
    world.cluster.calls = world.cloud.calls = order

    await world.turn()

    assert [c for c in order if c in {"nodes", "list_servers", "pods"}] == [
        "nodes",
        "list_servers",
        "pods",
    ]


@pytest.mark.parametrize("servers", [1, 50, 51, 98])
async def test_an_idle_hour_costs_sixty_calls_at_most_however_many_servers(
    world: World, servers: int
) -> None:
    names = [f"demo-workers-{number:05}" for number in range(servers)]
    world.cloud.add(*(fakes.server(name) for name in names))
    world.cluster.add(*(fakes.node(name) for name in names))
    await world.turn()
    world.cloud.calls.clear()

    for _ in range(360):
        await world.clock.advance(10)
        await world.turn()

    pages = -(-servers // 50)
    others = len(world.cloud.calls) - world.cloud.count("list_servers")
    # Types fill a page, and the network is one call.
    assert 0 < world.cloud.count("list_servers") * pages + others <= 60


async def test_a_purchase_is_decided_on_a_fresh_list(world: World) -> None:
    await world.turn()
    await world.clock.advance(60)
    world.cluster.add(fakes.pod(unschedulable=True))
    world.cloud.add(fakes.server("demo-workers-made-elsewhere"))
    world.script = one_server_a_pending_pod

    await world.turn()

    assert world.cloud.count("create_server") == 0, "the fresh list has a server for the pod"
    assert world.cloud.count("list_servers") == 2


async def test_new_pods_are_answered_when_their_batch_closes(world: World) -> None:
    world.script = one_server_a_pending_pod
    async with running(world):
        await world.clock.advance(3)
        for name in ("web-1", "web-2"):
            world.cluster.add(fakes.pod(name, unschedulable=True))
            news = Change(
                kind="pods", monotonic=world.clock.monotonic(), pods=(PodKey("default", name),)
            )
            world.trigger.notify(news)
            await world.clock.advance(0.2)
        with capture_logs() as logs:
            await world.clock.advance(0.1)

    assert len(world.cloud.requests) == 2
    (seen,) = (line for line in logs if line["event"] == "pods.observed")
    assert seen["batch_closed"] - seen["monotonic"] == pytest.approx(0.5)
    assert world.metric("reaction_seconds_sum") == pytest.approx(0.5 + 0.3)


async def test_ticks_are_short_only_while_something_is_on_its_way(world: World) -> None:
    async with running(world):
        await world.clock.advance(60)
        idle = len(world.snapshots)
        world.cloud.add(fakes.server(status="starting"))
        await world.clock.advance(60)
        before = len(world.snapshots)
        await world.clock.advance(10)
        joining = len(world.snapshots) - before
        calls = world.cloud.count("list_servers")

    assert idle <= 8
    assert joining == 10
    assert calls <= 5, "ticks cost Hetzner nothing"


async def test_an_error_lengthens_the_pause_and_shows(world: World) -> None:
    async with running(world):
        world.script = _broken
        await world.clock.advance(400)
        turns = len(world.snapshots)
        problem = world.kit.health.problem()
        world.script = lambda _snapshot, _now: ()
        await world.clock.advance(121)
        healed = world.kit.health.problem()

    assert turns <= 8
    assert problem == "the last turn failed: ZeroDivisionError"
    assert healed == ""
    assert world.metric("loop_errors_total", kind="ZeroDivisionError") >= 3


def _broken(_snapshot: object, _now: object) -> tuple[()]:
    raise ZeroDivisionError


async def test_an_outage_of_hetzner_is_a_fact_with_an_end(world: World) -> None:
    await world.turn()
    before = world.snapshots[-1].healthy_since
    assert before is not None
    assert before < fakes.START - timedelta(hours=1)

    await world.clock.advance(100)
    world.cloud.fail("list_servers", *(Unavailable("no answer"),) * 1)
    await world.turn()
    assert world.snapshots[-1].healthy_since is None

    await world.clock.advance(1)
    await world.turn()
    assert world.snapshots[-1].healthy_since == fakes.START + timedelta(seconds=101)


async def test_while_hetzner_is_silent_it_is_asked_ever_less(world: World) -> None:
    await world.turn()
    world.cloud.fail("list_servers", *(Unavailable("no answer"),) * 10_000)
    await world.clock.advance(100)
    for _ in range(600):
        await world.turn()
        await world.clock.advance(1)

    assert world.cloud.count("list_servers") <= 1 + 6 + 600 / 60 + 1


async def test_a_silent_apiserver_is_an_outage(world: World) -> None:
    world.cluster.contact = world.clock.monotonic() - 120

    await world.turn()

    assert world.snapshots[-1].healthy_since is None


async def test_an_outage_is_remembered_by_the_next_process(world: World) -> None:
    world.cluster.contact = world.clock.monotonic() - 120
    await world.turn()

    world.cluster.contact = None
    world.restart()
    async with running(world):
        assert world.snapshots[-1].healthy_since == fakes.START

    await world.clock.advance(60)
    world.restart()
    async with running(world):
        assert world.snapshots[-1].healthy_since == fakes.START, "the freeze is not cut short"


async def test_sigterm_lets_the_work_in_hand_end(world: World) -> None:
    world.cloud.gate.clear()
    world.do(create())
    stop = asyncio.Event()
    task = asyncio.create_task(world.loop.run(stop))
    await fakes.settle()
    assert world.cloud.count("create_server") == 1

    world.do()
    stop.set()
    world.trigger.close()
    await fakes.settle()
    assert not task.done()
    world.cloud.gate.set()
    await asyncio.wait_for(task, 30)

    (server,) = world.cloud.servers.values()
    assert (server.attached, server.status) == (True, "running")


async def test_a_pool_status_says_what_holds_it_back(world: World) -> None:
    world.cluster.add(replace(fakes.pool(), problem="minNodes exceeds maxNodes"))

    await world.turn()

    status = world.cluster.statuses["workers"]
    conditions = {c.type: (c.status, c.reason) for c in status.conditions}
    assert conditions == {
        "Ready": (False, "Invalid"),
        "Paused": (False, "NotPaused"),
        "AtLimit": (False, "BelowLimits"),
        "CapacityAvailable": (True, "Available"),
    }


async def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    for _ in range(5):
        await world.turn()
        await world.clock.advance(10)

    assert world.cluster.count("write_pool_status") == 1
    assert world.cluster.count("write_report") == 1


async def test_a_report_that_cannot_be_written_does_not_stop_the_loop(world: World) -> None:
    world.cluster.fail("write_report", Unavailable("no answer"))

    await world.turn()
    await world.turn()

    assert world.cluster.report != {}
