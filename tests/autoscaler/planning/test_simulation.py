"""Many loops against a world that obeys: it converges, and does not flap."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from autoscaler.builders import (
    CONFIG,
    CX,
    NOW,
    elsewhere,
    node,
    ordered,
    pod,
    pool,
    seconds,
    snapshot,
)
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import Budget, Disruption, NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DeleteNode,
    DeleteServer,
    DrainNode,
    FinishServer,
    MarkReplacing,
    MarkUnneeded,
    UncordonNode,
)
from hk3s_autoscaler.planning.lifecycle import MOVES, Phase, phase
from hk3s_autoscaler.planning.plan import plan

LOOP = seconds(10)
BOOT = seconds(60)
OFFERINGS = {sold.key: sold for base in CX for sold in (base, elsewhere(base, "nbg1"))}


@dataclass
class Simulation:
    """Hetzner, the kubelets and the scheduler, as plain as can be."""

    pool: NodePool
    now: datetime = NOW
    servers: dict[str, Server] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    moves: set[tuple[Phase, Phase]] = field(default_factory=set)

    def world(self) -> Snapshot:
        return snapshot(
            pools=[self.pool],
            servers=self.servers.values(),
            nodes=self.nodes.values(),
            pods=self.pods.values(),
            offerings=OFFERINGS.values(),
            now=self.now,
        )

    def run(self, duration: timedelta) -> None:
        end = self.now + duration
        while self.now < end:
            before = self._phases()
            for action in plan(self.world(), CONFIG, self.now).actions:
                self.counts[type(action).__name__] += 1
                self._do_to_server(action)
                self._do_to_node(action)
            self._see(before)
            self.now += LOOP
            before = self._phases()
            self._boot()
            self._see(before)
            self._schedule()

    def demand(self, number: int, prefix: str = "p") -> None:
        """Have this many pods, newest gone first."""
        for name in [n for n in self.pods if n.startswith(prefix)][number:]:
            del self.pods[name]
        for n in range(number):
            name = f"{prefix}{n:04}"
            if name not in self.pods:
                self.pods[name] = pod(name, cpu="700m", memory="900Mi", waiting_since=self.now)
        self._schedule()

    def running(self) -> int:
        return sum(bool(p.node) for p in self.pods.values())

    def _do_to_server(self, action: Action) -> None:
        match action:
            case CreateServer():
                name = f"s{self.counts['CreateServer']:04}"
                made = ordered(action, name, now=self.now)
                self.servers[name] = replace(
                    made, server_id=self.counts["CreateServer"], status="off", bought_for=()
                )
            case FinishServer(step="attach"):
                self.servers[action.name] = replace(self.servers[action.name], attached=True)
            case FinishServer():
                self.servers[action.name] = replace(self.servers[action.name], status="running")
            case DeleteServer():
                assert not any(p.node == action.node for p in self.pods.values())
                del self.servers[action.name]

    def _do_to_node(self, action: Action) -> None:
        match action:
            case MarkUnneeded():
                self._change(action.node, unneeded_since=action.since)
            case MarkReplacing():
                self._change(
                    action.node, replacing_since=action.since, replacing_reason=action.why or ""
                )
            case CordonNode():
                self._change(
                    action.node,
                    unschedulable=True,
                    draining_since=self.now,
                    draining_reason=action.reason.code.value,
                )
            case UncordonNode():
                self._change(
                    action.node,
                    unschedulable=False,
                    draining_since=None,
                    draining_reason="",
                    unneeded_since=None,
                    replacing_since=None,
                    replacing_reason="",
                )
            case DrainNode():
                for key in action.pods:
                    del self.pods[key.name]
            case DeleteNode():
                del self.nodes[action.node]

    def _change(self, name: str, **changes: object) -> None:
        self.nodes[name] = replace(self.nodes[name], **changes)  # type: ignore[arg-type]

    def _boot(self) -> None:
        for server in self.servers.values():
            ready = server.status == "running" and server.created_at + BOOT <= self.now
            if ready and server.name not in self.nodes:
                self.nodes[server.name] = node(
                    server, sold=OFFERINGS[server.offering], ready_since=self.now
                )

    def _schedule(self) -> None:
        """Most allocated node first, as the product's scheduler profile scores."""
        rooms = {
            name: found.allocatable for name, found in self.nodes.items() if not found.unschedulable
        }
        for p in self.pods.values():
            if p.node in rooms:
                rooms[p.node] -= p.spec.requests
        for name, p in list(self.pods.items()):
            fitting = [n for n, room in rooms.items() if p.spec.requests.fits(room)]
            if p.node or not fitting:
                continue
            best = min(fitting, key=lambda n: (rooms[n].cpu_milli, n))
            rooms[best] -= p.spec.requests
            self.pods[name] = replace(p, node=best, phase="Running", unschedulable_since=None)

    def _phases(self) -> dict[str, Phase]:
        names = self.servers.keys() | self.nodes.keys()
        return {n: phase(self.servers.get(n), self.nodes.get(n), self.now) for n in names}

    def _see(self, before: dict[str, Phase]) -> None:
        after = self._phases()
        self.moves |= {
            (before[n], after[n]) for n in before.keys() & after.keys() if before[n] != after[n]
        }


