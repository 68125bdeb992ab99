"""One look at the world, and the settings that hold for the whole cluster."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import LearntLimit, Offering
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The facts of one loop, read in this order: nodes, then servers, then pods.

    With servers first, a node that registers in between would look like a node without a server.
    `servers` holds also the ones whose create call is under way (`status="requested"`).
    `servers_read_at` says how old that list is; a server is read again just before any harm.
    `healthy_since`: since when both APIs answer without a break, `None` while one does not.
    `nodeless_since`: since when servers, by name, have been seen without a Node; one that is not
    named has long been without. The API keeps no trace of a Node that is gone.
    `namespaces` are pairs of a name and labels.
    `attachments_used` counts all members of the private network (Hetzner allows 100).
    """

    pools: tuple[NodePool, ...] = ()
    nodes: tuple[Node, ...] = ()
    servers: tuple[Server, ...] = ()
    pods: tuple[Pod, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    budgets: tuple[DisruptionBudget, ...] = ()
    offerings: tuple[Offering, ...] = ()
    learnt_limits: tuple[LearntLimit, ...] = ()
    join_reports: tuple[JoinReport, ...] = ()
    servers_read_at: datetime
    healthy_since: datetime | None
    nodeless_since: tuple[tuple[str, datetime], ...] = ()
    attachments_used: int = 0
    namespaces: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    storage: Storage = NO_STORAGE
    cluster_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfig:
    """Settings of the whole cluster that bound every plan.

    `orphan_grace`: how long a server without a Node, or a Node without a server, is left alone.
    `unfit_after`: a pod that should fit a Ready node but stays unschedulable that long counts as
    not fitting there, for kube-scheduler is the judge.
    `health_wait`: after losing Hetzner or the apiserver nothing is deleted for that long.
    `k3s_version` is what new workers install; older ones have drifted. Empty: not looked at.
    `lost_after`: a node that was Ready and is not for that long is given up, unless more than
    `max_lost_share_percent` of its pool are: then the fault is elsewhere.
    """

    max_servers: int = 10
    max_micro_eur_per_hour: int | None = None
    max_attachments: int = 100
    paused: bool = False
    orphan_grace: timedelta = timedelta(minutes=5)
    unfit_after: timedelta = timedelta(seconds=60)
    health_wait: timedelta = timedelta(minutes=10)
    max_orphan_share_percent: int = 20
    expendable_priority_cutoff: int = -10
    k3s_version: str = ""
    lost_after: timedelta = timedelta(minutes=10)
    max_lost_share_percent: int = 20
