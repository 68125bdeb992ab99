"""What a simulation found, as facts."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.planning.reasons import Code

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A server that was bought, and its end and the reason for it if it has come."""

    offering: OfferingKey
    bought_at: datetime
    micro_eur_per_hour: int
    ended_at: datetime | None = None
    why: Code | None = None
    joined: bool = False

    def paid(self, now: datetime) -> int:
        """Micro-euro until now: every hour that has begun is whole."""
        end = self.ended_at or now
        return self.micro_eur_per_hour * max(1, -(-(end - self.bought_at) // HOUR))

    @property
    def length(self) -> timedelta | None:
        """How long it was there, once it is gone."""
        return None if self.ended_at is None else self.ended_at - self.bought_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The cluster from a time on: pods that wait and run, Ready nodes, servers and their price.

    `by_workload` are the running pods of each workload, in the order of the trace.
    """

    at: timedelta
    waiting: int
    nodes: int
    servers: int
    micro_eur_per_hour: int
    by_workload: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """Pods that still wait when the trace ends, and why."""

    reason: Code
    message: str
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a trace.

    `micro_eur` is what is paid: each begun hour of each server, net. `bound_micro_eur` is a price
    that no purchase undercuts that runs the same pods at the same times, even one that pays by the
    second and never waits for a server.
    `waits` are the times from a pod's creation (or eviction) to its binding, shortest first.
    `lives` are all servers that were bought; `refused` purchases met an offering that was sold out,
    `blocked` evictions a PodDisruptionBudget.
    """

    start: datetime
    duration: timedelta
    micro_eur: int
    bound_micro_eur: int
    waits: tuple[timedelta, ...]
    unserved: tuple[Unserved, ...]
    lives: tuple[Life, ...]
    refused: int
    evictions: int
    blocked: int
    looks: int
    samples: tuple[Sample, ...]

    @property
    def bought(self) -> tuple[tuple[OfferingKey, int], ...]:
        """How many servers were bought of what."""
        return tuple(sorted(Counter(life.offering for life in self.lives).items()))

    @property
    def servers_bought(self) -> int:
        """How many servers were bought."""
        return len(self.lives)

    @property
    def deleted(self) -> int:
        """Servers that were deleted."""
        return sum(life.ended_at is not None for life in self.lives)

    @property
    def churned(self) -> int:
        """Servers that joined and were deleted within an hour of their purchase."""
        return sum(life.joined and (life.length or HOUR) < HOUR for life in self.lives)

    @property
    def failed(self) -> int:
        """Servers that were deleted without ever having joined."""
        return sum(life.ended_at is not None and not life.joined for life in self.lives)

    @property
    def most_servers(self) -> int:
        """The most servers at any one time."""
        return max((sample.servers for sample in self.samples), default=0)

    @property
    def most_micro_eur_per_hour(self) -> int:
        """The highest price per hour at any one time."""
        return max((sample.micro_eur_per_hour for sample in self.samples), default=0)

    def wait(self, percent: float) -> timedelta:
        """The wait that so many per cent of the pods do not exceed (nearest rank)."""
        if not self.waits:
            return timedelta()
        rank = -(-len(self.waits) * percent // 100)
        return self.waits[max(0, min(len(self.waits), int(rank)) - 1)]
