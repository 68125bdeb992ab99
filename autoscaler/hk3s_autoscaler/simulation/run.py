"""Play a trace: what happens, what the planner makes of it, what becomes of that."""

import heapq
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.simulation.binding import bind
from hk3s_autoscaler.simulation.bound import bound_over_time
from hk3s_autoscaler.simulation.cluster import Cluster
from hk3s_autoscaler.simulation.journal import Journal, unserved
from hk3s_autoscaler.simulation.result import Result
from hk3s_autoscaler.simulation.script import Arrive, Happening, Scale, script
from hk3s_autoscaler.simulation.trace import Market, Stock, Trace

_BATCH = timedelta(seconds=2)
"""After news the planner waits for more of it: the daemon's longest batch."""
_TICK = timedelta(seconds=1)
"""After a plan that did something, the next look: the daemon's."""
_RETRY = timedelta(seconds=10)
"""After a plan that asks for the same once more: the daemon's loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Join:
    """A server's node registers."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """A pod has run its time."""

    pod: PodKey


_Event = Happening | _Join | _End


def simulate(trace: Trace, market: Market, chance: random.Random) -> Result:
    """Play a trace to its end; equal arguments give equal results."""
    return _Player(trace, market, chance).play()


@dataclass
class _Player:
    """The state of one play."""

    trace: Trace
    market: Market
    chance: random.Random
    now: datetime = field(init=False)
    lifetimes: dict[PodKey, timedelta] = field(default_factory=dict)
    ends: dict[PodKey, datetime] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    _last: Plan = field(default_factory=Plan)

    def __post_init__(self) -> None:
        self.now = self.trace.start
        self.cluster = Cluster(trace=self.trace, market=self.market, chance=self.chance)
        self.journal = Journal(
            start=self.trace.start, workloads=tuple(w.name for w in self.trace.workloads)
        )
        self._serial = count()
        self._queue: list[tuple[datetime, int, _Event]] = []
        for at, event in script(self.trace, self.chance):
            self._at(self.trace.start + at, event)

    def play(self) -> Result:
        """Go from one event or look to the next until the end."""
        end, look = self.trace.start + self.trace.duration, self.trace.start
        while True:
            self.now = min(look, self._queue[0][0]) if self._queue else look
            if self.now >= end:
                return self._result(end)
            if self._happens():
                look = min(look, self.now + _BATCH)
            if look <= self.now:
                look = self.now + self._plan()
            self.journal.see(self.cluster, self.now)

    def _happens(self) -> bool:
        """Let everything happen that is due, and say whether the planner should look soon."""
        joined, before = False, len(self.cluster.pods)
        while self._queue and self._queue[0][0] <= self.now:
            _, _, event = heapq.heappop(self._queue)
            self._happen(event)
            joined |= isinstance(event, _Join)
        self._bind()
        fresh = len(self.cluster.pods) > before
        return joined or (fresh and any(not pod.node for pod in self.cluster.pods.values()))

    def _happen(self, event: _Event) -> None:
        match event:
            case Scale():
                self._scale(event)
            case Arrive():
                made = self.cluster.add_pod(event.workload.pod, event.workload.name, self.now)
                self.lifetimes[made.key] = event.lifetime
            case Stock():
                self.cluster.restock(event)
            case _Join() if event.server in self.cluster.servers:
                self.cluster.join(event.server, self.now)
            case _End() if self.ends.get(event.pod) == self.now:
                self._drop(event.pod)

    def _scale(self, event: Scale) -> None:
        name = event.workload.name
        own = [
            pod
            for key, pod in self.cluster.pods.items()
            if self.cluster.workload_of[key] == name and key not in self.lifetimes
        ]
        # Controllers delete pods that wait first, then the youngest.
        own.sort(key=lambda pod: (not pod.node, pod.created_at, pod.key))
        for pod in own[event.count :]:
            self._drop(pod.key)
        for _ in range(event.count - len(own)):
            self.cluster.add_pod(event.workload.pod, name, self.now)

    def _drop(self, key: PodKey) -> None:
        self.cluster.remove_pod(key)
        self.lifetimes.pop(key, None)
        self.ends.pop(key, None)

    def _plan(self) -> timedelta:
        """Make a plan and do it; return when to look again."""
        self.journal.looks += 1
        before = self._last.actions
        self._last = plan(self.cluster.snapshot(self.now), self.market.config, self.now)
        self.cluster.carry_out(self._last.actions, self.now)
        for name, at in self.cluster.joins_at.items():
            if name not in self.announced:
                self.announced.add(name)
                self._at(at, _Join(server=name))
        self._bind()
        if not self._last.actions:
            return self.trace.interval
        # What is asked for again met an obstacle: an eviction that a budget does not allow.
        return _TICK if self._last.actions != before else _RETRY

    def _bind(self) -> None:
        bound = bind(self.cluster, self.now)
        self.journal.bound(bound, self.now)
        for pod in bound:
            lifetime = self.lifetimes.get(pod.key)
            if lifetime is not None:
                # A pod that was evicted begins anew: its earlier end does not count any more.
                self.ends[pod.key] = self.now + lifetime
                self._at(self.now + lifetime, _End(pod=pod.key))

    def _at(self, at: datetime, event: _Event) -> None:
        heapq.heappush(self._queue, (at, next(self._serial), event))

    def _result(self, end: datetime) -> Result:
        cluster, samples = self.cluster, tuple(self.journal.samples)
        lives = tuple(cluster.lives.values())
        world = World(
            snapshot=cluster.snapshot(self.trace.start),
            config=self.market.config,
            now=self.trace.start,
        )
        return Result(
            start=self.trace.start,
            duration=self.trace.duration,
            micro_eur=sum(life.paid(end) for life in lives),
            bound_micro_eur=bound_over_time(self.trace, self.market, world, samples),
            waits=tuple(sorted(self.journal.waits)),
            unserved=unserved(cluster, self._last),
            lives=lives,
            refused=cluster.refused,
            evictions=cluster.evictions,
            blocked=cluster.blocked,
            looks=self.journal.looks,
            samples=samples,
        )
