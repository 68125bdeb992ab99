"""Volumes, claims and storage classes to facts. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast, get_args

from hk3s_autoscaler.adapters.convert import key
from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.selectors import NodeTerm, Operator, Requirement
from hk3s_autoscaler.model.volumes import Claim, StorageClass, Volume
from hk3s_autoscaler.scheduling.volumes import both
from hk3s_kube import objects

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""Where kube-scheduler wants a volume that is being made; on the claim."""

_ZONES = {
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
"""Labels of volumes that kube-scheduler compares with those of nodes, old names with new ones."""


def claim(item: objects.PersistentVolumeClaim) -> Claim:
    """Reduce a claim."""
    spec = item.spec
    return Claim(
        key=key(item.metadata),
        volume=spec.volume_name,
        storage_class=spec.storage_class_name or "",
        modes=spec.access_modes,
        bytes=_bytes(spec.resources.requests),
        node=item.metadata.annotations.get(SELECTED_NODE, ""),
    )


def volume(item: objects.PersistentVolume) -> Volume:
    """Reduce a volume; one that was released is nobody's to claim, and keeps its old claim."""
    spec = item.spec
    affinity = spec.node_affinity.required if spec.node_affinity is not None else None
    holder = spec.claim_ref
    return Volume(
        name=item.metadata.name,
        terms=both(
            None if affinity is None else tuple(_terms(affinity.node_selector_terms)),
            _zone_terms(item.metadata.labels),
        ),
        driver=spec.csi.driver if spec.csi is not None else "",
        storage_class=spec.storage_class_name,
        claim=PodKey(holder.namespace, holder.name) if holder is not None else None,
        modes=spec.access_modes,
        bytes=_bytes(spec.capacity),
    )


def storage_class(item: objects.StorageClass) -> StorageClass:
    """Reduce a storage class."""
    allowed = item.allowed_topologies
    return StorageClass(
        name=item.metadata.name,
        provisioner=item.provisioner,
        waits=item.volume_binding_mode == "WaitForFirstConsumer",
        terms=tuple(
            NodeTerm(
                expressions=tuple(
                    Requirement(key=e.key, operator="In", values=e.values)
                    for e in term.match_label_expressions
                )
            )
            for term in allowed
        )
        if allowed
        else None,
    )


def limits(item: objects.CsiNode) -> Iterator[tuple[str, str, int]]:
    """Node, driver and number: how many volumes a node takes."""
    for driver in item.spec.drivers:
        if driver.allocatable is not None and driver.allocatable.count is not None:
            yield item.metadata.name, driver.name, driver.allocatable.count


def _zone_terms(found: Mapping[str, str]) -> tuple[NodeTerm, ...] | None:
    """Nodes that a volume's own labels allow, as the VolumeZone plugin has it.

    A label may name several zones, joined by `__`; nodes without any such label are all right.
    """
    wanted = tuple(
        Requirement(key=key, operator="In", values=tuple(sorted(found[label].split("__"))))
        for label, key in _ZONES.items()
        if label in found
    )
    if not wanted:
        return None
    nowhere = tuple(Requirement(key=label, operator="DoesNotExist") for label in _ZONES)
    return NodeTerm(expressions=wanted), NodeTerm(expressions=nowhere)


def _terms(terms: Iterable[objects.NodeSelectorTerm]) -> Iterator[NodeTerm]:
    for term in terms:
        yield NodeTerm(
            expressions=tuple(_requirements(term.match_expressions)),
            fields=tuple(_requirements(term.match_fields)),
        )


def _requirements(items: Iterable[objects.Requirement]) -> Iterator[Requirement]:
    for item in items:
        if item.operator not in get_args(Operator):
            raise ValueError(f"node affinity operator {item.operator}")
        yield Requirement(
            key=item.key, operator=cast("Operator", item.operator), values=item.values
        )


def _bytes(amounts: dict[str, str]) -> int:
    return quantity.whole(amounts.get("storage", "0"))
