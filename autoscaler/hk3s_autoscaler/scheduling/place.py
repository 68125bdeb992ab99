"""Places: nodes as they are, or as they would be once bought, and whether a pod may go there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import DaemonSet, Effect, PodSpec, Taint, Toleration
from hk3s_autoscaler.model.podspec import ANY_ADDRESS
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.scheduling import taints

POOL_LABEL = "hk3s.dev/pool"
HOSTNAME_LABEL = "kubernetes.io/hostname"
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
REGION_LABEL = "topology.kubernetes.io/region"
ZONE_LABEL = "topology.kubernetes.io/zone"
CSI_LOCATION_LABEL = "csi.hetzner.cloud/location"
PROVIDED_BY_LABEL = "instance.hetzner.cloud/provided-by"
CORDON_TAINT = "node.kubernetes.io/unschedulable"
_ARCHITECTURES = {"x86": "amd64", "arm": "arm64"}

HostPort = tuple[str, str, int]

# What the DaemonSet controller adds to its pods (pkg/controller/daemon/util).
_DAEMON_TOLERATED: tuple[tuple[str, Effect], ...] = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_DAEMON_TOLERATIONS = tuple(
    Toleration(key=f"node.kubernetes.io/{key}", operator="Exists", effect=effect)
    for key, effect in _DAEMON_TOLERATED
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where pods may go. `room` is what is left; `ports` are the host ports that are taken."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    room: Resources
    ports: frozenset[HostPort] = field(default_factory=frozenset)


def mismatch(spec: PodSpec, place: Place) -> str:
    """Say why the rules keep a pod away from a place, whatever its room; empty if they do not."""
    taint = taints.untolerated(spec.tolerations, place.taints)
    if taint is not None:
        value = f"={taint.value}" if taint.value else ""
        return f"taint {taint.key}{value}:{taint.effect} is not tolerated"
    return mismatch_of_labels(spec, place.name, place.labels)


def mismatch_of_labels(spec: PodSpec, name: str, labels: Mapping[str, str]) -> str:
    """Say why nodeSelector or required node affinity keep a pod away; empty if they do not."""
    for key, value in spec.node_selector:
        if labels.get(key) != value:
            return f"nodeSelector {key}={value} does not match"
    terms = spec.affinity_terms
    if terms is not None and not any(t.matches(name, labels) for t in terms):
        return "required node affinity does not match"
    reached = spec.volume_terms
    if reached is not None and not any(t.matches(name, labels) for t in reached):
        return "its volumes cannot be reached from there"
    return ""


def conflicts(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> bool:
    """Whether a host port is taken: same protocol and port, and one address covers the other."""
    held = tuple(taken)
    return any(
        protocol == held_protocol
        and port == held_port
        and (address == held_address or ANY_ADDRESS in (address, held_address))
        for address, protocol, port in wanted
        for held_address, held_protocol, held_port in held
    )


def fits(spec: PodSpec, place: Place) -> bool:
    """Whether kube-scheduler would put one such pod there."""
    return (
        not mismatch(spec, place)
        and spec.requests.fits(place.room)
        and not conflicts(spec.host_ports, place.ports)
    )


def runs_daemon(daemonset: DaemonSet, place: Place) -> bool:
    """Whether a DaemonSet puts one of its pods on a place; it does so even on a full one."""
    spec = daemonset.spec
    taint = taints.untolerated((*spec.tolerations, *_DAEMON_TOLERATIONS), place.taints)
    if taint is not None:
        return False
    labels = place.labels
    if any(labels.get(key) != value for key, value in spec.node_selector):
        return False
    terms = spec.affinity_terms
    return terms is None or any(t.matches(place.name, labels) for t in terms)


def with_daemons(place: Place, daemonsets: Iterable[DaemonSet]) -> Place:
    """Return what is left of a place once the DaemonSets have put their pods there."""
    room, ports = place.room, place.ports
    for daemonset in daemonsets:
        if runs_daemon(daemonset, place):
            room -= daemonset.spec.requests
            ports |= frozenset(daemonset.spec.host_ports)
    return Place(name=place.name, labels=place.labels, taints=place.taints, room=room, ports=ports)


def node_place(node: Node, *, room: Resources, ports: Iterable[HostPort] = ()) -> Place:
    """Return the place that a Node is, with the room that its pods leave."""
    cordon = Taint(key=CORDON_TAINT, effect="NoSchedule")
    return Place(
        name=node.name,
        labels={HOSTNAME_LABEL: node.name, **dict(node.labels)},
        taints=(*node.taints, cordon) if node.unschedulable else node.taints,
        room=room,
        ports=frozenset(ports),
    )


def new_place(pool: NodePool, offering: Offering, *, name: str, allocatable: Resources) -> Place:
    """Return the empty place that a server of a pool becomes, without its DaemonSets.

    The labels are those of k3s, of the cloud controller and of the CSI driver; startup taints are
    left out, for they go away by themselves.
    """
    location = offering.key.location
    labels = {
        "kubernetes.io/arch": _ARCHITECTURES[offering.architecture],
        "kubernetes.io/os": "linux",
        HOSTNAME_LABEL: name,
        INSTANCE_TYPE_LABEL: offering.key.server_type,
        REGION_LABEL: location,
        ZONE_LABEL: location,
        CSI_LOCATION_LABEL: location,
        PROVIDED_BY_LABEL: "cloud",
        **dict(pool.labels),
        POOL_LABEL: pool.name,
    }
    return Place(name=name, labels=labels, taints=pool.taints, room=allocatable)
