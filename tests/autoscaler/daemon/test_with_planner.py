"""The daemon with the real planner in a world of fakes: from pending pods to nothing left."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import fakes
from autoscaler.daemon.world import World
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.model.nodepool import Budget, Disruption
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.ports import CapacityUnavailable, Unavailable

POOL = fakes.pool(
    disruption=Disruption(
        consolidate_after=timedelta(seconds=30),
        keep_until_hour_end=False,
        budgets=(Budget(number=10),),
    )
)


class Planned(World):
    """A world in which servers boot for ten seconds and pods are bound when they are Ready."""

    def __init__(self) -> None:
        super().__init__(
            fakes.offering("cx23/fsn1"), fakes.offering("cx23/nbg1", micro_eur_per_hour=7000)
        )
        self.cluster.add(POOL)

    def restart(self) -> None:
        super().restart()
        self.loop = Loop(self.kit, self.trigger, plan=plan, config=PlanConfig(), interval=10.0)

    def pods(self, count: int) -> None:
        self.cluster.add(*(fakes.pod(f"web-{n}", unschedulable=True) for n in range(count)))

    async def live(self, seconds: int) -> None:
        """Turn once a second while the world goes on."""
        for _ in range(seconds):
            await self.turn()
            await self.clock.advance(1)
            self._boot()
            self._schedule()

    def _boot(self) -> None:
        for server in self.cloud.servers.values():
            up = (self.clock.now() - server.created_at).total_seconds() >= 10
            known = server.name in self.cluster.node_objects
            if server.status == "running" and up and not known:
                node = fakes.node(server.name, server_id=server.server_id)
                self.cluster.add(replace(node, created_at=self.clock.now()))

    def _schedule(self) -> None:
        for key, pod in self.cluster.pod_objects.items():
            for node in self.cluster.node_objects.values():
                bound = [p for p in self.cluster.pod_objects.values() if p.node == node.name]
                if not pod.node and not node.unschedulable and len(bound) < 3:
                    self.cluster.pod_objects[key] = replace(
                        pod, node=node.name, phase="Running", unschedulable_since=None
                    )
                    break


@pytest.fixture
def world() -> Planned:
    return Planned()


async def test_servers_come_for_pods_and_go_when_they_are_idle(world: Planned) -> None:
    world.pods(6)
    await world.live(20)

    assert all(pod.node for pod in world.cluster.pod_objects.values())
    bought = len(world.cloud.requests)
    assert bought == 2
    assert world.cluster.tokens == {}

    world.cluster.pod_objects.clear()
    await world.live(60)

    assert world.cloud.servers == {}
    assert world.cluster.node_objects == {}
    assert len(world.cloud.requests) == bought


async def test_a_crash_at_any_second_buys_nothing_twice(world: Planned) -> None:
    world.pods(6)
    for _ in range(20):
        await world.live(1)
        world.restart()
        await world.loop._reporter.restore()
    await world.live(10)

    assert len(world.cloud.requests) == 2
    assert all(pod.node for pod in world.cluster.pod_objects.values())


@pytest.mark.parametrize("step", ["create_server", "attach_server", "power_on_server"])
async def test_a_step_that_fails_once_costs_nothing_but_time(world: Planned, step: str) -> None:
    world.pods(3)
    world.cloud.fail(step, Unavailable("no answer"))

    await world.live(30)

    assert list(world.cloud.servers) == ["demo-workers-1"]
    assert all(pod.node for pod in world.cluster.pod_objects.values())


async def test_when_the_cheapest_is_sold_out_the_next_is_taken(world: Planned) -> None:
    first = fakes.key("cx23/fsn1")
    world.cloud.refusals[first] = CapacityUnavailable(first, "no room")
    world.pods(3)

    await world.live(20)

    assert [str(s.offering) for s in world.cloud.servers.values()] == ["cx23/nbg1"]


async def test_a_server_that_never_joins_is_replaced(world: Planned) -> None:
    world.pods(3)
    world._boot = lambda: None  # type: ignore[method-assign]
    await world.live(2)
    await world.clock.advance(15 * 60)
    await world.live(2)

    assert world.metric("join_failures_total", pool="workers", step="unreachable") == 1
    assert list(world.cloud.servers) == ["demo-workers-2"]
    await asyncio.sleep(0)
