"""A plan: what to do, and why about everything that it does not touch."""

from dataclasses import dataclass

from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.planning.actions import Action
from hk3s_autoscaler.planning.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PodReport:
    """Why a pending pod waits. `target` is the node, server or offering it counts on, if any."""

    pod: PodKey
    reason: Reason
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """Why a node is kept, or what happens to it."""

    node: str
    pool: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """A pool after this plan: its servers, their price, and what holds its growth back."""

    pool: str
    servers: int
    ready: int
    micro_eur_per_hour: int
    blocked: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The outcome of one loop of planning."""

    actions: tuple[Action, ...] = ()
    pods: tuple[PodReport, ...] = ()
    nodes: tuple[NodeReport, ...] = ()
    pools: tuple[PoolReport, ...] = ()
