"""Kubernetes objects to facts: the only place that knows both shapes. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast, get_args

import msgspec

from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import (
    DaemonSet,
    DisruptionBudget,
    Effect,
    Owner,
    Pod,
    PodKey,
    PodSpec,
    Taint,
)
from hk3s_autoscaler.model.podspec import is_invitation, pod_spec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import Operator, Requirement
from hk3s_autoscaler.model.shapes import PodSpecError
from hk3s_kube import duration, labels, objects

DRAINING_SINCE = "hk3s.dev/draining-since"
"""RFC 3339 time at which a removal began; on the Node, so that a restart forgets nothing."""

_PROVIDER_ID = re.compile(r"hcloud://(\d+)")
_PHASES = frozenset({"Pending", "Running", "Succeeded", "Failed", "Unknown"})
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})


def pod(item: objects.Pod) -> Pod:
    """Reduce a pod; one whose spec cannot be read is `unsupported`, never dropped."""
    meta, spec, status = item.metadata, item.spec, item.status
    scheduled = _condition(status.conditions, "PodScheduled")
    refused = (
        scheduled is not None
        and scheduled.status == "False"
        and scheduled.reason == "Unschedulable"
    )
    created_at = _time(meta.creation_timestamp)
    return Pod(
        key=key(meta),
        uid=meta.uid,
        spec=_spec(spec, meta.namespace, meta.labels),
        created_at=created_at,
        labels=tuple(sorted(meta.labels.items())),
        owner=_owner(meta),
        node=spec.node_name,
        nominated_node=status.nominated_node_name,
        invited_to=tuple(
            held.value for held in spec.tolerations if is_invitation(held.key, held.operator)
        ),
        phase=cast("Any", status.phase if status.phase in _PHASES else "Pending"),
        unschedulable_since=(scheduled.last_transition_time or created_at)
        if refused and scheduled is not None and not spec.node_name
        else None,
        gated=bool(spec.scheduling_gates),
        deleted_at=meta.deletion_timestamp,
        mirror=labels.MIRROR_POD in meta.annotations,
        local_storage=_local_storage(item),
        safe_to_evict=_flag(meta.annotations.get(labels.SAFE_TO_EVICT)),
        evict_on_completion=meta.annotations.get(labels.SAFE_TO_EVICT) == "on-completion",
        do_not_disrupt=_flag(meta.annotations.get(labels.KARPENTER_DO_NOT_DISRUPT)) is True,
        protected_until=_protected_until(item, created_at),
        grace=timedelta(
            seconds=30
            if spec.termination_grace_period_seconds is None
            else spec.termination_grace_period_seconds
        ),
    )


def node(item: objects.Node, cluster: str) -> Node:
    """Reduce a node; only workers of `cluster` keep their pool."""
    meta, spec = item.metadata, item.spec
    ready = _condition(item.status.conditions, "Ready")
    is_ready = ready is not None and ready.status == "True"
    ours = meta.labels.get(labels.CLUSTER) == cluster and not is_master(item)
    notes = meta.annotations
    return Node(
        name=meta.name,
        uid=meta.uid,
        created_at=_time(meta.creation_timestamp),
        labels=tuple(sorted(meta.labels.items())),
        taints=tuple(_taints(spec.taints)),
        allocatable=_room(item.status.allocatable),
        pool=meta.labels.get(labels.POOL, "") if ours else "",
        server_id=_server_id(spec.provider_id),
        ready=is_ready,
        ready_since=ready.last_transition_time if ready is not None and is_ready else None,
        not_ready_since=None if is_ready or ready is None else ready.last_transition_time,
        unschedulable=spec.unschedulable,
        unneeded_since=_noted_time(notes.get(labels.UNNEEDED_SINCE)),
        draining_since=_noted_time(notes.get(DRAINING_SINCE)),
        draining_reason=notes.get(labels.DRAIN_REASON, ""),
        replacing_since=_noted_time(notes.get(labels.REPLACING_SINCE)),
        replacing_reason=notes.get(labels.REPLACING_REASON, ""),
        opening_since=_noted_time(notes.get(labels.OPENING_SINCE)),
        kubelet_version=item.status.node_info.kubelet_version,
        is_master=is_master(item),
        do_not_disrupt=_flag(notes.get(labels.KARPENTER_DO_NOT_DISRUPT)) is True
        or _flag(notes.get(labels.SCALE_DOWN_DISABLED)) is True,
        attached_volumes=len(item.status.volumes_attached),
    )


def is_master(item: objects.Node) -> bool:
    """Whether a node runs the control plane."""
    return labels.CONTROL_PLANE in item.metadata.labels


def daemonset(item: objects.DaemonSet) -> DaemonSet:
    """Reduce a DaemonSet to the pod that it puts on nodes."""
    template = item.spec.template
    spec = _spec(template.spec, item.metadata.namespace, template.metadata.labels)
    return DaemonSet(key=key(item.metadata), spec=spec)


def budget(item: objects.PodDisruptionBudget, pods: Iterable[Pod]) -> DisruptionBudget:
    """Reduce a PodDisruptionBudget; it covers those of `pods` that its selector matches.

    In policy/v1 an absent selector matches nothing and an empty one the whole namespace.
    """
    selector = item.spec.selector
    covered = (
        frozenset()
        if selector is None
        else frozenset(
            candidate.key
            for candidate in pods
            if candidate.key.namespace == item.metadata.namespace
            and _selects(selector, dict(candidate.labels))
        )
    )
    return DisruptionBudget(
        key=key(item.metadata),
        disruptions_allowed=item.status.disruptions_allowed,
        pods=covered,
    )


def key(meta: objects.ObjectMeta) -> PodKey:
    """Return namespace and name."""
    return PodKey(meta.namespace, meta.name)


def rfc3339(time: datetime) -> str:
    """Write a time as Kubernetes does, in whole seconds."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _spec(spec: objects.PodSpec, namespace: str, found: Mapping[str, str]) -> PodSpec:
    try:
        plain = _plain(msgspec.to_builtins(spec))
        return pod_spec(plain, namespace=namespace, labels=found)
    except PodSpecError as error:
        return PodSpec(requests=Resources(pods=1), unsupported=(str(error),))


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Leave out what is None: the struct has a field for each kind of volume, JSON only for one."""
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items() if item is not None}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _local_storage(item: objects.Pod) -> tuple[str, ...]:
    allowed = item.metadata.annotations.get(labels.SAFE_TO_EVICT_LOCAL_VOLUMES, "")
    spared = {name.strip() for name in allowed.split(",")}
    return tuple(
        volume.name
        for volume in item.spec.volumes
        if volume.name not in spared
        and (
            volume.host_path is not None
            or (volume.empty_dir is not None and volume.empty_dir.medium != "Memory")
        )
    )


def _protected_until(item: objects.Pod, created_at: datetime) -> datetime | None:
    """Read `do-not-disrupt: 4h`, which Karpenter counts from the pod's start."""
    text = item.metadata.annotations.get(labels.KARPENTER_DO_NOT_DISRUPT, "")
    try:
        return (item.status.start_time or created_at) + duration.parse(text)
    except ValueError:
        return None


