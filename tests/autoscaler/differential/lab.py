"""A case on a real control plane: what the plan says is done there, and kube-scheduler judges."""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from autoscaler.builders import CONFIG, NOW
from autoscaler.differential import facts, storage
from autoscaler.differential.case import Case
from autoscaler.differential.provisioner import Provisioner
from autoscaler.differential.scheduler import Pods, cluster
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.scale_up import Growth, plan_scale_up
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place, node_place, runs_daemon
from hk3s_kube.client import Kube

Json = dict[str, Any]

_PIN = "pin.test/"
_READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
_CLUSTER_WIDE = (
    "/api/v1/nodes",
    "/api/v1/persistentvolumes",
    "/apis/storage.k8s.io/v1/csinodes",
    "/apis/storage.k8s.io/v1/storageclasses",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What kube-scheduler did otherwise than planned; `refused` and `bound` empty if it agrees."""

    refused: tuple[str, ...]
    bound: tuple[str, ...]
    planned: tuple[PodKey, ...]
    impossible: tuple[PodKey, ...]

    @property
    def wrong(self) -> str:
        """Both in words, empty if it agrees."""
        return f"refused {self.refused}, bound {self.bound}" if self.refused or self.bound else ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A plan for a case, as the test carries it out."""

    case: Case
    world: World
    growth: Growth
    targets: Mapping[PodKey, str] = field(default_factory=dict)

    @property
    def order(self) -> list[PodKey]:
        """Planned pods in an order in which each may be bound."""
        ordered = [key for key, _ in self.growth.order]
        assert len(ordered) == len(set(ordered))
        assert set(ordered) <= set(self.targets)
        return [*ordered, *(key for key in self.targets if key not in set(ordered))]

    @property
    def impossible(self) -> list[PodKey]:
        """Pods that the plan serves nowhere; an expendable one may go where there is room."""
        spared = [key_of(pod) for pod in self.expendable]
        keys = (key_of(pod) for pod in self.case.pending)
        return [key for key in keys if key not in self.targets and key not in spared]

    @property
    def expendable(self) -> list[Json]:
        """Pods that make way for any other, and for which nothing is bought."""
        cutoff = self.world.config.expendable_priority_cutoff
        return [pod for pod in self.case.pending if pod["spec"]["priority"] < cutoff]


def answer(case: Case, seen: Case | None = None) -> Answer:
    """Plan a case, or what is seen of it."""
    world = World(snapshot=facts.snapshot(seen or case), config=CONFIG, now=NOW)
    growth = plan_scale_up(world, doomed=())
    targets = {r.pod: r.target for r in growth.pods if r.target}
    for number, create in enumerate(growth.creates):
        targets |= dict.fromkeys(create.pods, f"{case.name}-b{number}")
    return Answer(case=case, world=world, growth=growth, targets=targets)


class Scheduler:
    """kube-scheduler, asked pod by pod."""

    def __init__(self, kube: Kube, pods: Pods, provisioner: Provisioner) -> None:
        self._kube = kube
        self._pods = pods
        self._provisioner = provisioner
        self._serial = count()

    async def judge(
        self, case: Case, *, seen: Case | None = None, seconds: float = 15.0
    ) -> Judgement:
        """Carry a plan out, and say where kube-scheduler has another opinion.

        The plan is for what is `seen`, if that differs, and then the first objection is enough. A
        planned pod has some `seconds` to be bound.
        """
        asked = answer(case, seen)
        try:
            refused = await self._set_up(asked)
            for key in asked.order:
                if seen is not None and refused:
                    break
                await self._kube.create(_pinned(_manifest(case, key), asked.targets[key]))
                verdict = await self._pods.verdict(str(key), patient=True, seconds=seconds)
                if verdict != f"on {asked.targets[key]}":
                    refused.append(f"{key} for {asked.targets[key]}: {verdict}")
            impossible = asked.impossible if seen is None or not refused else []
            bound = await self._refuses(asked, impossible) if impossible else []
            return Judgement(
                refused=tuple(refused),
                bound=tuple(bound),
                planned=tuple(asked.order),
                impossible=tuple(impossible),
            )
        finally:
            await self._clear(case)

    async def _refuses(self, asked: Answer, keys: Sequence[PodKey]) -> list[str]:
        """Which of the pods are bound after all, with a fresh node of each offering there."""
        case = asked.case
        fresh = [
            _node_of(offer.place, f"{case.name}-fresh{number}", asked)
            for number, offer in enumerate(offers(asked.world))
        ]
        wrong = await self._add_nodes(case, fresh)
        for key in keys:
            await self._kube.create(_manifest(case, key))
            await self._pods.verdict(str(key), patient=False)
        # Looked at when all have been refused once: another event may have changed a mind.
        bound = [(key, self._pods.node_of(str(key))) for key in keys]
        return [*wrong, *(f"{key}: on {node}" for key, node in bound if node)]

    async def _set_up(self, asked: Answer) -> list[str]:
        case = asked.case
        for name, labels in case.namespaces.items():
            meta = {"name": name, "labels": labels}
            await self._kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        for manifest in (*case.classes, *case.volumes, *case.claims):
            await self._kube.create(manifest)
        held = [claim for claim in case.claims if "volumeName" in claim["spec"]]
        await self._provisioner.settled(
            {v["metadata"]["name"] for v in case.volumes} | {str(key_of(c)) for c in held}
        )
        nodes = _nodes(asked)
        there, bought = nodes[: len(case.nodes)], nodes[len(case.nodes) :]
        for csi_node in case.csi_nodes:
            await self._kube.create(csi_node)
        for node in there:
            await self._create_node(node)
        for manifest in (*case.running, *case.daemonsets):
            await self._kube.create(manifest)
        for pod, node_name in case.nominated:
            await self._kube.create(pod)
            await self._pods.nominated(str(key_of(pod)), node_name)
        for pod in asked.expendable:
            await self._kube.create(pod)
        return await self._add_nodes(case, bought, there)

    async def _add_nodes(
        self, case: Case, nodes: Sequence[Json], there: Sequence[Json] = ()
    ) -> list[str]:
        """Add nodes, and one of no use: kube-scheduler knows them all once it has bound there.

        Returns where DaemonSets do otherwise than foreseen.
        """
        for node in nodes:
            if case.csi_nodes or case.classes:
                name = node["metadata"]["name"]
                await self._kube.create(storage.csi_node(case.name, name, 16))
            await self._create_node(node)
        last = f"{case.name}-z{next(self._serial)}"
        await self._create_node(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": last, "labels": {storage.CASE: f"{case.name}-canary"}},
                "spec": {"taints": [{"key": "canary", "effect": "NoSchedule"}]},
                "status": {"capacity": {"pods": "1"}, "allocatable": {"pods": "1"}},
            }
        )
        namespace = next(iter(case.namespaces))
        await self._kube.create(_canary(namespace, last))
        assert await self._pods.verdict(f"{namespace}/{last}", patient=True) == f"on {last}"
        await self._kube.delete(f"/api/v1/namespaces/{namespace}/pods/{last}")
        await self._kube.delete(f"/api/v1/nodes/{last}")
        return [
            wrong
            for manifest in case.daemonsets
            if (wrong := await self._daemons(manifest, (*there, *nodes)))
        ]

    async def _daemons(self, manifest: Json, nodes: Iterable[Json]) -> str:
        """Wait for a DaemonSet's pods: of those nodes all that it should run on have one."""
        wanted = facts.daemonset(manifest)
        known = [facts.node(node) for node in nodes]
        expected = {
            node.name
            for node in known
            if runs_daemon(wanted, node_place(node, room=node.allocatable))
        }
        key = key_of(manifest)
        return await self._pods.daemons(
            key.namespace, key.name, expected, among={node.name for node in known}
        )

    async def _create_node(self, node: Json) -> None:
        made = copy.deepcopy(node)
        made["status"]["conditions"] = [_READY]
        meta = made["metadata"]
        self._provisioner.locations[meta["name"]] = meta["labels"].get(storage.LOCATION, "")
        await self._kube.create(made)

    async def _clear(self, case: Case) -> None:
        now = {"gracePeriodSeconds": 0}
        for namespace in case.namespaces:
            core = f"/api/v1/namespaces/{namespace}"
            if case.daemonsets:
                await self._sweep(f"/apis/apps/v1/namespaces/{namespace}/daemonsets", {})
            await self._sweep(f"{core}/pods", now)
            if case.claims or case.made_claims:
                await self._sweep(f"{core}/persistentvolumeclaims", now)
        for path in _CLUSTER_WIDE if case.classes else _CLUSTER_WIDE[:1]:
            await self._sweep(path, now, {"labelSelector": f"{storage.CASE}={case.name}"})

    async def _sweep(
        self, path: str, options: Json, query: Mapping[str, str] | None = None
    ) -> None:
        """Delete a whole collection."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options}
        await self._kube._json("DELETE", path, body=body, query=query)


@asynccontextmanager
async def scheduler(directory: Path) -> AsyncIterator[Scheduler]:
    """Run kube-scheduler, to be asked for its judgement."""
    async with cluster(directory) as (kube, pods, provisioner):
        yield Scheduler(kube, pods, provisioner)


async def judge_all(judge: Scheduler, cases: Iterable[Case], at_once: int = 6) -> list[Judgement]:
    """Judge cases side by side, and then those that must be alone."""
    every = list(cases)
    found: dict[str, Judgement] = {}
    gate = asyncio.Semaphore(at_once)

    async def one(case: Case) -> None:
        async with gate:
            found[case.name] = await judge.judge(case)

    async with asyncio.TaskGroup() as group:
        for case in every:
            if not case.alone:
                group.create_task(one(case))
    for case in every:
        if case.alone:
            await one(case)
    return [found[case.name] for case in every]


def _nodes(asked: Answer) -> list[Json]:
    """All nodes, then what is bought; each has what the pods planned for it are pinned by."""
    case = asked.case
    places = {(o.pool.name, o.key): o.place for o in offers(asked.world)}
    bought = [
        _node_of(places[create.pool, create.offering], f"{case.name}-b{number}", asked)
        for number, create in enumerate(asked.growth.creates)
    ]
    nodes = [copy.deepcopy(node) for node in (*case.nodes, *bought)]
    for node in nodes:
        for key, target in asked.targets.items():
            if target == node["metadata"]["name"]:
                for amounts in (node["status"]["capacity"], node["status"]["allocatable"]):
                    amounts[_pin(key)] = "1"
    return nodes


def key_of(manifest: Json) -> PodKey:
    """Namespace and name."""
    return PodKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def _manifest(case: Case, key: PodKey) -> Json:
    return next(copy.deepcopy(pod) for pod in case.pending if key_of(pod) == key)


def _pin(key: PodKey) -> str:
    return f"{_PIN}{key.namespace}.{key.name}"


def _pinned(manifest: Json, node: str) -> Json:
    """Pin a pod by a resource that its node alone has.

    A pin by node affinity would take all other nodes out of the domains of a topology spread.
    """
    name = _pin(key_of(manifest))
    resources = manifest["spec"]["containers"][0]["resources"]
    for part in ("requests", "limits"):
        resources.setdefault(part, {})[name] = "1"
    return manifest


def _canary(namespace: str, node: str) -> Json:
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": node, "namespace": namespace},
        "spec": {
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "c", "image": "x"}],
            "terminationGracePeriodSeconds": 0,
            "affinity": affinity,
        },
    }


def _node_of(place: Place, name: str, asked: Answer) -> Json:
    """A new server's node, before its DaemonSets run."""
    room = _amounts(_whole(place, asked))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**place.labels, HOSTNAME_LABEL: name}},
        "spec": {
            "taints": [{"key": t.key, "value": t.value, "effect": t.effect} for t in place.taints]
        },
        "status": {"capacity": room, "allocatable": dict(room)},
    }


def _whole(place: Place, asked: Answer) -> Resources:
    """What a server offers: what the place of an offer leaves, and what its DaemonSets take."""
    sold = place.labels["node.kubernetes.io/instance-type"], place.labels[storage.ZONE]
    return next(
        o.allocatable
        for o in asked.world.snapshot.offerings
        if (o.key.server_type, o.key.location) == sold
    )


def _amounts(room: Resources) -> dict[str, str]:
    return {
        "cpu": f"{room.cpu_milli}m",
        "memory": str(room.memory_bytes),
        "ephemeral-storage": str(room.ephemeral_bytes),
        "pods": str(room.pods),
        **{name: str(amount) for name, amount in room.extended},
    }
