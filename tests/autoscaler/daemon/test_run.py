"""The process: probes, Lease, signals."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestClient, TestServer

from autoscaler import fakes
from autoscaler.daemon.world import World, create
from hk3s_autoscaler.daemon import loop
from hk3s_autoscaler.daemon.http import Binding, health_app, metrics_app
from hk3s_autoscaler.daemon.run import Daemon, LeaseLost, run_until_signal
from hk3s_autoscaler.ports import NotLeader
from hk3s_hetzner.transport import WRITE_ATTEMPT_SECONDS
from hk3s_kube.lease import LeaseTimes


class Election:
    """A Lease that is ours when a test says so; `released` once it was given back.

    As with the real one, `lost` is set whenever leading ends, whatever ended it.
    """

    def __init__(self, lost: asyncio.Event) -> None:
        self.leading = False
        self.released = False
        self._lost = lost
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()
        self.released = True
        if self.leading:
            self.leading = False
            self._lost.set()

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        if not self.leading:
            raise NotLeader("another process leads")


@dataclass
class Process:
    world: World
    election: Election
    lost: asyncio.Event
    daemon: Daemon


@pytest.fixture
async def process() -> Process:
    world, lost = World(), asyncio.Event()
    election = Election(lost)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def at_once() -> None:
        return

    daemon = Daemon(
        kit=world.kit,
        loop=world.loop,
        trigger=world.trigger,
        election=election,
        may_write=election.check,
        lost=lost,
        watches=for_ever,
        synced=at_once,
        binding=Binding(address="127.0.0.1", metrics_port=0, health_port=0),
    )
    return Process(world, election, lost, daemon)


async def until(holds: Callable[[], bool], process: Process) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await process.world.clock.advance(0.25)
            await sockets()


async def sockets() -> None:
    """Let the event loop look at its sockets once."""
    waiter = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, waiter.set_result, None)
    await waiter


async def test_a_standby_decides_nothing_until_the_lease_is_ours(process: Process) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(process.daemon.run(stop))
    await until(lambda: process.world.kit.health.standby, process)
    await process.world.clock.advance(300)
    assert process.world.snapshots == []
    assert not process.world.kit.health.is_stuck

    process.election.leading = True
    await until(lambda: bool(process.world.snapshots), process)

    assert process.world.metric("leader") == 1
    stop.set()
    await asyncio.wait_for(task, 30)
    assert process.election.released


async def test_a_leader_whose_calls_are_on_their_way_keeps_the_lease_until_it_ends(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given back, it would let the next leader write at once, beside a create of ours."""

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(process.world.cloud, "create_server", never)
    monkeypatch.setattr(loop, "_FAREWELL", 0.01)
    process.election.leading = True
    process.world.do(create())
    stop = asyncio.Event()
    task = asyncio.create_task(process.daemon.run(stop))
    await until(lambda: bool(process.world.snapshots), process)

    stop.set()
    await asyncio.wait_for(task, 30)

    assert not process.election.released
    assert process.election.leading


def test_a_new_leader_waits_out_every_call_to_hetzner_that_passed_the_last_ones_fence() -> None:
    assert LeaseTimes().write >= WRITE_ATTEMPT_SECONDS


async def test_a_lost_lease_ends_the_process(process: Process) -> None:
    process.election.leading = True
    task = asyncio.create_task(process.daemon.run(asyncio.Event()))
    await until(lambda: bool(process.world.snapshots), process)

    process.lost.set()

    with pytest.raises(ExceptionGroup) as group:
        await asyncio.wait_for(task, 30)
    assert group.group_contains(LeaseLost)
    assert process.world.metric("leader") == 0


@pytest.mark.parametrize(("lose", "code"), [(False, 0), (True, 1)], ids=["sigterm", "lease-lost"])
async def test_exit_codes(process: Process, *, lose: bool, code: int) -> None:
    process.election.leading = True
    process.world.do(create())
    task = asyncio.create_task(run_until_signal(process.daemon))
    await until(lambda: bool(process.world.cloud.requests), process)

    if lose:
        process.lost.set()
    else:
        os.kill(os.getpid(), signal.SIGTERM)

    assert await asyncio.wait_for(task, 30) == code


async def test_a_port_that_is_taken_ends_the_process(process: Process) -> None:
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    binding = Binding(address="127.0.0.1", metrics_port=port, health_port=0)
    process.election.leading = True
    daemon = Daemon(
        **{
            **{name: getattr(process.daemon, name) for name in Daemon.__slots__},
            "binding": binding,
        }
    )

    code = await asyncio.wait_for(run_until_signal(daemon), 30)

    taken.close()
    await taken.wait_closed()
    assert code == 1


async def test_probes_tell_how_the_daemon_is() -> None:
    world = World()
    health = world.kit.health
    async with TestClient(TestServer(health_app(health))) as client:

        async def ask(path: str) -> tuple[int, str]:
            response = await client.get(path)
            return response.status, (await response.text()).strip()

        assert await ask("/readyz") == (503, "no turn has ended yet")
        health.standby = True
        assert await ask("/readyz") == (200, "standby")
        health.standby = False
        health.succeeded()
        assert await ask("/readyz") == (200, "ok")
        health.failed("Unavailable")
        assert await ask("/readyz") == (503, "the last turn failed: Unavailable")
        assert await ask("/healthz") == (200, "ok")
        await world.clock.advance(181)
        assert (await ask("/healthz"))[0] == 503


NAMES = [
    "leader",
    "loop_last_success_timestamp_seconds",
    "loop_duration_seconds",
    "loop_errors_total",
    "pending_pods",
    "nodes",
    "pool_max_nodes",
    "pool_min_nodes",
    "pool_at_limit",
    "pool_paused",
    "eur_per_hour",
    "servers_created_total",
    "nodes_joined_total",
    "servers_deleted_total",
    "servers_replaced_total",
    "create_failures_total",
    "fallbacks_total",
    "join_failures_total",
    "join_seconds",
    "reaction_seconds",
    "evictions_total",
    "drain_blocked",
    "offering_blocked",
    "orphans_collected_total",
    "network_attachments",
    "network_attachments_max",
    "hetzner_requests_total",
    "hetzner_ratelimit_remaining",
    "paused",
    "dry_run",
    "build_info",
]


async def test_every_metric_that_alerts_may_use_is_there() -> None:
    world = World()
    world.cluster.add(fakes.pod(unschedulable=True))
    await world.turn()
    async with TestClient(TestServer(metrics_app(world.kit.metrics))) as client:
        text = await (await client.get("/metrics")).text()

    found = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert found >= {f"hk3s_autoscaler_{name}" for name in NAMES}
    assert 'hk3s_autoscaler_pool_max_nodes{pool="workers"} 10.0' in text
    assert 'hk3s_autoscaler_build_info{version="test"} 1.0' in text