def _owner(meta: objects.ObjectMeta) -> Owner | None:
    if _flag(meta.annotations.get(labels.DAEMONSET_POD)):
        # Of some other controller that works like a DaemonSet.
        return Owner(kind="DaemonSet", name=meta.name, uid=meta.uid)
    for reference in meta.owner_references:
        if reference.controller:
            return Owner(kind=reference.kind, name=reference.name, uid=reference.uid)
    return None


def _taints(taints: Iterable[objects.Taint]) -> Iterable[Taint]:
    for taint in taints:
        if taint.effect in get_args(Effect):
            yield Taint(key=taint.key, value=taint.value, effect=cast("Effect", taint.effect))


def _room(amounts: Mapping[str, str]) -> Resources:
    extended = ((name, _whole(text)) for name, text in amounts.items() if name not in _COMPUTE)
    return Resources(
        cpu_milli=int(quantity.parse(amounts.get("cpu", "0")) * 1000),
        memory_bytes=_whole(amounts.get("memory", "0")),
        ephemeral_bytes=_whole(amounts.get("ephemeral-storage", "0")),
        pods=_whole(amounts.get("pods", "0")),
        extended=tuple(sorted((name, amount) for name, amount in extended if amount > 0)),
    )


def _whole(text: str) -> int:
    """Room rounds down, where requests round up."""
    return int(quantity.parse(text))


def _server_id(provider_id: str) -> int:
    match = _PROVIDER_ID.fullmatch(provider_id)
    return int(match[1]) if match else 0


def _condition(conditions: Iterable[objects.Condition], kind: str) -> objects.Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


def _flag(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get((text or "").lower())


def _noted_time(text: str | None) -> datetime | None:
    """Read a time from an annotation; people edit those, so nonsense is no time."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _time(time: datetime | None) -> datetime:
    if time is None:
        raise ValueError("the apiserver stamps every stored object with its creation time")
    return time


def _selects(selector: objects.LabelSelector, found: Mapping[str, str]) -> bool:
    return all(found.get(name) == value for name, value in selector.match_labels.items()) and all(
        Requirement(
            key=item.key, operator=cast("Operator", item.operator), values=item.values
        ).matches(found)
        for item in selector.match_expressions
    )
