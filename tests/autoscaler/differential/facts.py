"""A case as the planner sees it, through the same conversion as in a cluster."""

import copy
from typing import Any

import msgspec

from autoscaler import builders
from autoscaler.differential.case import Case
from hk3s_autoscaler.adapters import convert, convert_storage
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import DaemonSet, Pod
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.model.volumes import Storage
from hk3s_kube import objects

_CREATED = "2026-11-23T11:59:58Z"


def snapshot(case: Case) -> Snapshot:
    """What the daemon would have observed."""
    running = [_pod(manifest, ending=_name(manifest) in case.victims) for manifest in case.running]
    nominated = [_pending(manifest, nominated=node) for manifest, node in case.nominated]
    return builders.snapshot(
        pods=[*running, *nominated, *map(_pending, case.pending)],
        nodes=map(node, case.nodes),
        daemonsets=map(daemonset, case.daemonsets),
        pools=case.pools,
        offerings=case.offerings,
        namespaces=tuple(
            (name, tuple({"kubernetes.io/metadata.name": name, **labels}.items()))
            for name, labels in case.namespaces.items()
        ),
        storage=_storage(case),
    )


def daemonset(manifest: dict[str, Any]) -> DaemonSet:
    """A DaemonSet with the priority that admission would give it."""
    return convert.daemonset(msgspec.convert(_stamped(manifest), objects.DaemonSet))


def _storage(case: Case) -> Storage:
    claims = (*case.claims, *case.made_claims)
    return Storage(
        claims=tuple(
            convert_storage.claim(msgspec.convert(_stamped(c), objects.PersistentVolumeClaim))
            for c in claims
        ),
        volumes=tuple(
            convert_storage.volume(msgspec.convert(_stamped(v), objects.PersistentVolume))
            for v in case.volumes
        ),
        classes=tuple(
            convert_storage.storage_class(msgspec.convert(_stamped(c), objects.StorageClass))
            for c in case.classes
        ),
        limits=tuple(
            limit
            for one in case.csi_nodes
            for limit in convert_storage.limits(msgspec.convert(_stamped(one), objects.CsiNode))
        ),
    )


def _name(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


def _stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    stamped = copy.deepcopy(manifest)
    stamped["metadata"] |= {"uid": stamped["metadata"]["name"], "creationTimestamp": _CREATED}
    return stamped


def _pod(manifest: dict[str, Any], *, ending: bool) -> Pod:
    stamped = _stamped(manifest)
    stamped["status"] = {"phase": "Running"}
    if ending:
        stamped["metadata"]["deletionTimestamp"] = _CREATED
    return convert.pod(msgspec.convert(stamped, objects.Pod))


def _pending(manifest: dict[str, Any], *, nominated: str = "") -> Pod:
    stamped = _stamped(manifest)
    gated = bool(manifest["spec"].get("schedulingGates"))
    reason = "SchedulingGated" if gated else "Unschedulable"
    refused = {"type": "PodScheduled", "status": "False", "reason": reason}
    stamped["status"] = {
        "phase": "Pending",
        "nominatedNodeName": nominated,
        "conditions": [{**refused, "lastTransitionTime": _CREATED}],
    }
    return convert.pod(msgspec.convert(stamped, objects.Pod))


def node(manifest: dict[str, Any]) -> Node:
    """A Ready node."""
    stamped = _stamped(manifest)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _CREATED}
    stamped["status"]["conditions"] = [ready]
    return convert.node(msgspec.convert(stamped, objects.Node), "demo")
