"""The kinds that are read, under one name, and where each is listed; parts are in `kinds/`."""

from hk3s_kube.kinds.affinity import Namespace
from hk3s_kube.kinds.base import (
    Condition,
    Fields,
    KubeObject,
    LabelSelector,
    NodeSelectorTerm,
    ObjectMeta,
    Requirement,
    Resources,
)
from hk3s_kube.kinds.nodes import Node, NodePoolObject, Taint
from hk3s_kube.kinds.pods import ClaimSource, EmptyDir, HostPath, Pod, PodSpec, Volume
from hk3s_kube.kinds.storage import (
    ClaimStatus,
    CsiDriverOnNode,
    CsiNode,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    VolumeAttachment,
)
from hk3s_kube.kinds.workloads import DaemonSet, PodDisruptionBudget

__all__ = [
    "PATHS",
    "UNFINISHED_PODS",
    "ClaimSource",
    "ClaimStatus",
    "Condition",
    "CsiDriverOnNode",
    "CsiNode",
    "DaemonSet",
    "EmptyDir",
    "Fields",
    "HostPath",
    "KubeObject",
    "LabelSelector",
    "Namespace",
    "Node",
    "NodePoolObject",
    "NodeSelectorTerm",
    "ObjectMeta",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PodSpec",
    "Requirement",
    "Resources",
    "StorageClass",
    "Taint",
    "Volume",
    "VolumeAttachment",
]

# Where each kind is listed, over all namespaces.
PATHS: dict[type[KubeObject], str] = {
    Pod: "/api/v1/pods",
    Node: "/api/v1/nodes",
    Namespace: "/api/v1/namespaces",
    PersistentVolumeClaim: "/api/v1/persistentvolumeclaims",
    PersistentVolume: "/api/v1/persistentvolumes",
    DaemonSet: "/apis/apps/v1/daemonsets",
    PodDisruptionBudget: "/apis/policy/v1/poddisruptionbudgets",
    StorageClass: "/apis/storage.k8s.io/v1/storageclasses",
    VolumeAttachment: "/apis/storage.k8s.io/v1/volumeattachments",
    NodePoolObject: "/apis/hk3s.dev/v1alpha1/nodepools",
    CsiNode: "/apis/storage.k8s.io/v1/csinodes",
}

UNFINISHED_PODS = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector that leaves finished pods out; a pod that finishes arrives as DELETED."""
