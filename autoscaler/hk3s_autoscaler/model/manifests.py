"""Workloads, as people write them or `kubectl get -o yaml` prints them, to pods.

Pure: values in, facts and problems out. What makes no pods is counted, so that nobody takes it for
priced.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hk3s_autoscaler.model.pod import DaemonSet, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.podspec import pod_spec
from hk3s_autoscaler.model.shapes import PodSpecError, mapping, texts

MOST_REPLICAS = 100_000

Json = Mapping[str, Any]
Identity = tuple[str, PodKey]
"""The kind of an object, its namespace and name."""


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
    """What the objects ask for. With any problem, the rest is not to be used.

    `passed_over` says what else there was, as a kind and why if it is one that makes pods, and how
    often: `ConfigMap`, `Pod that has ended`.
    """

    pods: tuple[Pod, ...] = ()
    daemonsets: tuple[DaemonSet, ...] = ()
    passed_over: tuple[tuple[str, int], ...] = ()
    problems: tuple[Problem, ...] = ()


class _Problem(Exception):
    """An object that cannot be understood."""


def read(objects: Iterable[tuple[Place, object]], now: datetime) -> Workload:
    """Read any number of objects; every pod is taken as pending since `now`."""
    items = tuple(objects)
    priced = {_identity(item) for _, item in items if _makes_pods(item)}
    pods: list[Pod] = []
    daemonsets: list[DaemonSet] = []
    passed_over: Counter[str] = Counter()
    problems: list[Problem] = []
    for place, item in items:
        try:
            found = _read_object(item, priced, now)
        except (_Problem, PodSpecError) as problem:
            problems.append(Problem(place=place, cause=str(problem)))
            continue
        match found:
            case str():
                passed_over[found] += 1
            case DaemonSet():
                daemonsets.append(found)
            case _:
                pods += found
    return Workload(
        pods=tuple(_unique(pods)),
        daemonsets=tuple(daemonsets),
        passed_over=tuple(sorted(passed_over.items())),
        problems=tuple(problems),
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
    # An object of another kind may be called so, too: an AllowList, say.
    if kind != "List" and not (kind.endswith("List") and "items" in document):
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


def _read_object(
    item: object, priced: Collection[Identity], now: datetime
) -> list[Pod] | DaemonSet | str:
    """Return what an object asks for, or what it is that asks for nothing."""
    if not isinstance(item, Mapping):
        raise _Problem("is not an object (a list holds `items`)")
    kind = item.get("kind")
    if not isinstance(kind, str) or not kind:
        raise _Problem("has no kind")
    if not _makes_pods(item):
        return kind
    reason = _not_counted(item, priced)
    if reason:
        return f"{kind} {reason}"
    if kind == "Pod":
        return [_pending(_key(item), item, now)]
    spec = _part(item, "spec")
    if kind == "DaemonSet":
        return DaemonSet(key=_key(item), spec=_spec(_key(item), _part(spec, "template")))
    if kind == "CronJob":
        # One run, for runs follow each other.
        suspended = bool(spec.get("suspend"))
        spec = {**_part(_part(spec, "jobTemplate"), "spec"), "suspend": suspended}
    number = _REPLICAS[kind](spec)
    made = _pending(_key(item), _part(spec, "template"), now)
    return [_named(made, f"-{n}") for n in range(number)]


def _makes_pods(item: object) -> bool:
    kind = item.get("kind") if isinstance(item, Mapping) else None
    return isinstance(kind, str) and (kind in ("Pod", "DaemonSet") or kind in _REPLICAS)


def _not_counted(item: Json, priced: Collection[Identity]) -> str:
    """Why an object that makes pods adds none: it is over, or something else stands for it."""
    for owner in _mappings(_soft(item, "metadata").get("ownerReferences")):
        kind = str(owner.get("kind"))
        if (kind, PodKey(_key(item).namespace, str(owner.get("name")))) in priced:
            return f"of a {kind} that is priced"
        if kind == "Node":
            return "of a Node"
        if kind == "DaemonSet":
            return "of a DaemonSet that is not in the file"
    status = _soft(item, "status")
    if item["kind"] == "Pod":
        return "that has ended" if status.get("phase") in ("Succeeded", "Failed") else ""
    if item["kind"] == "Job":
        conditions = _mappings(status.get("conditions"))
        ended = any(
            c.get("type") in ("Complete", "Failed") and c.get("status") == "True"
            for c in conditions
        )
        return "that has ended" if ended else ""
    return ""


def _identity(item: Any) -> Identity:  # noqa: ANN401 - JSON
    return str(item["kind"]), _key(item)


def _soft(item: Json, field: str) -> Json:
    """A part that need not be there."""
    value = item.get(field)
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


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
    return dict(texts(mapping(_soft(template, "metadata"), "labels")))


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
    "CronJob": _parallel,
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
    meta = _soft(item, "metadata")
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
