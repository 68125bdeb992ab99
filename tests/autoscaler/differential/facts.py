"""A case as the planner sees it, through the same conversion as in a cluster."""

import copy
from typing import Any

import msgspec

from autoscaler import builders
from autoscaler.differential.generate import Case
from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_kube import objects

_CREATED = "2026-11-23T11:59:58Z"


def snapshot(case: Case) -> Snapshot:
    return builders.snapshot(
        pods=[*map(_pod, case.running), *map(_pending, case.pending)],
        nodes=map(_node, case.nodes),
        pools=case.pools,
        offerings=case.offerings,
        namespaces=tuple(
            (name, tuple({"kubernetes.io/metadata.name": name, **labels}.items()))
            for name, labels in case.namespaces.items()
        ),
    )


def _stamped(manifest: dict[str, Any]) -> dict[str, Any]:
    stamped = copy.deepcopy(manifest)
    stamped["metadata"] |= {"uid": stamped["metadata"]["name"], "creationTimestamp": _CREATED}
    return stamped


def _pod(manifest: dict[str, Any]) -> Pod:
    stamped = _stamped(manifest)
    stamped["status"] = {"phase": "Running"}
    return convert.pod(msgspec.convert(stamped, objects.Pod))


def _pending(manifest: dict[str, Any]) -> Pod:
    stamped = _stamped(manifest)
    refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    stamped["status"] = {
        "phase": "Pending",
        "conditions": [{**refused, "lastTransitionTime": _CREATED}],
    }
    return convert.pod(msgspec.convert(stamped, objects.Pod))


def _node(manifest: dict[str, Any]) -> Node:
    stamped = _stamped(manifest)
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _CREATED}
    stamped["status"]["conditions"] = [ready]
    return convert.node(msgspec.convert(stamped, objects.Node), "demo")
