"""What a simulation plays: workloads over time, stock over time, and how servers join."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import DaemonSet, Pod
from hk3s_autoscaler.model.snapshot import PlanConfig

LONGEST = timedelta(days=21)
"""No server reaches its monthly price cap within this time (at 624 hours), so hours are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """From a time on so many pods of a workload are wanted."""

    at: timedelta
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Pods that come `every` so often within [start, until), `pods` at once, and end by themselves.

    A pod runs for a time between `shortest` and `longest`, counted from when it was bound.
    """

    start: timedelta
    until: timedelta
    every: timedelta
    pods: int
    shortest: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruptions:
    """A PodDisruptionBudget over the pods of one workload: how many must run, or may not.

    One of both is set, as a number, or as a share of the pods that there are with `percent`.
    """

    min_available: int | None = None
    max_unavailable: int | None = None
    percent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pods like `pod`: kept at a number (`levels`), or arriving and ending (`arrivals`).

    With `repeat` all of it happens again after that time, until the trace ends.
    """

    name: str
    pod: Pod
    levels: tuple[Level, ...] = ()
    arrivals: tuple[Arrivals, ...] = ()
    repeat: timedelta | None = None
    disruptions: Disruptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """From a time on so many servers of the offerings that match `type/location` can be had.

    `left=None` is any number. What is not `announced` does not show in Hetzner's `available`.
    """

    at: timedelta
    offering: str
    left: int | None
    announced: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """How long a server takes from the create call to a Ready node, and how many never do."""

    shortest: timedelta = timedelta(seconds=40)
    longest: timedelta = timedelta(seconds=80)
    failing_percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One story. Without news the planner looks each `interval`; the daemon does each 10 s.

    `packing`: kube-scheduler has the product's profile, full nodes first; else empty ones first.
    """

    start: datetime
    duration: timedelta
    workloads: tuple[Workload, ...]
    stock: tuple[Stock, ...] = ()
    joining: Joining = Joining()
    daemonsets: tuple[DaemonSet, ...] = ()
    interval: timedelta = timedelta(minutes=2)
    packing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What may be bought, and the bounds of the whole cluster."""

    pools: tuple[NodePool, ...]
    offerings: tuple[Offering, ...]
    config: PlanConfig
