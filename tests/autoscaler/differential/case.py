"""One random cluster as Kubernetes has it: manifests, and what is sold."""

from dataclasses import dataclass, field
from typing import Any

from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering

Json = dict[str, Any]

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
LOCATIONS = ("fsn1", "nbg1", "hel1")
PRIORITIES = {
    "p-10": (-10, "Never"),
    "p-0": (0, "Never"),
    "p-100": (100, "Never"),
    "normal": (0, "PreemptLowerPriority"),
    "urgent": (100, "PreemptLowerPriority"),
    "expendable": (-20, "Never"),
}
"""Name, value and preemption policy of the priority classes."""


@dataclass(kw_only=True)
class Case:
    """One cluster. `alone`: it must not share the control plane with another case.

    `made_claims` are those that a controller makes for ephemeral volumes. `nominated` are pods with
    the node that they wait for, on which a victim of theirs (`victims`) takes long to end.
    `expendable`: some pods may be preempted by any other, so pods are allowed to.
    """

    name: str
    alone: bool = False
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    nodes: list[Json] = field(default_factory=list)
    running: list[Json] = field(default_factory=list)
    pending: list[Json] = field(default_factory=list)
    nominated: list[tuple[Json, str]] = field(default_factory=list)
    victims: list[str] = field(default_factory=list)
    expendable: bool = False
    daemonsets: list[Json] = field(default_factory=list)
    pools: list[NodePool] = field(default_factory=list)
    offerings: list[Offering] = field(default_factory=list)
    claims: list[Json] = field(default_factory=list)
    made_claims: list[Json] = field(default_factory=list)
    volumes: list[Json] = field(default_factory=list)
    classes: list[Json] = field(default_factory=list)
    csi_nodes: list[Json] = field(default_factory=list)
