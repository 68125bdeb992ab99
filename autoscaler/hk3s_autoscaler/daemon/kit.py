"""What every part of the daemon works with."""

from dataclasses import dataclass

from hk3s_autoscaler.daemon.events import Recorder
from hk3s_autoscaler.daemon.health import Health
from hk3s_autoscaler.daemon.log import Secrets
from hk3s_autoscaler.daemon.memory import Memory
from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.daemon.nominations import Nominations
from hk3s_autoscaler.daemon.servers import ServerBook
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.ports import Births, Clock, Cloud, Cluster, ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The ports, and what the process keeps between turns: caches, all of it."""

    cloud: Cloud
    cluster: Cluster
    births: Births
    clock: Clock
    metrics: Metrics
    events: Recorder
    memory: Memory
    nominations: Nominations
    servers: ServerBook
    health: Health
    secrets: Secrets


def make_kit(
    *,
    cloud: Cloud,
    cluster: Cluster,
    births: Births,
    clock: Clock,
    metrics: Metrics,
    secrets: Secrets,
) -> Kit:
    """Put a kit together with empty caches."""
    return Kit(
        cloud=cloud,
        cluster=cluster,
        births=births,
        clock=clock,
        metrics=metrics,
        events=Recorder(cluster, clock),
        memory=Memory(),
        nominations=Nominations(),
        servers=ServerBook(cloud, clock),
        health=Health(clock),
        secrets=secrets,
    )


def pool_ref(pool: NodePool) -> ObjectRef:
    """Return a pool as the subject of an Event."""
    return ObjectRef(kind="NodePool", name=pool.name, uid=pool.uid)


def node_ref(node: Node) -> ObjectRef:
    """Return a node as the subject of an Event.

    By name, not by uid: kubelet and `kubectl describe node` use the name in that field.
    """
    return ObjectRef(kind="Node", name=node.name, uid=node.name)
