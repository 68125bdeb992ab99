"""A control plane of the lab for benches: the real kube-scheduler with hk3s's profile."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.model.pod import Pod
from hk3s_cloudinit.k3s import scheduler_profile
from hk3s_kube import objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind, Reflector
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes import clusters

_CALLS_AT_ONCE = 16
T = TypeVar("T")


@dataclass(slots=True)
class Lab:
    """The apiserver and what its watches say."""

    kube: Kube
    pods: dict[str, Pod] = field(default_factory=dict)
    nodes: dict[str, objects.Node] = field(default_factory=dict)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CALLS_AT_ONCE))

    def on_pod(self, change: ChangeKind, item: objects.Pod) -> None:
        """Take news of a pod."""
        if change == "DELETED":
            self.pods.pop(item.key, None)
        else:
            self.pods[item.key] = convert.pod(item)

    def on_node(self, change: ChangeKind, item: objects.Node) -> None:
        """Take news of a node."""
        if change == "DELETED":
            self.nodes.pop(item.key, None)
        else:
            self.nodes[item.key] = item

    async def all(self, calls: Iterable[Awaitable[T]]) -> None:
        """Make calls, a few at once."""

        async def one(call: Awaitable[T]) -> None:
            async with self.gate:
                await call

        await asyncio.gather(*(one(call) for call in calls))

    def waiting(self) -> list[Pod]:
        """Pods without a node."""
        return [pod for pod in self.pods.values() if not pod.node]


@asynccontextmanager
async def laboratory() -> AsyncIterator[Lab]:
    """A control plane with hk3s's scheduler profile, without what would get in the way."""
    binary = await ensure_binary(lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder, clusters.loopback_network() as network:
        spec = replace(
            clusters.spec(Path(folder), network, clusters.cluster_cas()),
            scheduler_config=yaml.safe_dump(scheduler_profile()),
            apiserver_args=("disable-admission-plugins=ServiceAccount,TaintNodesByCondition",),
            controller_manager_args=(
                "controllers=*,-node-lifecycle-controller,-taint-eviction-controller",
            ),
        )
        plane = ControlPlane(spec, binary=binary)
        await plane.start()
        kube = await Kube.from_kubeconfig(plane.admin_kubeconfig)
        lab = Lab(kube)
        common: dict[str, Any] = {"clock": SystemClock(), "chance": lambda: 0.5}
        watches = (
            Reflector(kube, objects.Pod, on_change=lab.on_pod, **common),
            Reflector(kube, objects.Node, on_change=lab.on_node, **common),
        )
        tasks = [asyncio.create_task(watch.run()) for watch in watches]
        try:
            await kube.create(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}
            )
            for watch in watches:
                await watch.synced.wait()
            yield lab
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await kube.close()
            await plane.stop()
