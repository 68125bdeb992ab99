"""Facts with defaults: a test says only what it is about."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.node import Node, Server, ServerStatus
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Architecture, Offering, OfferingKey
from hk3s_autoscaler.model.pod import (
    DaemonSet,
    Owner,
    Pod,
    PodKey,
    PodSpec,
    Taint,
    Toleration,
)
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import CreateServer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTER_UID = "3f6a1c1e-0000-4000-8000-000000000001"
LONG_AGO = NOW - timedelta(days=1)
GIB = 1 << 30

CONFIG = PlanConfig(max_servers=100)

_serial = count(1)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def resources(*, cpu: str = "0", memory: str = "0", pods: int = 1) -> Resources:
    return Resources(cpu_milli=quantity.milli(cpu), memory_bytes=quantity.whole(memory), pods=pods)


def spec(
    *,
    cpu: str = "500m",
    memory: str = "512Mi",
    node_selector: dict[str, str] | None = None,
    affinity_terms: tuple[NodeTerm, ...] | None = None,
    tolerations: tuple[Toleration, ...] = (),
    host_ports: tuple[tuple[str, str, int], ...] = (),
    priority: int = 0,
    unsupported: tuple[str, ...] = (),
) -> PodSpec:
    return PodSpec(
        requests=resources(cpu=cpu, memory=memory),
        node_selector=tuple(sorted((node_selector or {}).items())),
        affinity_terms=affinity_terms,
        tolerations=tolerations,
        host_ports=host_ports,
        priority=priority,
        unsupported=unsupported,
    )


def pod(
    name: str = "",
    *,
    node: str = "",
    waiting_since: datetime | None = NOW,
    owner: str = "ReplicaSet",
    **wanted: Any,  # noqa: ANN401 - the facts themselves check it
) -> Pod:
    """A pending pod, or a running one when it has a node; `wanted` goes to `spec`."""
    key = PodKey("default", name or f"pod-{next(_serial)}")
    return Pod(
        key=key,
        uid=f"uid-{key.name}",
        spec=spec(**wanted),
        created_at=waiting_since or LONG_AGO,
        owner=Owner(kind=owner, name="owner", uid="uid-owner"),
        node=node,
        phase="Running" if node else "Pending",
        unschedulable_since=None if node else waiting_since,
    )


def daemonset(name: str = "agent", **wanted: Any) -> DaemonSet:  # noqa: ANN401 - the facts themselves check it
    return DaemonSet(
        key=PodKey("kube-system", name),
        spec=spec(**wanted),
    )


def daemon_pod(daemons: DaemonSet, node: str) -> Pod:
    made = pod(f"{daemons.key.name}-{node}", node=node)
    return replace(
        made,
        key=PodKey(daemons.key.namespace, made.key.name),
        spec=daemons.spec,
        owner=Owner(kind="DaemonSet", name=daemons.key.name, uid="uid-daemonset"),
    )


def offering(
    server_type: str = "cx23",
    location: str = "fsn1",
    *,
    cores: int = 2,
    memory_gib: int = 4,
    price: int = 8_800,
    architecture: Architecture = "x86",
    cpu_type: str = "shared",
    available: bool = True,
    unavailable_after: datetime | None = None,
) -> Offering:
    """A server type in a location; a tenth of a core and half a GiB are not for pods."""
    capacity = Resources(
        cpu_milli=cores * 1000, memory_bytes=memory_gib * GIB, ephemeral_bytes=40 * GIB, pods=110
    )
    return Offering(
        key=OfferingKey(server_type, location),
        architecture=architecture,
        cpu_type="dedicated" if cpu_type == "dedicated" else "shared",
        cores=cores,
        memory_bytes=memory_gib * GIB,
        disk_bytes=40 * GIB,
        micro_eur_per_hour=price,
        micro_eur_per_month=price * 624,
        capacity=capacity,
        allocatable=capacity - Resources(cpu_milli=100, memory_bytes=GIB // 2),
        published_available=available,
        unavailable_after=unavailable_after,
    )


CX23 = offering()
CX33 = offering("cx33", cores=4, memory_gib=8, price=13_600)
CX43 = offering("cx43", cores=8, memory_gib=16, price=25_600)
CX53 = offering("cx53", cores=16, memory_gib=32, price=47_300)
CX = (CX23, CX33, CX43, CX53)


def elsewhere(sold: Offering, location: str) -> Offering:
    """The same type in another location."""
    return replace(sold, key=OfferingKey(sold.key.server_type, location))


def pool(name: str = "workers", **changes: Any) -> NodePool:  # noqa: ANN401 - the facts themselves check it
    made = NodePool(
        name=name,
        uid=f"uid-{name}",
        types=TypeFilter(architectures=("x86",)),
        max_nodes=50,
    )
    return replace(made, **changes)


def server(
    name: str = "demo-workers-aaaaa",
    *,
    server_id: int = 0,
    status: ServerStatus = "running",
    created_at: datetime = LONG_AGO,
    sold: Offering = CX23,
    **changes: Any,  # noqa: ANN401 - the facts themselves check it
) -> Server:
    """A server that runs and is attached."""
    made = Server(
        name=name,
        server_id=server_id or next(_serial) + 1000,
        pool="workers",
        offering=sold.key,
        status=status,
        created_at=created_at,
        cluster_uid=CLUSTER_UID,
        micro_eur_per_hour=sold.micro_eur_per_hour,
        private_address="10.4.1.7",
        attached=True,
    )
    return replace(made, **changes)


def node(
    of: Server | None = None,
    *,
    name: str = "",
    sold: Offering = CX23,
    **changes: Any,  # noqa: ANN401 - the facts themselves check it
) -> Node:
    """The Ready node of a server, or one that is nobody's."""
    place = of.offering.location if of is not None else "fsn1"
    made = Node(
        name=of.name if of is not None else name or f"node-{next(_serial)}",
        uid=f"uid-{of.name if of is not None else name}",
        created_at=of.created_at if of is not None else LONG_AGO,
        labels=tuple(
            sorted(
                {
                    "kubernetes.io/arch": "amd64",
                    "kubernetes.io/os": "linux",
                    "topology.kubernetes.io/zone": place,
                    "topology.kubernetes.io/region": place,
                    **({"hk3s.dev/pool": of.pool} if of is not None else {}),
                }.items()
            )
        ),
        allocatable=sold.allocatable,
        pool=of.pool if of is not None else "",
        server_id=of.server_id if of is not None else 0,
        ready_since=of.created_at if of is not None else LONG_AGO,
    )
    return replace(made, **changes)


