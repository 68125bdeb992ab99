"""The simulated cluster under a test's hand: demand that changes, and every move counted."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from autoscaler.builders import CONFIG, CX, NOW, elsewhere, pod, seconds
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.planning.lifecycle import Phase, phase
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.simulation.binding import bind
from hk3s_autoscaler.simulation.cluster import Cluster
from hk3s_autoscaler.simulation.result import Life
from hk3s_autoscaler.simulation.trace import Joining, Market, Stock, Trace, Workload

LOOP = seconds(10)
JOINING = Joining(shortest=seconds(60), longest=seconds(60))
OFFERINGS = tuple(sold for base in CX for sold in (base, elsewhere(base, "nbg1")))


@dataclass
class Simulation:
    """A cluster that is looked at each `loop` while something happens, else each `idle`.

    `packing`: the scheduler prefers full nodes, as the product's profile does; else empty ones.
    `workloads` say which pods have a PodDisruptionBudget; `watch` is called after each loop.
    """

    pool: NodePool
    loop: timedelta = LOOP
    idle: timedelta = LOOP
    config: PlanConfig = CONFIG
    packing: bool = True
    workloads: tuple[Workload, ...] = ()
    joining: Joining = JOINING
    seed: int = 0
    watch: Callable[["Simulation"], None] | None = None
    now: datetime = NOW
    most_servers: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    moves: set[tuple[Phase, Phase]] = field(default_factory=set)
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        trace = Trace(
            start=NOW,
            duration=timedelta(),
            workloads=self.workloads,
            joining=self.joining,
            packing=self.packing,
        )
        market = Market(pools=(self.pool,), offerings=OFFERINGS, config=self.config)
        chance = random.Random(self.seed)  # noqa: S311 - a test's chance
        self.cluster = Cluster(trace=trace, market=market, chance=chance)

    def run(self, duration: timedelta) -> None:
        end = self.now + duration
        while self.now < end:
            before = self._phases()
            actions = plan(self.cluster.snapshot(self.now), self.config, self.now).actions
            self.counts.update(type(action).__name__ for action in actions)
            self.cluster.carry_out(actions, self.now)
            bind(self.cluster, self.now)
            self._see(before)
            self.most_servers = max(self.most_servers, len(self.cluster.servers))
            if self.watch is not None:
                self.watch(self)
            busy = bool(actions) or self.running() < len(self.cluster.pods)
            self.now += self.loop if busy else max(self.loop, self.idle)
            self._join()

    def demand(
        self,
        number: int,
        name: str = "p",
        *,
        cpu: str = "700m",
        memory: str = "900Mi",
        like: Pod | None = None,
    ) -> None:
        """Have this many pods of a kind, newest gone first."""
        own = [key for key, kind in self.cluster.workload_of.items() if kind == name]
        for key in own[number:]:
            self.cluster.remove_pod(key)
        for _ in range(number - len(own)):
            self.cluster.add_pod(like or pod(name, cpu=cpu, memory=memory), name, self.now)
        bind(self.cluster, self.now)

    def stock(self, left: int | None, kinds: Iterable[str], *, announced: bool = True) -> None:
        """So many more of some types can be had; `None` is any number."""
        for kind in kinds:
            change = Stock(at=timedelta(), offering=f"{kind}/*", left=left, announced=announced)
            self.cluster.restock(change)

    def running(self) -> int:
        return sum(bool(pod.node) for pod in self.cluster.pods.values())

    def ended(self) -> list[Life]:
        """Servers that are gone."""
        return [life for life in self.cluster.lives.values() if life.ended_at is not None]

    def lifetimes(self) -> list[timedelta]:
        """How long servers were there that had joined and are gone."""
        return [life.length for life in self.ended() if life.joined and life.length is not None]

    def spent(self) -> int:
        """Micro-euro until now, hours begun counted whole."""
        return sum(life.paid(self.now) for life in self.cluster.lives.values())

    def price(self) -> int:
        """Micro-euro an hour now."""
        return sum(s.micro_eur_per_hour for s in self.cluster.servers.values())

    def offerings(self) -> list[OfferingKey]:
        """What the servers are."""
        return sorted(server.offering for server in self.cluster.servers.values())

    def _join(self) -> None:
        before = self._phases()
        for name, at in list(self.cluster.joins_at.items()):
            if at <= self.now:
                del self.cluster.joins_at[name]
                self.cluster.join(name, self.now)
        self._see(before)
        bind(self.cluster, self.now)

    def _phases(self) -> dict[str, Phase]:
        servers, nodes = self.cluster.servers, self.cluster.nodes
        names = servers.keys() | nodes.keys()
        return {n: phase(servers.get(n), nodes.get(n), self.now) for n in names}

    def _see(self, before: dict[str, Phase]) -> None:
        after = self._phases()
        self.moves |= {
            (before[n], after[n]) for n in before.keys() & after.keys() if before[n] != after[n]
        }
