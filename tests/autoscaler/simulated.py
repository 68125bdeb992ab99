"""A world that obeys the planner: Hetzner, kubelets and a scheduler, in virtual time."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from autoscaler.builders import CONFIG, CX, NOW, elsewhere, node, ordered, pod, seconds, snapshot
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import OfferingBlock, OfferingKey
from hk3s_autoscaler.model.pod import DisruptionBudget, Pod
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
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
from hk3s_autoscaler.planning.lifecycle import Phase, phase
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

LOOP = seconds(10)
BOOT = seconds(60)
OFFERINGS = {sold.key: sold for base in CX for sold in (base, elsewhere(base, "nbg1"))}


@dataclass
class Simulation:
    """Hetzner, the kubelets and the scheduler, as plain as can be.

    It is looked at each `loop` while something happens, else each `idle`.
    `fullest`: the scheduler prefers full nodes, as the product's profile does; else empty ones.
    `sold_out` are offerings that cannot be had; `lifetimes` of the servers that are gone, with why.
    """

    pool: NodePool
    now: datetime = NOW
    loop: timedelta = LOOP
    idle: timedelta = LOOP
    config: PlanConfig = CONFIG
    fullest: bool = True
    budgets: tuple[DisruptionBudget, ...] = ()
    sold_out: set[OfferingKey] = field(default_factory=set)
    micro_eur: int = 0
    most_servers: int = 0
    evictions: int = 0
    lifetimes: list[tuple[str, timedelta, Code]] = field(default_factory=list)
    servers: dict[str, Server] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    moves: set[tuple[Phase, Phase]] = field(default_factory=set)

    def world(self) -> Snapshot:
        return snapshot(
            pools=[replace(self.pool, blocks=self._blocks())],
            budgets=self.budgets,
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
            actions = plan(self.world(), self.config, self.now).actions
            for action in actions:
                self.counts[type(action).__name__] += 1
                self._do_to_server(action)
                self._do_to_node(action)
            self._see(before)
            self.most_servers = max(self.most_servers, len(self.servers))
            waits = any(not p.node for p in self.pods.values())
            self.now += self.loop if actions or waits else max(self.loop, self.idle)
            before = self._phases()
            self._boot()
            self._see(before)
            self._schedule()

    def demand(
        self, number: int, prefix: str = "p", *, cpu: str = "700m", memory: str = "900Mi"
    ) -> None:
        """Have this many pods of a kind, newest gone first."""
        for name in [n for n in self.pods if n.startswith(prefix)][number:]:
            del self.pods[name]
        for n in range(number):
            name = f"{prefix}{n:04}"
            if name not in self.pods:
                self.pods[name] = pod(name, cpu=cpu, memory=memory, waiting_since=self.now)
        self._schedule()

    def offered(self) -> tuple[OfferingKey, ...]:
        """All that is for sale when nothing is sold out."""
        return tuple(OFFERINGS)

    def running(self) -> int:
        return sum(bool(p.node) for p in self.pods.values())

    def _do_to_server(self, action: Action) -> None:
        match action:
            case CreateServer() if action.offering not in self.sold_out:
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
                gone = self.servers.pop(action.name)
                life = self.now - gone.created_at
                self.lifetimes.append((gone.name, life, action.reason.code))
                self.micro_eur += gone.micro_eur_per_hour * -(-life // timedelta(hours=1))

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
                    self._evict(key.name)
            case DeleteNode():
                del self.nodes[action.node]

    def _evict(self, name: str) -> None:
        """Its controller makes it anew."""
        old = self.pods.pop(name)
        self.evictions += 1
        self.pods[name] = replace(old, node="", phase="Pending", unschedulable_since=self.now)

    def _blocks(self) -> tuple[OfferingBlock, ...]:
        until = self.now + timedelta(minutes=10)
        return tuple(
            OfferingBlock(key=key, reason="resource_unavailable", until=until)
            for key in sorted(self.sold_out)
        )

    def spent(self) -> int:
        """Micro-euro until now, hours begun counted whole."""
        running = sum(
            s.micro_eur_per_hour * -(-(self.now - s.created_at) // timedelta(hours=1))
            for s in self.servers.values()
        )
        return self.micro_eur + running

    def price(self) -> int:
        """Micro-euro an hour now."""
        return sum(s.micro_eur_per_hour for s in self.servers.values())

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
        """One pod after another, each to the node that scores best for it."""
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
            sign = 1 if self.fullest else -1
            best = min(fitting, key=lambda n: (sign * rooms[n].cpu_milli, n))
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