def quick(*, min_nodes: int = 0, max_nodes: int = 50) -> NodePool:
    disruption = Disruption(
        consolidate_after=seconds(30), keep_until_hour_end=False, budgets=(Budget(number=3),)
    )
    return pool(disruption=disruption, min_nodes=min_nodes, max_nodes=max_nodes)


def test_all_pods_run_then_all_nodes_go() -> None:
    simulation = Simulation(quick())

    simulation.demand(60)
    simulation.run(seconds(300))
    servers = len(simulation.servers)
    assert simulation.running() == 60
    assert simulation.counts["CreateServer"] == servers

    simulation.demand(0)
    simulation.run(seconds(600))
    assert simulation.servers == {}
    assert simulation.nodes == {}
    assert simulation.counts["DeleteServer"] == servers
    assert simulation.moves <= {(a, b) for a, after in MOVES.items() for b in after}


def test_a_steady_world_is_left_alone() -> None:
    simulation = Simulation(quick())
    simulation.demand(40)
    simulation.run(seconds(600))
    settled = simulation.counts.copy()

    simulation.run(seconds(3600))

    assert simulation.counts == settled


@pytest.mark.parametrize("keep_hour", [True, False])
def test_a_load_that_comes_and_goes_does_not_buy_and_delete_each_time(*, keep_hour: bool) -> None:
    """Five minutes on, five off: less than `consolidateAfter`, so the servers stay."""
    workers = pool(
        disruption=Disruption(consolidate_after=seconds(600), keep_until_hour_end=keep_hour)
    )
    simulation = Simulation(workers)

    for _ in range(12):
        simulation.demand(30)
        simulation.run(seconds(300))
        simulation.demand(0)
        simulation.run(seconds(300))

    assert simulation.counts["DeleteServer"] == 0
    assert simulation.counts["CreateServer"] == len(simulation.servers)


def test_an_idle_server_is_kept_for_the_hour_that_is_paid() -> None:
    simulation = Simulation(pool(disruption=Disruption(consolidate_after=seconds(30))))
    simulation.demand(1)
    simulation.run(seconds(120))
    simulation.demand(0)

    simulation.run(seconds(49 * 60 - 120))
    assert len(simulation.servers) == 1
    simulation.run(seconds(7 * 60))
    assert simulation.servers == {}


def test_the_minimum_stays() -> None:
    simulation = Simulation(quick(min_nodes=2))

    simulation.run(seconds(1200))

    assert len(simulation.nodes) == 2
    assert simulation.counts["CreateServer"] == 2
    assert simulation.counts["DeleteServer"] == 0


def test_waves_above_the_maximum_stay_below_it_and_end_with_nothing_left() -> None:
    simulation = Simulation(quick(max_nodes=6))

    for wave in (45, 10, 200, 0):
        simulation.demand(wave)
        simulation.run(seconds(1800))
        assert len(simulation.servers) <= 6

    assert simulation.servers == {}
