"""What is paid once all pods run: the real kube-scheduler decides who goes where.

    python bench/paid.py [--pods N] [--seeds N] [--mix NAME] [--unguided]

A control plane of the lab runs with the scheduler profile that hk3s gives its masters. Pods are
created and found unschedulable; the daemon's planner buys, the servers join in random order and in
groups, each is opened as the daemon opens it (the pods planned for it are let in first), and what
still waits is planned for again, until every pod is bound. `ratio` is the price of all servers
bought, over the lower bound; `second` are servers bought after the first plan. `--unguided` opens
nodes to everybody at once: what the scores alone would make of the same purchase. The last line
is JSON.
"""

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import structlog
from bench.plane import Lab, laboratory
from bench.workloads import (
    AGENT,
    CONFIG,
    MIB,
    Mix,
    cpu_heavy,
    diverse,
    fifty_shapes,
    memory_heavy,
    pods_of,
    pool,
    price_list,
    world,
)

from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.adapters.opening import NodeOpening
from hk3s_autoscaler.model.node import STARTING_TAINT, Server
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import CreateServer, InvitePods, OpenNode
from hk3s_autoscaler.planning.lower_bound import lower_bound
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.scheduling.place import new_place
from hk3s_kube import labels

MIXES: dict[str, Mix] = {
    mix.__name__: mix for mix in (diverse, cpu_heavy, memory_heavy, fifty_shapes)
}
TARGET = 1.06
_CLUSTER = "bench"
_GROUPS = 8
"""The servers of a purchase join in so many groups."""
_PATIENCE = 120.0
_BINDING = 20.0
"""Seconds for which bindings that a plan expects are waited for: the scheduler's longest pause
before it looks at a pod again is ten."""
_POLL = 0.05
_READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One workload, all of it running."""

    mix: str
    pods: int
    seed: int
    cx: bool
    ratio: float
    first_ratio: float
    servers: int
    second: int
    seconds: float


class Story:
    """One workload from its creation until it runs."""

    def __init__(self, lab: Lab, *, seed: int, guided: bool, cx: bool) -> None:
        self._lab, self._guided = lab, guided
        self._chance = random.Random(seed)
        agent = AGENT.spec.requests
        # The agents are taken off beforehand, so that no DaemonSet has to run in the lab.
        self._offerings = tuple(
            replace(sold, allocatable=sold.allocatable - agent) for sold in price_list(cx=cx)
        )
        self._sold = {sold.key: sold for sold in self._offerings}
        self._opening = NodeOpening(lab.kube, fence=lambda: None)
        self._servers: dict[str, Server] = {}
        self._unjoined: list[str] = []

    async def run(self, mix: str, number: int, seed: int, *, cx: bool) -> Paid:
        """Play it to the end."""
        begun = time.monotonic()
        shapes = pods_of(MIXES[mix], number, seed)
        await self._lab.all(self._lab.kube.create(_manifest(pod)) for pod in shapes)
        await self._until(self._all_refused, _PATIENCE)
        given = world(shapes, offerings=self._offerings)
        sale = offers(replace(given, snapshot=replace(given.snapshot, daemonsets=())))
        bound = lower_bound(shapes, sale)
        first = await self._turn()
        while self._lab.waiting():
            await self._join_some()
            await self._turn()
        paid = [server.micro_eur_per_hour for server in self._servers.values()]
        return Paid(
            mix=mix,
            pods=number,
            seed=seed,
            cx=cx,
            ratio=sum(paid) / bound,
            first_ratio=sum(paid[:first]) / bound,
            servers=len(paid),
            second=len(paid) - first,
            seconds=time.monotonic() - begun,
        )

    async def clear(self) -> None:
        """Leave nothing behind."""
        kube = self._lab.kube
        pods = [
            f"/api/v1/namespaces/{p.key.namespace}/pods/{p.key.name}"
            for p in self._lab.pods.values()
        ]
        await self._lab.all(kube.delete(path, grace_period_seconds=0) for path in pods)
        await self._lab.all(kube.delete(f"/api/v1/nodes/{name}") for name in list(self._lab.nodes))
        await self._until(lambda: not self._lab.pods and not self._lab.nodes, _PATIENCE)

    async def _turn(self) -> int:
        """Plan once and do it; return how many servers were bought."""
        now = datetime.now(UTC)  # noqa: TID251 - the apiserver's time is the wall clock
        found = plan(self._snapshot(now), CONFIG, now)
        creates = [action for action in found.actions if isinstance(action, CreateServer)]
        for create in creates:
            self._buy(create, now)
        steps = [a for a in found.actions if isinstance(a, InvitePods | OpenNode)]
        await asyncio.gather(*(self._open(step, now) for step in steps))
        keys = [str(key) for step in steps if isinstance(step, InvitePods) for key in step.pods]
        await self._until(lambda: all(self._is_bound(key) for key in keys), _BINDING)
        return len(creates)

    def _snapshot(self, now: datetime) -> Snapshot:
        return Snapshot(
            pools=(pool(),),
            nodes=tuple(convert.node(node, _CLUSTER) for node in self._lab.nodes.values()),
            servers=tuple(self._servers.values()),
            pods=tuple(self._lab.pods.values()),
            offerings=self._offerings,
            servers_read_at=now,
            healthy_since=now,
            attachments_used=len(self._servers),
        )

    def _buy(self, create: CreateServer, now: datetime) -> None:
        number = len(self._servers) + 1
        name = f"server-{number:04}"
        self._servers[name] = Server(
            name=name,
            server_id=number,
            pool=create.pool,
            offering=create.offering,
            status="running",
            created_at=now,
            cluster_uid="",
            micro_eur_per_hour=create.micro_eur_per_hour,
            attached=True,
            bought_for=create.pods,
        )
        self._unjoined.append(name)

    async def _join_some(self) -> None:
        """Let a group of servers become nodes, or wait for the scheduler when all have."""
        if any(node.spec.taints for node in self._lab.nodes.values()):
            return  # the pods that were let in first are there: the next turn opens the node
        if not self._unjoined:
            known = len(self._lab.waiting())
            await self._until(lambda: len(self._lab.waiting()) < known, _BINDING)
            return
        size = -(-len(self._servers) // _GROUPS)
        self._chance.shuffle(self._unjoined)
        group, self._unjoined = self._unjoined[:size], self._unjoined[size:]
        nodes = (self._node(self._servers[name]) for name in group)
        await self._lab.all(self._lab.kube.create(node) for node in nodes)
        await self._until(lambda: all(name in self._lab.nodes for name in group), _PATIENCE)

    async def _open(self, action: InvitePods | OpenNode, now: datetime) -> None:
        """Take one step of an opening, and wait until the watch tells of it."""
        node = action.node
        if isinstance(action, InvitePods) and self._guided:
            here = (self._lab.pods.get(str(key)) for key in action.pods)
            invited = tuple(pod for pod in here if pod is not None)
            await self._opening.invite(node, invited, now)
            seen = labels.OPENING_SINCE
            await self._until(lambda: seen in self._lab.nodes[node].metadata.annotations, _PATIENCE)
        else:
            await self._opening.open(node)
            await self._until(lambda: not self._lab.nodes[node].spec.taints, _PATIENCE)

    def _is_bound(self, key: str) -> bool:
        pod = self._lab.pods.get(key)
        return pod is None or bool(pod.node)

    def _all_refused(self) -> bool:
        pods = self._lab.pods.values()
        return bool(pods) and all(pod.unschedulable_since is not None for pod in pods)

    def _node(self, server: Server) -> dict[str, Any]:
        sold = self._sold[server.offering]
        place = new_place(pool(), sold, name=server.name, allocatable=sold.allocatable)
        room = {
            "cpu": f"{sold.allocatable.cpu_milli}m",
            "memory": str(sold.allocatable.memory_bytes),
            "ephemeral-storage": str(sold.allocatable.ephemeral_bytes),
            "pods": str(sold.allocatable.pods),
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": server.name,
                "labels": {**place.labels, labels.CLUSTER: _CLUSTER},
            },
            "spec": {
                "providerID": f"hcloud://{server.server_id}",
                "taints": [{"key": STARTING_TAINT, "effect": "NoSchedule"}],
            },
            "status": {
                "capacity": room,
                "allocatable": dict(room),
                "conditions": [
                    {**_READY, "lastTransitionTime": convert.rfc3339(server.created_at)}
                ],
            },
        }

    async def _until(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Wait for something, or for so long."""
        deadline = time.monotonic() + seconds
        while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110 - any predicate
            await asyncio.sleep(_POLL)