def snapshot(
    *,
    pods: Iterable[Pod] = (),
    servers: Iterable[Server] = (),
    nodes: Iterable[Node] = (),
    pools: Iterable[NodePool] | None = None,
    offerings: Iterable[Offering] = CX,
    daemonsets: Iterable[DaemonSet] = (),
    now: datetime = NOW,
    **changes: Any,  # noqa: ANN401 - the facts themselves check it
) -> Snapshot:
    """A world that has been healthy for long, with one pool and shared types in Falkenstein."""
    made = Snapshot(
        pools=(pool(),) if pools is None else tuple(pools),
        nodes=tuple(nodes),
        servers=tuple(servers),
        pods=tuple(pods),
        daemonsets=tuple(daemonsets),
        offerings=tuple(offerings),
        servers_read_at=now,
        healthy_since=LONG_AGO,
        cluster_uid=CLUSTER_UID,
    )
    return replace(made, **changes)


def tainted(key: str = "dedicated", value: str = "batch") -> Taint:
    return Taint(key=key, value=value)


def tolerating(taint: Taint) -> Toleration:
    return Toleration(key=taint.key, value=taint.value, effect=taint.effect)


def ordered(create: CreateServer, name: str, *, now: datetime = NOW) -> Server:
    """The server of a plan, its create call under way."""
    return Server(
        name=name,
        server_id=0,
        pool=create.pool,
        offering=create.offering,
        status="requested",
        created_at=now,
        cluster_uid=CLUSTER_UID,
        micro_eur_per_hour=create.micro_eur_per_hour,
        bought_for=create.pods,
    )
