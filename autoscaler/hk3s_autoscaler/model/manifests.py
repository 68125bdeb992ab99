"""Workloads in YAML or JSON, as people write them or `kubectl get -o yaml` prints them, to pods.

Pure: texts in, facts and problems out. Kinds that make no pods are passed over.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import yaml

from hk3s_autoscaler.model.pod import DaemonSet, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.podspec import pod_spec
from hk3s_autoscaler.model.shapes import PodSpecError, mapping, texts

MOST_REPLICAS = 100_000

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a text asks for. `problems` name their place; with any, the rest is not to be used."""

    pods: tuple[Pod, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    problems: tuple[str, ...] = ()


class _Problem(Exception):
    """An object that cannot be understood."""


def read(text: str, now: datetime) -> Workload:
    """Read any number of documents; every pod is taken as pending since `now`."""
    pods: list[Pod] = []
    daemonsets: list[DaemonSet] = []
    problems: list[str] = []
    try:
        for place, item in documents(text):
            try:
                found = _read_object(item, now)
            except (_Problem, PodSpecError) as problem:
                problems.append(f"{place}: {problem}")
                continue
            if isinstance(found, DaemonSet):
                daemonsets.append(found)
            else:
                pods += found
    except yaml.YAMLError as error:
        problems.append(f"not YAML: {' '.join(str(error).split())}")
    return Workload(
        pods=tuple(_unique(pods)), daemonsets=tuple(daemonsets), problems=tuple(problems)
    )


def documents(text: str) -> Iterator[tuple[str, object]]:
    """Every object with its place; lists are opened.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    for number, document in enumerate(yaml.safe_load_all(text), start=1):
        if document is not None:
            yield from _opened(f"document {number}", document)


def _opened(place: str, document: object) -> Iterator[tuple[str, object]]:
    items = document.get("items") if isinstance(document, Mapping) else None
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        kind = str(document["kind"]).removesuffix("List")
        if not isinstance(items, list):
            yield f"{place}, {kind}List", None
            return
        for number, item in enumerate(items):
            if isinstance(item, Mapping) and "kind" not in item and kind:
                yield from _opened(f"{place}, items[{number}]", {**item, "kind": kind})
            else:
                yield from _opened(f"{place}, items[{number}]", item)
        return
    if isinstance(document, Mapping) and document.get("kind"):
        place = f"{place}, {document['kind']} {_key(document)}"
    yield place, document


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