def _manifest(pod: Pod) -> dict[str, Any]:
    requests = pod.spec.requests
    amounts = {"cpu": f"{requests.cpu_milli}m", "memory": f"{requests.memory_bytes // MIB}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.key.name, "namespace": pod.key.namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "x", "resources": {"requests": amounts}}],
        },
    }


async def measure(options: argparse.Namespace) -> list[Paid]:
    """Play every workload, one after another, and print a row for each."""
    found: list[Paid] = []
    names = [options.mix] if options.mix else list(MIXES)
    print(
        f"{'mix':13} {'cx':3} {'pods':>4} {'seed':>4} {'n':>4} {'ratio':>7} {'first':>7}"
        f" {'second':>6} {'s':>6}"
    )
    async with laboratory() as lab:
        for name in names:
            for seed in range(options.seeds):
                cx = seed % 2 == 0
                story = Story(lab, seed=seed, guided=not options.unguided, cx=cx)
                one = await story.run(name, options.pods, seed, cx=cx)
                await story.clear()
                found.append(one)
                print(
                    f"{name:13} {'yes' if cx else 'no':3} {one.pods:4} {seed:4} {one.servers:4}"
                    f" {one.ratio:7.4f} {one.first_ratio:7.4f} {one.second:6}"
                    f" {one.seconds:6.1f}",
                    flush=True,
                )
    return found


def main() -> None:
    """Measure, and print everything as JSON at last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pods", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=4, help="CX is sold out in every second")
    parser.add_argument("--mix", choices=sorted(MIXES), default="")
    parser.add_argument("--unguided", action="store_true", help="open nodes without nominations")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found = asyncio.run(measure(options))
    worst = max(one.ratio for one in found)
    average = mean(one.ratio for one in found)
    print(f"mean {average:.4f}, worst {worst:.4f}, target {TARGET}")
    summary = {"guided": not options.unguided, "mean": average, "worst": worst, "target": TARGET}
    print(json.dumps({**summary, "rows": [asdict(one) for one in found]}))


if __name__ == "__main__":
    main()
