"""Equivalence classes: pods that are interchangeable to the planner are handled as a count."""

from collections.abc import Iterable
from dataclasses import dataclass

from hk3s_autoscaler.model.pod import Pod, PodSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PodClass:
    """Pods with one spec, longest waiting first.

    `overdue`: kube-scheduler has had its time to place them on the Ready nodes and did not.
    """

    spec: PodSpec
    overdue: bool
    pods: tuple[Pod, ...]


def classify(pods: Iterable[Pod], overdue: Iterable[Pod] = ()) -> tuple[PodClass, ...]:
    """Group pods; the most demanding classes come first, by priority, then by size."""
    late = {pod.key for pod in overdue}
    groups: dict[tuple[PodSpec, bool], list[Pod]] = {}
    for pod in pods:
        groups.setdefault((pod.spec, pod.key in late), []).append(pod)
    classes = (
        PodClass(spec=spec, overdue=is_late, pods=tuple(sorted(group, key=_waiting)))
        for (spec, is_late), group in groups.items()
    )
    return tuple(sorted(classes, key=_demand))


def _waiting(pod: Pod) -> tuple[object, ...]:
    return (pod.unschedulable_since or pod.created_at, pod.key)


def _demand(pods: PodClass) -> tuple[object, ...]:
    requests = pods.spec.requests
    return (
        -pods.spec.priority,
        -requests.cpu_milli,
        -requests.memory_bytes,
        -requests.ephemeral_bytes,
        _waiting(pods.pods[0]),
    )
