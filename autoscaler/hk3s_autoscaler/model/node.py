"""Nodes and servers: the two halves of a machine."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.model.pod import PodKey, Taint
from hk3s_autoscaler.model.resources import Resources

STARTING_TAINT = "hk3s.dev/starting"
"""Our workers register with it; it goes once the pods planned for them are there."""

ServerStatus = Literal[
    "requested",  # our own word: the create call is under way
    "initializing",
    "starting",
    "running",
    "stopping",
    "off",
    "deleting",
    "migrating",
    "rebuilding",
    "unknown",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Kubernetes Node.

    `pool` is the ownership label, empty on nodes that are not ours to touch (masters, foreign).
    `server_id` comes from `spec.providerID`, 0 until known.
    `unneeded_since` and `draining_since` are our annotations: they survive a restart of the daemon.
    `draining_reason` says why, for events and metrics after a restart.
    `replacing_since` says that a server was bought in its stead, and `replacing_reason` why; they
    are our annotations, too.
    `opening_since` is when the pods planned for a new node were let in before all others.
    `kubelet_version` is k3s's own (`v1.36.5+k3s1`), empty when unknown.
    `ready_since` is when the Ready condition last became true, `None` when unknown or not ready.
    """

    name: str
    uid: str
    created_at: datetime
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    allocatable: Resources
    pool: str = ""
    server_id: int = 0
    ready: bool = True
    ready_since: datetime | None = None
    not_ready_since: datetime | None = None
    unschedulable: bool = False
    unneeded_since: datetime | None = None
    draining_since: datetime | None = None
    draining_reason: str = ""
    replacing_since: datetime | None = None
    replacing_reason: str = ""
    opening_since: datetime | None = None
    kubelet_version: str = ""
    is_master: bool = False
    do_not_disrupt: bool = False
    attached_volumes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Hetzner server of this cluster's pools, from its labels.

    `server_id` is 0 while the create call is under way.
    `micro_eur_per_hour` is the price recorded in the server's own label when it was bought: Hetzner
    keeps old prices for existing servers.
    `image` is what it was made from, empty when that has no name any more.
    `cluster_uid` is the kube-system UID in its label; another one means another cluster.
    `token_expires_at` is when its join token ends: from then on it can no longer join.
    `template` records what its pool asked for when it was made (`model/template.py`); empty on
    servers made without one.
    `bought_for` are the pods of the `CreateServer` that made it, while the daemon remembers them:
    a hint for where they are expected, never the truth.
    """

    name: str
    server_id: int
    pool: str
    offering: OfferingKey
    status: ServerStatus
    created_at: datetime
    cluster_uid: str
    micro_eur_per_hour: int = 0
    image: str = ""
    private_address: str = ""
    attached: bool = False
    locked: bool = False
    token_expires_at: datetime | None = None
    template: str = ""
    bought_for: tuple[PodKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinReport:
    """What a server that has not joined says of itself on its status port."""

    server_name: str
    step: str
    error: str
    message: str
