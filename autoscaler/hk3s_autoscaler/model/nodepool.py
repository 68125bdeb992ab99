"""NodePools as the planner sees them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from hk3s_autoscaler.model.offering import Architecture, OfferingBlock
from hk3s_autoscaler.model.pod import Taint
from hk3s_kube.cron import Schedule

DisruptionPolicy = Literal["Never", "WhenEmpty", "WhenUnderutilized"]
DisruptionReason = Literal["Empty", "Underutilized", "Drifted", "Expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFilter:
    """Which server types a pool takes: those named (if any are), and within the bounds.

    A named type may have any architecture.
    """

    names: tuple[str, ...] = ()
    architectures: tuple[Architecture, ...] = ("x86",)
    cpu_types: tuple[Literal["shared", "dedicated"], ...] = ("shared", "dedicated")
    min_cores: int = 0
    max_cores: int | None = None
    min_memory_bytes: int = 0
    max_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Ceilings over all servers of a pool; `None` means no ceiling."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None
    micro_eur_per_hour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many nodes of a pool may be leaving at once: a number, or a share, rounded up.

    `reasons` narrows it to some removals. With a `schedule` it counts only for `duration` from each
    time named.
    """

    number: int | None = None
    percent: int | None = None
    reasons: tuple[DisruptionReason, ...] = ()
    schedule: Schedule | None = None
    duration: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruption:
    """When servers of a pool may be given back."""

    policy: DisruptionPolicy = "WhenUnderutilized"
    consolidate_after: timedelta = timedelta(minutes=10)
    min_savings_micro_eur_per_month: int = 2_000_000
    keep_until_hour_end: bool = True
    budgets: tuple[Budget, ...] = (Budget(percent=10),)
    """The strictest that counts decides; none means no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """A NodePool.

    `weight`: pools of a higher weight are tried first; price decides only among equals.
    `paused_until`: two joins failed for one reason, so buying again would not help.
    `problem`: why the pool cannot be used at all (an invalid spec), empty when it can.
    `expire_after` is the age at which a server is replaced, `None` for never;
    `termination_grace_period` the longest that a drain may take, `None` for as long as it needs.
    """

    name: str
    uid: str
    generation: int = 1
    types: TypeFilter = field(default_factory=TypeFilter)
    locations: tuple[str, ...] = ()
    min_nodes: int = 0
    max_nodes: int = 10
    limits: PoolLimits = field(default_factory=PoolLimits)
    weight: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    startup_taints: tuple[Taint, ...] = ()
    image: str = ""
    disruption: Disruption = field(default_factory=Disruption)
    expire_after: timedelta | None = None
    termination_grace_period: timedelta | None = None
    join_timeout: timedelta = timedelta(minutes=15)
    blocks: tuple[OfferingBlock, ...] = ()
    paused_until: datetime | None = None
    problem: str = ""
