"""kube-scheduler on a control plane without what would get in the way, and what it says of pods."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoscaler.differential import storage
from autoscaler.differential.case import PRIORITIES
from autoscaler.differential.provisioner import Provisioner
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_kube import errors, objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind, Reflector
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes import clusters

_SECONDS = 15.0
_ADMISSION = "ServiceAccount,TaintNodesByCondition,RuntimeClass,StorageObjectInUseProtection"
_CONTROLLERS = (
    "daemonset-controller",
    "ephemeral-volume-controller",
    "garbage-collector-controller",
    "persistentvolume-binder-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
_GATES = "feature-gates=TaintTolerationComparisonOperators=true"
_NOT_YET = "waiting for ephemeral volume controller"


class Pods:
    """All pods, as a watch tells them."""

    def __init__(self, kube: Kube) -> None:
        self.known: dict[str, objects.Pod] = {}
        self._news = asyncio.Event()
        self.watch = Reflector(
            kube, objects.Pod, clock=SystemClock(), chance=lambda: 0.5, on_change=self._on_pod
        )

    def _on_pod(self, change: ChangeKind, item: objects.Pod) -> None:
        if change == "DELETED":
            self.known.pop(item.key, None)
        else:
            self.known[item.key] = item
        self._news.set()
        self._news = asyncio.Event()

    def node_of(self, key: str) -> str:
        """The node that a pod is bound to or, after a preemption, waits for; empty if none."""
        item = self.known.get(key)
        return (item.spec.node_name or item.status.nominated_node_name) if item is not None else ""

    async def verdict(self, key: str, *, patient: bool, seconds: float = _SECONDS) -> str:
        """Where a pod was bound, or why not; `patient` waits for a change of mind."""
        why = "no word"
        try:
            async with asyncio.timeout(seconds):
                while True:
                    news, item = self._news, self.known.get(key)
                    if item is not None and item.spec.node_name:
                        return f"on {item.spec.node_name}"
                    for condition in item.status.conditions if item is not None else ():
                        if condition.type == "PodScheduled" and condition.status == "False":
                            why = condition.message
                            if not patient and not why.startswith(_NOT_YET):
                                return why
                    await news.wait()
        except TimeoutError:
            return why

    async def nominated(self, key: str, node: str) -> None:
        """Return once a pod has preempted another and waits for its node."""
        async with asyncio.timeout(60):
            while self.node_of(key) != node:
                await self._news.wait()

    async def daemons(self, namespace: str, owner: str, nodes: set[str], *, among: set[str]) -> str:
        """Wait until a DaemonSet runs on just these nodes; say where it runs instead if not."""
        found: set[str] = set()
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    news = self._news
                    found = {
                        item.spec.node_name
                        for item in self.known.values()
                        if item.metadata.namespace == namespace
                        and any(o.name == owner for o in item.metadata.owner_references)
                        and item.spec.node_name in among
                    }
                    if found >= nodes:
                        break
                    await news.wait()
        except TimeoutError:
            pass
        return "" if found == nodes else f"daemons on {sorted(found)}, not on {sorted(nodes)}"


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[tuple[Kube, Pods, Provisioner]]:
    """Run one: no taints of young nodes, no accounts; hcloud-csi is played, kubelets are not."""
    binary = await ensure_binary(print)
    with clusters.loopback_network() as network:
        spec = replace(
            clusters.spec(directory, network, clusters.cluster_cas()),
            apiserver_args=(f"disable-admission-plugins={_ADMISSION}", _GATES),
            controller_manager_args=(f"controllers={','.join(_CONTROLLERS)}", _GATES),
            scheduler_args=(
                "config=/etc/rancher/k3s/scheduler.yaml",
                "kube-api-qps=2000",
                "kube-api-burst=4000",
                _GATES,
            ),
        )
        plane = ControlPlane(spec, binary=binary)
        await plane.start()
        kube = await Kube.from_kubeconfig(plane.admin_kubeconfig, within=60.0)
        try:
            async with asyncio.TaskGroup() as tasks:
                pods, provisioner = Pods(kube), Provisioner(kube, tasks)
                watches = (pods.watch, *provisioner.watches)
                running = [tasks.create_task(watch.run()) for watch in watches]
                for manifest in _furniture():
                    await _make(kube, manifest)
                for watch in watches:
                    await watch.synced.wait()
                yield kube, pods, provisioner
                for task in running:
                    task.cancel()
        finally:
            await kube.close()
            await plane.stop()


def _furniture() -> list[dict[str, Any]]:
    """What all cases share."""
    classes = [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "preemptionPolicy": policy,
        }
        for name, (value, policy) in PRIORITIES.items()
    ]
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": storage.DRIVER},
        "spec": {"attachRequired": True, "podInfoOnMount": True},
    }
    return [*classes, driver]


async def _make(kube: Kube, manifest: dict[str, Any]) -> None:
    try:
        await kube.create(manifest)
    except errors.AlreadyExists:
        return
