"""The two ports: what the daemon needs of Hetzner and of Kubernetes, in our own words.

Adapters carry them out on the real APIs, `simulation` in virtual time; both pass the same contract
tests. Errors are kinds, raised `from` the original: everything else that an adapter lets through is
a bug. No error text ever holds a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod, PodKey
from hk3s_autoscaler.model.volumes import Storage


class PortError(Exception):
    """A call on a port failed; `str()` says how, in a sentence for a person."""


class CapacityUnavailable(PortError):
    """The offering cannot be had now: another may."""

    def __init__(
        self, offering: OfferingKey, message: str, *, code: str = "resource_unavailable"
    ) -> None:
        super().__init__(message)
        self.offering = offering
        self.code = code


class QuotaExceeded(PortError):
    """An account limit of Hetzner was hit; no offering of that kind can be had."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


class Unavailable(PortError):
    """The other side does not answer, or asks for patience; nothing is wrong with the request."""


class Rejected(PortError):
    """The other side refuses the request as it is (configuration, access): repeating is useless."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EvictionBlocked(PortError):
    """A PodDisruptionBudget does not allow the eviction now."""


class NotLeader(PortError):
    """The Lease is not ours (any more): nothing may be written."""


class Changed(PortError):
    """The object is no longer what the decision was made on; look again."""


class Clock(Protocol):
    """Time, for loops. Pure code gets `now` as an argument instead."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """News from a watch that a decision may depend on.

    `monotonic` is when its event was read; `pods` are those that became unschedulable with it.
    """

    kind: Literal["pods", "nodes", "pools"]
    monotonic: float
    pods: tuple[PodKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest:
    """Everything about a server that is fixed before the first call, its name included."""

    name: str
    pool: str
    offering: OfferingKey
    image: str
    user_data: str = field(repr=False)
    labels: Mapping[str, str]


class Births(Protocol):
    """Names and user-data of workers: where a decision meets chance and secrets."""

    def new_name(self, pool: str) -> str:
        """Return a name that no server ever had."""
        ...

    def request(
        self,
        *,
        name: str,
        pool: NodePool,
        offering: Offering,
        join_token: str,
        expires_at: datetime,
    ) -> ServerRequest:
        """Put together what a server is told at birth.

        Raises:
            Rejected: the pool's settings make no valid server (labels, name, user-data size).
        """
        ...


class Cloud(Protocol):
    """Hetzner. Calls that write raise `NotLeader` when the Lease may have been lost."""

    async def list_servers(self) -> tuple[Server, ...]:
        """List the workers of this cluster, by label; one listing, however many pages.

        Raises:
            Unavailable: Hetzner does not answer; the caller keeps its old list and its age.
        """
        ...

    async def list_offerings(self) -> tuple[Offering, ...]:
        """List server types by location with prices and stock, in no order."""
        ...

    async def count_attachments(self) -> int:
        """Count the members of the private network, of any kind."""
        ...

    async def get_server(self, server_id: int) -> Server | None:
        """Read one server, past every cache; `None` when it is gone."""
        ...

    async def create_server(self, request: ServerRequest) -> Server:
        """Create a server that is off, has no public IP and is not attached; wait until it exists.

        A server of that name which carries our labels is adopted: it is this call, repeated.

        Raises:
            CapacityUnavailable: refused, or the action failed after a 201; nothing is left.
            QuotaExceeded: an account limit; nothing is left.
            Rejected: the request cannot work.
            Unavailable: unknown outcome; the name tells whether the server exists.
        """
        ...

    async def attach_server(self, server_id: int) -> Server:
        """Attach to the workers' subnet; attached already is fine."""
        ...

    async def power_on_server(self, server_id: int) -> None:
        """Have it powered on; running already is fine. Whether it runs, a later listing tells."""
        ...

    async def delete_server(self, server_id: int) -> None:
        """Delete and wait until it is gone; gone already is fine."""
        ...

    async def join_report(self, server: Server) -> JoinReport:
        """Ask a server's status port; step `unreachable` when it does not answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """The object an Event is about. Cluster-scoped objects have no namespace."""

    kind: Literal["Pod", "Node", "NodePool"]
    name: str
    namespace: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """What is written to a NodePool's status."""

    pool: NodePool
    nodes: int
    ready: int
    micro_eur_per_hour: int
    conditions: tuple["Condition", ...]
    last_decision: "Decision | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition of a NodePool, in Kubernetes' form."""

    type: Literal["Ready", "Paused", "AtLimit", "CapacityAvailable"]
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was last decided about a pool: a reason's code and a sentence."""

    time: datetime
    reason: str
    message: str


