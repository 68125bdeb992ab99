"""Nodes and the pools that they come from."""

from typing import Any

from msgspec import field

from hk3s_kube.kinds.base import Condition, Fields, KubeObject


class Taint(Fields, frozen=True):
    """Keeps pods away; `effect` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    effect: str
    value: str = ""


class NodeSpec(Fields, frozen=True):
    """A node's taints and its identity with the cloud provider (`hcloud://<id>`)."""

    provider_id: str = field(default="", name="providerID")
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeAddress(Fields, frozen=True):
    """An address of a node: InternalIP, ExternalIP or Hostname."""

    type: str
    address: str


class NodeInfo(Fields, frozen=True):
    """What the kubelet says about the machine."""

    kubelet_version: str = ""
    architecture: str = ""


class AttachedVolume(Fields, frozen=True):
    """A volume that the controller attached."""

    name: str


class NodeStatus(Fields, frozen=True):
    """Capacity, allocatable and conditions of a node."""

    capacity: dict[str, str] = field(default_factory=dict)
    allocatable: dict[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    node_info: NodeInfo = NodeInfo()
    volumes_attached: tuple[AttachedVolume, ...] = ()


class Node(KubeObject, frozen=True):
    """A node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NodePoolObject(KubeObject, frozen=True):
    """A NodePool as it is stored; `nodepool_check.read_object` makes the model of it."""

    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
