"""Workloads, as people write them or `kubectl get -o yaml` prints them, to pods.

Pure: values in, facts and problems out. Kinds that make no pods are passed over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hk3s_autoscaler.model.pod import DaemonSet, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.podspec import pod_spec
from hk3s_autoscaler.model.shapes import PodSpecError, mapping, texts

MOST_REPLICAS = 100_000

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an object stood: the number of its document, from 0, the path in it, who it is."""

    document: int
    path: tuple[str | int, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An object that cannot be understood, and why."""

    place: Place
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the objects ask for. With any problem, the rest is not to be used."""

    pods: tuple[Pod, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    problems: tuple[Problem, ...] = ()


class _Problem(Exception):
    """An object that cannot be understood."""


def read(objects: Iterable[tuple[Place, object]], now: datetime) -> Workload:
    """Read any number of objects; every pod is taken as pending since `now`."""
    pods: list[Pod] = []
    daemonsets: list[DaemonSet] = []
    problems: list[Problem] = []
    for place, item in objects:
        try:
            found = _read_object(item, now)
        except (_Problem, PodSpecError) as problem:
            problems.append(Problem(place=place, cause=str(problem)))
            continue
        if isinstance(found, DaemonSet):
            daemonsets.append(found)
        else:
            pods += found
    return Workload(
        pods=tuple(_unique(pods)), daemonsets=tuple(daemonsets), problems=tuple(problems)
    )


def objects(documents: Iterable[object]) -> Iterator[tuple[Place, object]]:
    """Every object of some documents with its place; lists are opened."""
    for number, document in enumerate(documents):
        yield from _opened(Place(document=number), document)


def _opened(place: Place, document: object) -> Iterator[tuple[Place, object]]:
    if not isinstance(document, Mapping):
        yield place, document
        return
    kind = str(document.get("kind") or "")
    if not kind.endswith("List"):
        yield replace(place, name=f"{kind} {_key(document)}" if kind else ""), document
        return
    items = document.get("items")
    if not isinstance(items, list):
        yield replace(place, path=(*place.path, "items"), name=kind), None
        return
    inner = kind.removesuffix("List")
    for number, item in enumerate(items):
        named = isinstance(item, Mapping) and "kind" not in item and inner
        below = replace(place, path=(*place.path, "items", number))
        yield from _opened(below, {**item, "kind": inner} if named else item)


def _read_object(item: object, now: datetime) -> list[Pod] | DaemonSet:
    if not isinstance(item, Mapping):
        raise _Problem("is not an object (a list holds `items`)")
    kind = item.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _Problem("has no kind")
    if kind == "DaemonSet":
        daemon = _part(_part(item, "spec"), "template")
        return DaemonSet(key=_key(item), spec=_spec(_key(item), daemon))
    if kind == "Pod":
        return _pod(item, now)
    replicas = _REPLICAS.get(kind)
    if replicas is None:
        return []
    spec = _part(item, "spec")
    number = replicas(spec)
    template = _part(spec, "template")
    made = _pending(_key(item), template, now)
    return [_named(made, f"-{n}") for n in range(number)]


def _pod(item: Json, now: datetime) -> list[Pod]:
    """A pod, unless it has ended or comes with its node."""
    meta = _part(item, "metadata")
    owners = meta.get("ownerReferences") or []
    if any(isinstance(o, Mapping) and o.get("kind") in ("DaemonSet", "Node") for o in owners):
        return []
    status = item.get("status")
    if isinstance(status, Mapping) and status.get("phase") in ("Succeeded", "Failed"):
        return []
    return [_pending(_key(item), item, now)]


def _pending(key: PodKey, template: Json, now: datetime) -> Pod:
    return Pod(
        key=key,
        uid=str(key),
        spec=_spec(key, template),
        created_at=now,
        labels=tuple(sorted(_labels(template).items())),
        unschedulable_since=now,
    )


def _spec(key: PodKey, template: Json) -> PodSpec:
    spec = _part(template, "spec")
    return pod_spec(spec, namespace=key.namespace, labels=_labels(template))


def _labels(template: Json) -> dict[str, str]:
    meta = template.get("metadata")
    return dict(texts(mapping(meta if isinstance(meta, Mapping) else {}, "labels")))


def _named(pod: Pod, suffix: str) -> Pod:
    key = PodKey(pod.key.namespace, f"{pod.key.name}{suffix}")
    return replace(pod, key=key, uid=str(key))


def _replicas(spec: Json) -> int:
    return _count(spec, "replicas")


def _parallel(spec: Json) -> int:
    """How many pods of a Job run at once."""
    if spec.get("suspend"):
        return 0
    parallel = _count(spec, "parallelism")
    return min(parallel, _count(spec, "completions")) if spec.get("completions") else parallel


_REPLICAS: dict[str, Callable[[Json], int]] = {
    "Deployment": _replicas,
    "ReplicaSet": _replicas,
    "ReplicationController": _replicas,
    "StatefulSet": _replicas,
    "Job": _parallel,
}


def _count(spec: Json, field: str) -> int:
    value = spec.get(field, 1)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_REPLICAS:
        raise _Problem(f"spec.{field}: must be a number from 0 to {MOST_REPLICAS}")
    return value


def _part(parent: Json, field: str) -> Json:
    value = parent.get(field)
    if not isinstance(value, Mapping):
        raise _Problem(f"{field}: must be an object")
    return value


def _key(item: Json) -> PodKey:
    meta = item.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    name = meta.get("name") or meta.get("generateName") or "unnamed"
    return PodKey(str(meta.get("namespace") or "default"), str(name))


def _unique(pods: list[Pod]) -> Iterator[Pod]:
    """Two pods of one name are two pods to a price list."""
    seen: dict[PodKey, int] = {}
    for pod in pods:
        seen[pod.key] = seen.get(pod.key, 0) + 1
        if seen[pod.key] == 1:
            yield pod
        else:
            yield _named(pod, f"~{seen[pod.key]}")
