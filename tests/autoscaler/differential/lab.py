"""A case on a real control plane: what the plan says is done there, and kube-scheduler judges."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoscaler.builders import CONFIG, NOW
from autoscaler.differential import facts
from autoscaler.differential.generate import PRIORITIES, Case
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.scale_up import Growth, plan_scale_up
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place
from hk3s_kube import errors, objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind, Reflector
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes import clusters

_SECONDS = 12.0
_PIN = "pin.test/"
_READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What kube-scheduler did otherwise than planned; empty when it agrees."""

    refused: tuple[str, ...]
    bound: tuple[str, ...]
    planned: int
    impossible: int

    def __str__(self) -> str:
        return f"refused {self.refused}, bound {self.bound}"


class Scheduler:
    """kube-scheduler, asked pod by pod."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._pods: dict[str, objects.Pod] = {}
        self._news = asyncio.Event()
        self.watch = Reflector(
            kube, objects.Pod, clock=SystemClock(), chance=lambda: 0.5, on_change=self._on_pod
        )

    def _on_pod(self, change: ChangeKind, item: objects.Pod) -> None:
        if change == "DELETED":
            self._pods.pop(item.key, None)
        else:
            self._pods[item.key] = item
        self._news.set()
        self._news = asyncio.Event()

    async def verdict(self, key: str, *, patient: bool) -> str:
        """Where a pod was bound, or why not; `patient` waits for a change of mind."""
        why = "no word"
        try:
            async with asyncio.timeout(_SECONDS):
                while True:
                    news = self._news
                    item = self._pods.get(key)
                    if item is not None and item.spec.node_name:
                        return f"on {item.spec.node_name}"
                    for condition in item.status.conditions if item is not None else ():
                        if condition.type == "PodScheduled" and condition.status == "False":
                            why = condition.message
                            if not patient:
                                return why
                    await news.wait()
        except TimeoutError:
            return why

    async def judge(self, case: Case) -> Judgement:
        world = _world(case)
        growth = plan_scale_up(world, doomed=())
        targets = _targets(growth, case)
        order = _in_order(growth, targets)
        try:
            await self._set_up(case, world, growth, targets)
            refused = []
            for key in order:
                pinned = _pinned(_manifest(case, key), targets[key])
                await self._create(pinned)
                verdict = await self.verdict(str(key), patient=True)
                if verdict != f"on {targets[key]}":
                    refused.append(f"{key} for {targets[key]}: {verdict}")
            impossible = [
                PodKey(p["metadata"]["namespace"], p["metadata"]["name"])
                for p in case.pending
                if PodKey(p["metadata"]["namespace"], p["metadata"]["name"]) not in targets
            ]
            bound = await self._refuses(case, world, impossible) if impossible else []
            return Judgement(
                refused=tuple(refused),
                bound=tuple(bound),
                planned=len(order),
                impossible=len(impossible),
            )
        finally:
            await self._clear(case)

    async def _refuses(self, case: Case, world: World, keys: Iterable[PodKey]) -> list[str]:
        """Which of the pods are bound after all, with a fresh node of each offering there."""
        fresh = [
            _node_of(offer.place, f"{case.name}-fresh{number}")
            for number, offer in enumerate(offers(world))
        ]
        await self._add_nodes(case, fresh)
        bound = []
        for key in keys:
            await self._create(_manifest(case, key))
            verdict = await self.verdict(str(key), patient=False)
            if verdict.startswith("on "):
                bound.append(f"{key}: {verdict}")
        return bound

    async def _set_up(
        self, case: Case, world: World, growth: Growth, targets: Mapping[PodKey, str]
    ) -> None:
        for name, labels in case.namespaces.items():
            await self._create(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": name, "labels": labels},
                }
            )
        places = {(o.pool.name, o.key): o.place for o in offers(world)}
        bought = [
            _node_of(places[create.pool, create.offering], f"{case.name}-b{number}")
            for number, create in enumerate(growth.creates)
        ]
        nodes = [copy.deepcopy(node) for node in (*case.nodes, *bought)]
        for node in nodes:
            for key, target in targets.items():
                if target == node["metadata"]["name"]:
                    for amounts in (node["status"]["capacity"], node["status"]["allocatable"]):
                        amounts[_pin(key)] = "1"
        for node in nodes[: len(case.nodes)]:
            await self._create_node(node)
        for pod in case.running:
            await self._create(pod)
        await self._add_nodes(case, nodes[len(case.nodes) :])

    async def _add_nodes(self, case: Case, nodes: Iterable[dict[str, Any]]) -> None:
        """Add nodes, and one of no use: kube-scheduler knows them all once it has bound there."""
        for node in nodes:
            await self._create_node(node)
        last = f"{case.name}-z{len(self._pods)}"
        room = {"pods": "1"}
        await self._create_node(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": last, "labels": {"hk3s.test/canary": case.name}},
                "spec": {"taints": [{"key": "canary", "effect": "NoSchedule"}]},
                "status": {"capacity": room, "allocatable": room},
            }
        )
        namespace = next(iter(case.namespaces))
        canary = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": last, "namespace": namespace},
            "spec": {
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "c", "image": "x"}],
                "terminationGracePeriodSeconds": 0,
            },
        }
        await self._create(_pinned_by_name(canary, last))
        assert await self.verdict(f"{namespace}/{last}", patient=True) == f"on {last}"
        await self._kube.delete(f"/api/v1/namespaces/{namespace}/pods/{last}")
        await self._kube.delete(f"/api/v1/nodes/{last}")

    async def _create_node(self, node: dict[str, Any]) -> None:
        made = copy.deepcopy(node)
        made["status"]["conditions"] = [_READY]
        await self._create(made)

    async def _create(self, manifest: dict[str, Any]) -> None:
        await self._kube.create(manifest)

    async def _clear(self, case: Case) -> None:
        for namespace in case.namespaces:
            mine = [p for p in self._pods.values() if p.metadata.namespace == namespace]
            for item in mine:
                path = f"/api/v1/namespaces/{namespace}/pods/{item.metadata.name}"
                await self._kube.delete(path, grace_period_seconds=0)
        listed = await self._kube.list_items("/api/v1/nodes")
        for node in listed:
            if node["metadata"]["name"].startswith(f"{case.name}-"):
                await self._kube.delete(f"/api/v1/nodes/{node['metadata']['name']}")


@asynccontextmanager
async def scheduler(directory: Path) -> AsyncIterator[Scheduler]:
    """A control plane without what would get in the way: taints of young nodes, accounts."""
    binary = await ensure_binary(print)
    with clusters.loopback_network() as network:
        spec = replace(
            clusters.spec(directory, network, clusters.cluster_cas()),
            apiserver_args=("disable-admission-plugins=ServiceAccount,TaintNodesByCondition",),
            controller_manager_args=(
                "controllers=*,-node-lifecycle-controller,-taint-eviction-controller",
            ),
            scheduler_args=(
                "config=/etc/rancher/k3s/scheduler.yaml",
                "kube-api-qps=2000",
                "kube-api-burst=4000",
            ),
        )
        plane = ControlPlane(spec, binary=binary)
        await plane.start()
        kube = await Kube.from_kubeconfig(plane.admin_kubeconfig)
        judge = Scheduler(kube)
        running = asyncio.create_task(judge.watch.run())
        try:
            for name, value in PRIORITIES.items():
                await _make_priority(kube, name, value)
            await judge.watch.synced.wait()
            yield judge
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await kube.close()
            await plane.stop()


async def _make_priority(kube: Kube, name: str, value: int) -> None:
    manifest = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "preemptionPolicy": "Never",
    }
    try:
        await kube.create(manifest)
    except errors.AlreadyExists:
        return


def _world(case: Case) -> World:
    return World(snapshot=facts.snapshot(case), config=CONFIG, now=NOW)


def _targets(growth: Growth, case: Case) -> dict[PodKey, str]:
    """The node that each pod is planned for."""
    targets = {r.pod: r.target for r in growth.pods if r.target}
    for number, create in enumerate(growth.creates):
        targets |= dict.fromkeys(create.pods, f"{case.name}-b{number}")
    return targets


def _in_order(growth: Growth, targets: Mapping[PodKey, str]) -> list[PodKey]:
    ordered = [key for key, _ in growth.order]
    assert len(ordered) == len(set(ordered))
    assert set(ordered) <= set(targets)
    return [*ordered, *(key for key in targets if key not in set(ordered))]


def _manifest(case: Case, key: PodKey) -> dict[str, Any]:
    return next(
        copy.deepcopy(p)
        for p in case.pending
        if (p["metadata"]["namespace"], p["metadata"]["name"]) == (key.namespace, key.name)
    )


def _pin(key: PodKey) -> str:
    return f"{_PIN}{key.namespace}.{key.name}"


def _pinned(manifest: dict[str, Any], node: str) -> dict[str, Any]:
    """Pin a pod by a resource that its node alone has.

    A pin by node affinity would take all other nodes out of the domains of a topology spread.
    """
    meta = manifest["metadata"]
    name = _pin(PodKey(meta["namespace"], meta["name"]))
    resources = manifest["spec"]["containers"][0]["resources"]
    for part in ("requests", "limits"):
        resources.setdefault(part, {})[name] = "1"
    return manifest


def _pinned_by_name(manifest: dict[str, Any], node: str) -> dict[str, Any]:
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    manifest["spec"]["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
    }
    return manifest


def _node_of(place: Place, name: str) -> dict[str, Any]:
    room = _amounts(place.room)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**place.labels, HOSTNAME_LABEL: name}},
        "spec": {
            "taints": [{"key": t.key, "value": t.value, "effect": t.effect} for t in place.taints]
        },
        "status": {"capacity": room, "allocatable": dict(room)},
    }


def _amounts(room: Resources) -> dict[str, str]:
    return {
        "cpu": f"{room.cpu_milli}m",
        "memory": str(room.memory_bytes),
        "ephemeral-storage": str(room.ephemeral_bytes),
        "pods": str(room.pods),
        **{name: str(amount) for name, amount in room.extended},
    }
