"""What a simulation found, as facts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.planning.reasons import Code


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
    `churned` servers were deleted within an hour of their purchase, `failed` never joined;
    `refused` purchases met an offering that was sold out.
    """

    start: datetime
    duration: timedelta
    micro_eur: int
    bound_micro_eur: int
    waits: tuple[timedelta, ...]
    unserved: tuple[Unserved, ...]
    bought: tuple[tuple[OfferingKey, int], ...]
    deleted: int
    churned: int
    failed: int
    refused: int
    evictions: int
    looks: int
    samples: tuple[Sample, ...]

    @property
    def servers_bought(self) -> int:
        """How many servers were bought."""
        return sum(number for _, number in self.bought)

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
