"""NodePools as the planner sees them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from hk3s_autoscaler.model.offering import Architecture, OfferingBlock
from hk3s_autoscaler.model.pod import Taint

DisruptionPolicy = Literal["Never", "WhenEmpty", "WhenUnderutilized"]


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
class Disruption:
    """When servers of a pool may be given back."""

    policy: DisruptionPolicy = "WhenUnderutilized"
    consolidate_after: timedelta = timedelta(minutes=10)
    min_savings_micro_eur_per_month: int = 2_000_000
    keep_until_hour_end: bool = True
    max_removals: int = 0
    """How many servers may be leaving at once; 0 means a tenth of the pool, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """A NodePool.

    `weight`: pools of a higher weight are tried first; price decides only among equals.
    `paused_until`: two joins failed for one reason, so buying again would not help.
    `problem`: why the pool cannot be used at all (an invalid spec), empty when it can.
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
    join_timeout: timedelta = timedelta(minutes=15)
    blocks: tuple[OfferingBlock, ...] = ()
    paused_until: datetime | None = None
    problem: str = ""
