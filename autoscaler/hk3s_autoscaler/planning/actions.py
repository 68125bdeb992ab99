"""What a plan may ask for: a closed union, each with its reason."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.planning.reasons import Code, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateServer:
    """Buy one server.

    `offering` is the first choice, `fallbacks` hold every pod of it too, in price order: the
    executor moves on to the next one only when there is no capacity.
    """

    pool: str
    offering: OfferingKey
    fallbacks: tuple[OfferingKey, ...]
    micro_eur_per_hour: int
    pods: tuple[PodKey, ...]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishServer:
    """Carry on with a server that was made but not attached or not powered on."""

    server_id: int
    name: str
    step: Literal["attach", "power-on"]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitePods:
    """Let the pods that the plan counts onto a new node in before all others.

    So kube-scheduler carries the plan out instead of spreading or mixing them as its scores would.
    """

    node: str
    pods: tuple[PodKey, ...]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNode:
    """Put a node into service for everybody."""

    node: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUnneeded:
    """Note on the Node since when it is not needed; `since=None` takes the note away."""

    node: str
    since: datetime | None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReplacing:
    """Note on the Node since when and why another server takes over; `since=None` undoes it."""

    node: str
    since: datetime | None
    why: Code | None
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonNode:
    """Begin to remove a node: no new pods, no new connections of external load balancers."""

    node: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class UncordonNode:
    """Take a begun removal back."""

    node: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainNode:
    """Evict the pods that are still on a cordoned node, in this order.

    `later` are those that wait until the others are gone, or for their own end.
    """

    node: str
    pods: tuple[PodKey, ...]
    later: tuple[PodKey, ...] = ()
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteServer:
    """Give a server back. `node` is its Node's name, empty when it never had one."""

    server_id: int
    name: str
    pool: str
    node: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteNode:
    """Delete the Node of a server that is gone."""

    node: str
    uid: str
    reason: Reason


Action = (
    CreateServer
    | FinishServer
    | InvitePods
    | OpenNode
    | MarkUnneeded
    | MarkReplacing
    | CordonNode
    | UncordonNode
    | DrainNode
    | DeleteServer
    | DeleteNode
)
