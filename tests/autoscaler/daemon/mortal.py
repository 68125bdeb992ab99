"""Processes that die at a chosen call, in a world that goes on without them.

The real loop, executor and planner on fakes. Each process sees the world through ports of its own:
once it is dead, none of its calls arrives any more, whatever its tasks were about to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from autoscaler import fakes
from autoscaler.daemon.world import World
from autoscaler.fake_cloud import FakeCloud
from autoscaler.fake_cluster import FakeCluster
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.model.node import STARTING_TAINT, Server
from hk3s_autoscaler.model.nodepool import Budget, Disruption
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import Owner, Pod, Taint
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.ports import ServerRequest, Unavailable

T = TypeVar("T")
Fate = Literal["before", "after", "lost"]
"""The process dies before the call arrives or after its work is done, or the answer is lost."""

WRITES = frozenset(
    {
        "create_server",
        "attach_server",
        "power_on_server",
        "delete_server",
        "create_join_token",
        "revoke_join_token",
        "invite_pods",
        "open_node",
        "mark_unneeded",
        "mark_replacing",
        "cordon",
        "uncordon",
        "evict",
        "delete_node",
        "emit",
        "write_pool_status",
        "write_report",
    }
)

BOOT = timedelta(seconds=6)
STOP = timedelta(seconds=3)
ROOM = 4
"""Pods that a node takes: as many as the offering promised."""

POOL = fakes.pool(
    disruption=Disruption(
        consolidate_after=timedelta(seconds=8),
        keep_until_hour_end=False,
        budgets=(Budget(number=10),),
        min_savings_micro_eur_per_month=0,
    )
)


class Process:
    """One life: alive until a fate or the test ends it."""

    def __init__(self, fates: dict[int, Fate], calls: list[str]) -> None:
        self.dead = False
        self._fates = fates
        self._calls = calls

    async def call(
        self, name: str, work: Callable[..., Awaitable[T]], *args: object, **named: object
    ) -> T:
        await self._living()
        fate = self._fate(name)
        if fate == "before":
            self.dead = True
            await self._living()
        result = await work(*args, **named)
        if fate == "after":
            self.dead = True
        await self._living()
        if fate == "lost":
            raise Unavailable("no answer in time")
        return result

    async def _living(self) -> None:
        if self.dead:
            await asyncio.get_running_loop().create_future()

    def _fate(self, name: str) -> Fate | None:
        if name not in WRITES:
            return None
        self._calls.append(name)
        return self._fates.pop(len(self._calls) - 1, None)


class Mortal:
    """A port as one process sees it."""

    def __init__(self, port: object, process: Process) -> None:
        self._port = port
        self._process = process

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: object, **named: object) -> object:
            return await self._process.call(name, found, *args, **named)

        return call


class Hetzner(FakeCloud):
    """Remembers what was ever bought, and what was still in use when it was deleted."""

    def __init__(self, clock: fakes.ManualClock, *offerings: Offering) -> None:
        super().__init__(clock, *offerings)
        self.bought: list[str] = []

    async def create_server(self, request: ServerRequest) -> Server:
        known = request.name in self.servers
        server = await super().create_server(request)
        if not known:
            self.bought.append(server.name)
        return server


class Kubernetes(FakeCluster):
    """Evicted pods take their time; tokens end; a deleted server's kubelet falls silent."""

    def __init__(self, clock: fakes.ManualClock) -> None:
        super().__init__(clock)
        self.evicted: list[str] = []
        self.token_ends: dict[str, datetime] = {}

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        self.token_ends[server_name] = expires_at
        return await super().create_join_token(server_name, expires_at)

    async def evict(self, pod: Pod) -> None:
        self._enter("evict")
        found = self.pod_objects.get(pod.key)
        if found is None or found.uid != pod.uid:
            return
        self.evicted.append(found.uid)
        self.pod_objects[pod.key] = replace(found, deleted_at=self._clock.now())


