"""Equivalence classes: pods that are interchangeable to the planner are handled as a count."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.relations import UNRELATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """What pods demand of others on their own node, by the matchers that mean those.

    `avoids`: none of these may be there. `avoided`: which of such matchers mean the pod itself.
    `at_most`: pairs of a matcher that means the pod and how many such pods there may be.
    """

    avoids: frozenset[int] = frozenset()
    avoided: frozenset[int] = frozenset()
    at_most: tuple[tuple[int, int], ...] = ()


ALONE = Near()
BEYOND = Near(at_most=((-1, 0),))
"""More than packing can judge: it leaves such pods out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What packing sees of a pod: what it asks of a node, and of others there."""

    spec: PodSpec
    near: Near = ALONE


@dataclass(frozen=True, slots=True, kw_only=True)
class PodClass:
    """Pods with one spec, longest waiting first.

    `overdue`: kube-scheduler has had its time to place them on the Ready nodes and did not.
    """

    spec: PodSpec
    overdue: bool
    pods: tuple[Pod, ...]
    near: Near = ALONE


def classify(
    pods: Iterable[Pod], overdue: Iterable[Pod] = (), shapes: Mapping[PodKey, Shape] | None = None
) -> tuple[PodClass, ...]:
    """Group pods; the most demanding classes come first, by priority, then by size.

    Without a shape of its own a pod is as its spec says, its rules about others left aside.
    """
    late = {pod.key for pod in overdue}
    known = shapes or {}
    plain: dict[PodSpec, Shape] = {}
    groups: dict[tuple[Shape, bool], list[Pod]] = {}
    for pod in pods:
        shape = known.get(pod.key)
        if shape is None:
            shape = plain.get(pod.spec)
            if shape is None:
                shape = plain[pod.spec] = Shape(spec=_alone(pod.spec))
        groups.setdefault((shape, pod.key in late), []).append(pod)
    classes = (
        PodClass(
            spec=shape.spec,
            overdue=is_late,
            pods=tuple(sorted(group, key=_waiting)),
            near=shape.near,
        )
        for (shape, is_late), group in groups.items()
    )
    return tuple(sorted(classes, key=_demand))


def _alone(spec: PodSpec) -> PodSpec:
    if spec.relations is UNRELATED and not spec.claims:
        return spec
    return replace(spec, relations=UNRELATED, claims=())


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