class Cluster(Protocol):
    """Kubernetes. The readers answer from watches and never block; writers go to the apiserver.

    Calls that write raise `NotLeader` when the Lease may have been lost.
    """

    def nodes(self) -> tuple[Node, ...]:
        """All Nodes."""
        ...

    def pods(self) -> tuple[Pod, ...]:
        """All pods that have not ended."""
        ...

    def daemonsets(self) -> tuple[DaemonSet, ...]:
        """All DaemonSets."""
        ...

    def budgets(self) -> tuple[DisruptionBudget, ...]:
        """All PodDisruptionBudgets with the pods they cover."""
        ...

    def pools(self) -> tuple[NodePool, ...]:
        """All NodePools; an unusable one has its `problem` set."""
        ...

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Names and labels of all namespaces."""
        ...

    def storage(self) -> Storage:
        """Claims, volumes and storage classes."""
        ...

    def cluster_uid(self) -> str:
        """The kube-system UID: tells clusters of one name apart."""
        ...

    def synced(self) -> bool:
        """Whether every watch has delivered its first list."""
        ...

    def oldest_contact(self) -> float:
        """Monotonic time at which the stalest of the watches last heard from the apiserver."""
        ...

    async def get_node(self, name: str) -> Node | None:
        """Read one Node, past every cache; `None` when it is gone."""
        ...

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """The pods of a node, read now, past every cache."""
        ...

    async def volumes_attached(self, node: str) -> int:
        """How many VolumeAttachments name the node, read now."""
        ...

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        """Make the bootstrap token of one server and return it in full form.

        A leftover of that server's name is replaced.
        """
        ...

    async def revoke_join_token(self, server_name: str) -> None:
        """Delete the server's bootstrap token; gone already is fine."""
        ...

    async def invite_pods(self, node: str, pods: tuple[Pod, ...], since: datetime) -> int:
        """Let pods onto a node that is not open, and note since when; return how many took it.

        They are nominated to it and tolerate its starting taint, and that of no other node. Pods
        that are gone, bound or changed are passed over.
        """
        ...

    async def open_node(self, node: str) -> None:
        """Take a node's starting taint away; one that is open already is fine."""
        ...

    async def mark_unneeded(self, node: str, since: datetime | None) -> None:
        """Set or clear the annotation that says since when a node is not needed."""
        ...

    async def mark_replacing(self, node: str, since: datetime | None, reason: str) -> None:
        """Set or clear the annotations that say since when and why a node is being replaced."""
        ...

    async def cordon(self, node: str, reason: str, since: datetime) -> None:
        """Exclude from load balancers, mark as draining with the reason, make unschedulable."""
        ...

    async def uncordon(self, node: str) -> None:
        """Undo `cordon`, and what was noted before it: the node is in service as any other."""
        ...

    async def evict(self, pod: Pod) -> None:
        """Evict one pod, by uid; gone already, or another uid, is fine.

        Raises:
            EvictionBlocked: a PodDisruptionBudget says not now.
        """
        ...

    async def delete_node(self, name: str, uid: str) -> None:
        """Delete a Node if it still has that uid; gone already is fine."""
        ...

    async def emit(
        self, about: ObjectRef, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """Record an Event; equal ones are counted, not repeated."""
        ...

    async def write_pool_status(self, status: PoolStatus) -> None:
        """Write a NodePool's status; nothing is sent when nothing changed.

        Without a `last_decision` the one that is there stays.
        """
        ...

    async def read_report(self) -> Mapping[str, str]:
        """Read the status ConfigMap; empty when there is none."""
        ...

    async def write_report(self, entries: Mapping[str, str]) -> None:
        """Write the status ConfigMap that `hk3s-autoscaler explain` reads."""
        ...