@dataclass
class Realm:
    """A world with a succession of processes; `calls` are all writing calls of all of them."""

    fates: Mapping[int, Fate] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    config: PlanConfig = PlanConfig()  # noqa: RUF009 - frozen
    deaths: int = 0
    most: int = 0
    joins: bool = True

    def __post_init__(self) -> None:
        self._left = dict(self.fates)
        self._replaced = 0
        self.world = World(
            fakes.offering("cx23/fsn1"), fakes.offering("cx23/nbg1", micro_eur_per_hour=7000)
        )
        world = self.world
        world.cloud = Hetzner(world.clock, *world.cloud.offerings)
        world.cluster = Kubernetes(world.clock)
        world.cluster.add(POOL)
        self.cloud: Hetzner = world.cloud
        self.cluster: Kubernetes = world.cluster

    async def begin(self) -> None:
        """Start a process; it takes up what the last one left."""
        world = self.world
        self.process = Process(self._left, self.calls)
        ports = Mortal(self.cloud, self.process), Mortal(self.cluster, self.process)
        world.cloud, world.cluster = ports  # type: ignore[assignment]
        world.restart()
        world.loop = Loop(world.kit, world.trigger, plan=plan, config=self.config, interval=10.0)
        await world.loop._reporter.restore()

    async def end(self) -> None:
        """Kill the process that runs, if it is not dead yet: nothing of it is left."""
        self.process.dead = True
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ask(self, count: int, prefix: str = "web") -> None:
        """Pods that wait for a node."""
        for n in range(count):
            self._add_pod(f"{prefix}-{n}")

    def drop(self, names: Iterable[str]) -> None:
        """Take pods away, as a scale-down of their Deployment does."""
        for key in [k for k in self.cluster.pod_objects if k.name in set(names)]:
            del self.cluster.pod_objects[key]

    async def live(self, seconds: int, *, step: int = 1) -> None:
        """Let a turn begin each `step` seconds while the world goes on; the dead are replaced."""
        for _ in range(0, seconds, step):
            turn = asyncio.create_task(self.world.turn())
            for _ in range(6):
                if self.process.dead or turn.done():
                    break
                await fakes.settle()
            if turn.done():
                turn.result()
            if self.process.dead:
                self.deaths += 1
                await self.end()
                await self.begin()
            await self.world.clock.advance(step)
            self._go_on()

    def _go_on(self) -> None:
        # The world's own clock: that of the daemon may jump.
        now = self.world.clock.now() - self.world.clock.jumped
        self.most = max(self.most, len(self.cloud.servers))
        for server in self.cloud.servers.values():
            up = server.status == "running" and server.created_at + BOOT <= now
            if up and server.name in self.cluster.tokens | self.cluster.node_objects:
                self._register(server)
        machines = {server.server_id for server in self.cloud.servers.values()}
        for name, node in self.cluster.node_objects.items():
            if node.server_id not in machines and node.ready:
                self.cluster.add(replace(node, ready=False, not_ready_since=now))
                assert all(p.node != name for p in self.cluster.pod_objects.values()), "lost a pod"
        for key, pod in list(self.cluster.pod_objects.items()):
            if pod.deleted_at is not None and pod.deleted_at + STOP <= now:
                del self.cluster.pod_objects[key]
                self._replaced += 1
                self._add_pod(f"again-{self._replaced}")
        ended = [name for name, end in self.cluster.token_ends.items() if end <= now]
        for name in ended:
            self.cluster.tokens.pop(name, None)
        self._schedule()

    def _register(self, server: Server) -> None:
        if server.name in self.cluster.node_objects or not self.joins:
            return
        node = fakes.node(server.name, server_id=server.server_id)
        starting = (Taint(key=STARTING_TAINT, value="", effect="NoSchedule"),)
        room = self.cloud.offerings[0].allocatable
        self.cluster.add(
            replace(node, created_at=self.world.clock.now(), taints=starting, allocatable=room)
        )

    def _schedule(self) -> None:
        # As kube-scheduler: room that a pod is nominated to is taken for the others.
        pods = self.cluster.pod_objects.items()
        for key, pod in sorted(pods, key=lambda item: not item[1].nominated_node):
            nodes = [n for n in self.cluster.node_objects.values() if self._takes(n.name, pod)]
            if not pod.node and nodes:
                wanted = next((n for n in nodes if n.name == pod.nominated_node), nodes[0])
                self.cluster.pod_objects[key] = replace(
                    pod, node=wanted.name, phase="Running", unschedulable_since=None
                )

    def _takes(self, name: str, pod: Pod) -> bool:
        node = self.cluster.node_objects[name]
        bound = sum(other.node == name for other in self.cluster.pod_objects.values())
        is_let_in = not node.taints or name in pod.invited_to
        return node.ready and not node.unschedulable and is_let_in and bound < ROOM

    def _add_pod(self, name: str) -> None:
        now = self.world.clock.now()
        pod = fakes.pod(name, unschedulable=True)
        owner = Owner(kind="ReplicaSet", name="web", uid="uid-web")
        self.cluster.add(replace(pod, created_at=now, unschedulable_since=now, owner=owner))
