"""What pods are bound by besides nodes and each other, kept by watches: namespaces and storage."""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from hk3s_autoscaler.adapters import convert_storage
from hk3s_autoscaler.model.volumes import Storage
from hk3s_kube import objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import Reflector

F = TypeVar("F")
K = TypeVar("K", bound=objects.KubeObject)

_log = structlog.get_logger(component="watches")


class Surroundings:
    """Reflectors that hardly ever change; their facts are made anew only when one did."""

    def __init__(self, kube: Kube, **common: Any) -> None:  # noqa: ANN401 - as the reflectors say
        common = {**common, "on_change": self._note}
        self._namespaces = Reflector(kube, objects.Namespace, **common)
        self._claims = Reflector(kube, objects.PersistentVolumeClaim, **common)
        self._volumes = Reflector(kube, objects.PersistentVolume, **common)
        self._classes = Reflector(kube, objects.StorageClass, **common)
        self._csi_nodes = Reflector(kube, objects.CsiNode, **common)
        self._storage: Storage | None = None

    @property
    def watches(self) -> tuple[Reflector[Any], ...]:
        """All reflectors, to be run."""
        return (self._namespaces, self._claims, self._volumes, self._classes, self._csi_nodes)

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Names and labels of all namespaces."""
        return tuple(
            (name, tuple(sorted(item.metadata.labels.items())))
            for name, item in self._namespaces.items.items()
        )

    def storage(self) -> Storage:
        """Claims, volumes and storage classes."""
        if self._storage is None:
            self._storage = Storage(
                claims=_all(self._claims, convert_storage.claim),
                volumes=_all(self._volumes, convert_storage.volume),
                classes=_all(self._classes, convert_storage.storage_class),
                limits=tuple(
                    limit
                    for item in self._csi_nodes.items.values()
                    for limit in convert_storage.limits(item)
                ),
            )
        return self._storage

    def _note(self, *_: object) -> None:
        self._storage = None


def _all(watch: Reflector[K], reduce: Callable[[K], F]) -> tuple[F, ...]:
    """Facts of all objects but those that cannot be read; pods that need them will wait."""
    found = []
    for item in watch.items.values():
        try:
            found.append(reduce(item))
        except ValueError as error:
            kind = type(item).__name__
            _log.error("object.unreadable", kind=kind, key=item.key, error=str(error))
    return tuple(found)
