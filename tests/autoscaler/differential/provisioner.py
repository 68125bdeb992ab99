"""The part of hcloud-csi that kube-scheduler waits for, and what becomes of volumes and claims."""

import asyncio
from collections.abc import Callable
from typing import Any

from autoscaler.differential import storage
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.convert_storage import SELECTED_NODE
from hk3s_kube import errors, objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind, Reflector

_SETTLED = ("Bound", "Available", "Lost")


class _Volume(objects.PersistentVolume, frozen=True):
    status: objects.ClaimStatus = objects.ClaimStatus()


class Provisioner:
    """Makes the volume of each claim for which kube-scheduler has chosen a node.

    `locations` are those of nodes, by name.
    """

    def __init__(self, kube: Kube, tasks: asyncio.TaskGroup) -> None:
        self._kube = kube
        self._tasks = tasks
        self.locations: dict[str, str] = {}
        self._phases: dict[str, str] = {}
        self._made: set[str] = set()
        self._news = asyncio.Event()
        self._claims = self._watch(objects.PersistentVolumeClaim, self._on_claim)
        self._volumes = self._watch(_Volume, self._on_volume)
        self.watches = (self._claims, self._volumes)

    def _watch(self, kind: Any, on_change: Callable[..., None]) -> Reflector[Any]:  # noqa: ANN401 - two kinds
        path = objects.PATHS.get(kind) or objects.PATHS[objects.PersistentVolume]
        return Reflector(
            self._kube,
            kind,
            clock=SystemClock(),
            chance=lambda: 0.5,
            path=path,
            on_change=on_change,
        )

    async def settled(self, names: set[str]) -> None:
        """Return once volumes are free or bound and claims bound or lost."""
        async with asyncio.timeout(60):
            while any(self._phases.get(name) not in _SETTLED for name in names):
                await self._news.wait()

    def _note(self, change: ChangeKind, key: str, phase: str) -> None:
        if change == "DELETED":
            self._phases.pop(key, None)
        else:
            self._phases[key] = phase
        self._news.set()
        self._news = asyncio.Event()

    def _on_volume(self, change: ChangeKind, item: _Volume) -> None:
        self._note(change, item.key, item.status.phase)

    def _on_claim(self, change: ChangeKind, item: objects.PersistentVolumeClaim) -> None:
        self._note(change, item.key, item.status.phase)
        node = item.metadata.annotations.get(SELECTED_NODE, "")
        wanted = change != "DELETED" and node and not item.spec.volume_name
        if wanted and item.metadata.uid not in self._made:
            self._made.add(item.metadata.uid)
            self._tasks.create_task(self._provision(item, node))

    async def _provision(self, item: objects.PersistentVolumeClaim, node: str) -> None:
        meta = item.metadata
        path = f"/api/v1/namespaces/{meta.namespace}/persistentvolumeclaims/{meta.name}"
        try:
            claim = await self._kube.get(path)
        except errors.NotFound:
            return
        case = claim["spec"]["storageClassName"].partition("-")[0]
        location = self.locations.get(node, "")
        volume = storage.provisioned(claim, f"{case}-pvc-{meta.uid}", case, location)
        await self._kube.create(volume)
