"""Volumes of `plan -f`: claims, volumes and storage classes among the documents of a workload."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from hk3s_autoscaler.adapters import convert_storage
from hk3s_autoscaler.model import shapes
from hk3s_autoscaler.model.manifests import Place, Problem
from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.volumes import HCLOUD_DRIVER, Claim, Storage, StorageClass, Volume
from hk3s_autoscaler.scheduling.volumes import claims_of
from hk3s_kube import objects

DEFAULT_CLASS = "hcloud-volumes"
_KNOWN_CLASSES = (
    StorageClass(name=DEFAULT_CLASS, provisioner=HCLOUD_DRIVER, waits=True),
    StorageClass(name="local-path", provisioner="rancher.io/local-path", waits=True),
)
"""What a cluster of ours has without anybody's doing: hcloud-csi's, and that of k3s."""

KINDS = frozenset({"PersistentVolumeClaim", "PersistentVolume", "StorageClass"})
"""What is read here and makes no pods."""

Made = TypeVar("Made")


@dataclass(kw_only=True)
class _Reading:
    claims: dict[PodKey, Claim] = field(default_factory=dict)
    volumes: list[Volume] = field(default_factory=list)
    classes: dict[str, StorageClass] = field(
        default_factory=lambda: {known.name: known for known in _KNOWN_CLASSES}
    )
    of_pods: dict[PodKey, list[tuple[str, str]]] = field(default_factory=dict)


def with_storage(
    documents: Iterable[tuple[Place, object]], pods: tuple[Pod, ...], problems: list[Problem]
) -> tuple[tuple[Pod, ...], Storage]:
    """Return the pods of some documents with all their claims, and the storage that these claim.

    A StatefulSet's templates make a claim for each of its pods, and so do ephemeral volumes. A
    claim without a class is of hcloud-csi's. What a pod claims and no document describes is named
    in its `unsupported`. What cannot be read is added to `problems`.
    """
    found = _Reading()
    for place, item in documents:
        if isinstance(item, Mapping):
            try:
                _read(item, found)
            except (msgspec.ValidationError, ValueError) as error:
                problems.append(Problem(place=place, cause=str(error)))
    claiming = tuple(_with_own(pod, found) for pod in pods)
    known = tuple(_judged(pod, found) if pod.spec.claims else pod for pod in claiming)
    return known, Storage(
        claims=tuple(found.claims.values()),
        volumes=tuple(found.volumes),
        classes=tuple(found.classes.values()),
    )


def _read(item: Mapping[str, Any], found: _Reading) -> None:
    match item.get("kind"):
        case "PersistentVolumeClaim":
            claim = _claim(item)
            found.claims[claim.key] = claim
        case "PersistentVolume":
            volume = _as(objects.PersistentVolume, item)
            found.volumes.append(convert_storage.volume(volume))
        case "StorageClass":
            made = convert_storage.storage_class(_as(objects.StorageClass, item))
            found.classes[made.name] = made
        case "StatefulSet":
            for pod, name, claim in _of_set(item):
                # The claim itself, where it is in the file, too, knows its volume.
                found.claims.setdefault(claim.key, claim)
                found.of_pods.setdefault(pod, []).append((name, claim.key.name))


def _of_set(item: Mapping[str, Any]) -> Iterator[tuple[PodKey, str, Claim]]:
    """For each pod of a StatefulSet and each of its templates: pod, volume and claim."""
    meta, spec = shapes.mapping(item, "metadata"), shapes.mapping(item, "spec")
    namespace, name = str(meta.get("namespace") or "default"), str(meta.get("name") or "unnamed")
    replicas = spec.get("replicas", 1)
    for template in shapes.objects(spec, "volumeClaimTemplates"):
        claim = _claim(template)
        for number in range(replicas if isinstance(replicas, int) else 0):
            pod = f"{name}-{number}"
            key = PodKey(namespace, f"{claim.key.name}-{pod}")
            yield PodKey(namespace, pod), claim.key.name, replace(claim, key=key)


def _as(kind: type[Made], item: Mapping[str, Any]) -> Made:
    """Read an object; one that was never in a cluster has no namespace yet."""
    meta = item.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    named = {**meta, "namespace": meta.get("namespace") or "default"}
    return msgspec.convert({**item, "metadata": named}, kind)


def _claim(item: Mapping[str, Any]) -> Claim:
    """Read a claim; no class at all is the default, for an empty one no volume is made."""
    stored = _as(objects.PersistentVolumeClaim, item)
    made = convert_storage.claim(stored)
    if stored.spec.storage_class_name is None:
        return replace(made, storage_class=DEFAULT_CLASS)
    return made


def _with_own(pod: Pod, found: _Reading) -> Pod:
    """The pod with the claims of its set; those of its ephemeral volumes are made."""
    for volume, claim in pod.spec.claims:
        if not claim:
            key = PodKey(pod.key.namespace, f"{pod.key.name}-{volume}")
            found.claims.setdefault(key, Claim(key=key, storage_class=DEFAULT_CLASS))
    own = found.of_pods.get(pod.key)
    if not own:
        return pod
    return replace(pod, spec=replace(pod.spec, claims=(*pod.spec.claims, *own)))


def _judged(pod: Pod, found: _Reading) -> Pod:
    volumes = {volume.name for volume in found.volumes}
    missing = []
    for key in claims_of(pod):
        claim = found.claims.get(key)
        if claim is None:
            missing.append(f"claim {key} is not in the file")
        elif claim.volume and claim.volume not in volumes:
            missing.append(
                f"claim {key} is bound to volume {claim.volume}, which is not in the file"
            )
        elif not claim.volume and claim.storage_class not in ("", *found.classes):
            missing.append(
                f"claim {key} is of StorageClass {claim.storage_class}, which is not in the file"
            )
    if not missing:
        return pod
    spec = replace(pod.spec, claims=(), unsupported=(*pod.spec.unsupported, *missing))
    return replace(pod, spec=spec)
