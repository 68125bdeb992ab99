"""In-memory Hetzner, Kubernetes and time: they obey the contracts of `ports.py` and can say no."""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.node import STARTING_TAINT, JoinReport, Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage
from hk3s_autoscaler.ports import (
    EvictionBlocked,
    NotLeader,
    ObjectRef,
    PoolStatus,
    ServerRequest,
    Unavailable,
)

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTER_UID = "3f6a1c1e-0000-4000-8000-000000000001"
GIB = 2**30


class ManualClock:
    """Time that moves only when a test says so."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self.jumped = timedelta()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed) + self.jumped

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking whoever is due on the way, in order."""
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, at)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = end
        await settle()


async def settle() -> None:
    """Let every task run until it waits for something outside."""
    others = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(60):
        await asyncio.sleep(0)
        if not others:
            return


def offering(name: str = "cx23/fsn1", *, micro_eur_per_hour: int = 6000) -> Offering:
    server_type, location = name.split("/")
    room = Resources(cpu_milli=2000, memory_bytes=4 * GIB, pods=110)
    return Offering(
        key=OfferingKey(server_type, location),
        architecture="x86",
        cpu_type="shared",
        cores=2,
        memory_bytes=4 * GIB,
        disk_bytes=40 * GIB,
        micro_eur_per_hour=micro_eur_per_hour,
        micro_eur_per_month=micro_eur_per_hour * 672,
        capacity=room,
        allocatable=room,
    )


def key(name: str) -> OfferingKey:
    return OfferingKey(*name.split("/"))


def pool(name: str = "workers", **fields: object) -> NodePool:
    return replace(NodePool(name=name, uid=f"uid-{name}"), **fields)  # type: ignore[arg-type]


def pod(name: str = "web-1", *, node: str = "", unschedulable: bool = False) -> Pod:
    return Pod(
        key=PodKey("default", name),
        uid=f"uid-{name}",
        spec=PodSpec(requests=Resources(cpu_milli=500, memory_bytes=GIB, pods=1)),
        created_at=START,
        node=node,
        phase="Running" if node else "Pending",
        unschedulable_since=START if unschedulable else None,
    )


def server(name: str = "demo-workers-a", *, server_id: int = 1, **fields: object) -> Server:
    plain = Server(
        name=name,
        server_id=server_id,
        pool="workers",
        offering=key("cx23/fsn1"),
        status="running",
        created_at=START,
        cluster_uid=CLUSTER_UID,
        micro_eur_per_hour=6000,
        private_address="10.4.1.1",
        attached=True,
        token_expires_at=START + timedelta(minutes=20),
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def node(name: str = "demo-workers-a", *, server_id: int = 1, **fields: object) -> Node:
    plain = Node(
        name=name,
        uid=f"uid-{name}",
        created_at=START,
        allocatable=Resources(cpu_milli=1900, memory_bytes=3 * GIB, pods=110),
        pool="workers",
        server_id=server_id,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


class _Faulty:
    """Errors by method: once, as often as listed, after or instead of the work."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._instead: dict[str, list[Exception]] = defaultdict(list)
        self._lost: set[str] = set()

    def fail(self, method: str, *errors: Exception) -> None:
        self._instead[method].extend(errors)

    def lose_reply(self, method: str) -> None:
        """Do what is asked the next time, and say that nobody answered."""
        self._lost.add(method)

    def count(self, method: str) -> int:
        return self.calls.count(method)

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        if self._instead[method]:
            raise self._instead[method].pop(0)

    def _leave(self, method: str) -> None:
        if method in self._lost:
            self._lost.discard(method)
            raise Unavailable("no answer in time")


class FakeCloud(_Faulty):
    """Servers by name. `refusals` say no to an offering until they are taken away."""

    def __init__(self, clock: ManualClock, *offerings: Offering) -> None:
        super().__init__()
        self._clock = clock
        self.offerings = offerings or (offering(),)
        self.servers: dict[str, Server] = {}
        self.requests: list[ServerRequest] = []
        self.refusals: dict[OfferingKey, Exception] = {}
        self.reports: dict[str, JoinReport] = {}
        self.gate: asyncio.Event | None = None
        self.leader = True
        self._next_id = 100

    def add(self, *servers: Server) -> None:
        self.servers |= {server.name: server for server in servers}

    async def list_servers(self) -> tuple[Server, ...]:
        self._enter("list_servers")
        return tuple(self.servers.values())

    async def list_offerings(self) -> tuple[Offering, ...]:
        self._enter("list_offerings")
        return self.offerings

    async def count_attachments(self) -> int:
        self._enter("count_attachments")
        return 2 + sum(server.attached for server in self.servers.values())

    async def get_server(self, server_id: int) -> Server | None:
        self._enter("get_server")
        return self._by_id(server_id)

    async def create_server(self, request: ServerRequest) -> Server:
        self._enter("create_server")
        self._check_leader()
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if request.name in self.servers:
            return self.servers[request.name]
        if request.offering in self.refusals:
            raise self.refusals[request.offering]
        self._next_id += 1
        self.servers[request.name] = Server(
            name=request.name,
            server_id=self._next_id,
            pool=request.pool,
            offering=request.offering,
            status="off",
            created_at=self._clock.now(),
            cluster_uid=CLUSTER_UID,
            micro_eur_per_hour=int(request.labels["hk3s.dev/price"]),
            token_expires_at=datetime.fromtimestamp(
                int(request.labels["hk3s.dev/token-expires"]), UTC
            ),
            template=request.labels["hk3s.dev/template"],
        )
        self._leave("create_server")
        return self.servers[request.name]

    async def attach_server(self, server_id: int) -> Server:
        self._enter("attach_server")
        self._check_leader()
        return self._change(server_id, attached=True, private_address=f"10.4.1.{server_id % 250}")

    async def power_on_server(self, server_id: int) -> None:
        self._enter("power_on_server")
        self._check_leader()
        self._change(server_id, status="running")

    async def delete_server(self, server_id: int) -> None:
        self._enter("delete_server")
        self._check_leader()
        found = self._by_id(server_id)
        if found is not None:
            del self.servers[found.name]
        self._leave("delete_server")

    async def join_report(self, server: Server) -> JoinReport:
        self._enter("join_report")
        unreachable = JoinReport(
            server_name=server.name, step="unreachable", error="", message="no answer"
        )
        return self.reports.get(server.name, unreachable)

    def _by_id(self, server_id: int) -> Server | None:
        return next((s for s in self.servers.values() if s.server_id == server_id), None)

    def _change(self, server_id: int, **fields: object) -> Server:
        found = self._by_id(server_id)
        assert found is not None
        self.servers[found.name] = replace(found, **fields)  # type: ignore[arg-type]
        return self.servers[found.name]

    def _check_leader(self) -> None:
        if not self.leader:
            raise NotLeader("the Lease is not ours")


class FakeCluster(_Faulty):
    """Kubernetes objects by name; watches are always up to date."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.node_objects: dict[str, Node] = {}
        self.pod_objects: dict[PodKey, Pod] = {}
        self.pool_objects: dict[str, NodePool] = {}
        self.tokens: dict[str, str] = {}
        self.volumes: dict[str, int] = {}
        self.protected: set[PodKey] = set()
        self.events: list[tuple[ObjectRef, str, str]] = []
        self.statuses: dict[str, PoolStatus] = {}
        self.report: dict[str, str] = {}
        self.contact: float | None = None
        self.leader = True
        self.on_look: Callable[[str], None] = lambda _: None

    def add(self, *things: Node | Pod | NodePool) -> None:
        for thing in things:
            match thing:
                case Node():
                    self.node_objects[thing.name] = thing
                case Pod():
                    self.pod_objects[thing.key] = thing
                case NodePool():
                    self.pool_objects[thing.name] = thing

    def nodes(self) -> tuple[Node, ...]:
        self.calls.append("nodes")
        return tuple(self.node_objects.values())

    def pods(self) -> tuple[Pod, ...]:
        self.calls.append("pods")
        return tuple(self.pod_objects.values())

    def daemonsets(self) -> tuple[DaemonSet, ...]:
        return ()

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        return ()

    def storage(self) -> Storage:
        return NO_STORAGE

    def budgets(self) -> tuple[DisruptionBudget, ...]:
        return ()

    def pools(self) -> tuple[NodePool, ...]:
        return tuple(self.pool_objects.values())

    def cluster_uid(self) -> str:
        return CLUSTER_UID

    def synced(self) -> bool:
        return True

    def oldest_contact(self) -> float:
        return self._clock.monotonic() if self.contact is None else self.contact

    async def get_node(self, name: str) -> Node | None:
        self._enter("get_node")
        self.on_look(name)
        return self.node_objects.get(name)

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        self._enter("pods_on")
        return tuple(p for p in self.pod_objects.values() if p.node == node)

    async def volumes_attached(self, node: str) -> int:
        self._enter("volumes_attached")
        return self.volumes.get(node, 0)

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        assert expires_at > self._clock.now()
        self._enter("create_join_token")
        self._check_leader()
        self.tokens[server_name] = f"K10{'0' * 64}::abcdef.{server_name[-6:]:0>16}"
        return self.tokens[server_name]

    async def revoke_join_token(self, server_name: str) -> None:
        self._enter("revoke_join_token")
        self.tokens.pop(server_name, None)

    async def invite_pods(self, node: str, pods: tuple[Pod, ...], since: datetime) -> int:
        self._enter("invite_pods")
        self._check_leader()
        taken = [pod for pod in pods if pod.key in self.pod_objects and not pod.node]
        for pod in taken:
            invited = (*pod.invited_to, *({node} - set(pod.invited_to)))
            self.pod_objects[pod.key] = replace(pod, nominated_node=node, invited_to=invited)
        self._change(node, opening_since=since)
        return len(taken)

    async def open_node(self, node: str) -> None:
        self._enter("open_node")
        self._check_leader()
        taints = self.node_objects[node].taints
        self._change(node, taints=tuple(t for t in taints if t.key != STARTING_TAINT))

    async def mark_unneeded(self, node: str, since: datetime | None) -> None:
        self._enter("mark_unneeded")
        self._change(node, unneeded_since=since)

    async def mark_replacing(self, node: str, since: datetime | None, reason: str) -> None:
        self._enter("mark_replacing")
        self._change(node, replacing_since=since, replacing_reason=reason)

    async def cordon(self, node: str, reason: str, since: datetime) -> None:
        self._enter("cordon")
        self._check_leader()
        self._change(node, unschedulable=True, draining_since=since, draining_reason=reason)

    async def uncordon(self, node: str) -> None:
        self._enter("uncordon")
        self._change(
            node,
            unschedulable=False,
            draining_since=None,
            draining_reason="",
            unneeded_since=None,
            replacing_since=None,
            replacing_reason="",
        )

    async def evict(self, pod: Pod) -> None:
        self._enter("evict")
        self._check_leader()
        if pod.key in self.protected:
            raise EvictionBlocked("the budget needs 2 pods and has 2")
        self.pod_objects.pop(pod.key, None)

    async def delete_node(self, name: str, uid: str) -> None:
        self._enter("delete_node")
        if name in self.node_objects and self.node_objects[name].uid == uid:
            del self.node_objects[name]

    async def emit(
        self, about: ObjectRef, *, reason: str, message: str, warning: bool = False
    ) -> None:
        self._enter("emit")
        self.events.append((about, reason, f"Warning: {message}" if warning else message))

    async def write_pool_status(self, status: PoolStatus) -> None:
        self._enter("write_pool_status")
        self.statuses[status.pool.name] = status
        kept = self.pool_objects[status.pool.name]
        self.pool_objects[status.pool.name] = replace(
            kept, blocks=status.pool.blocks, paused_until=status.pool.paused_until
        )

    async def read_report(self) -> Mapping[str, str]:
        self._enter("read_report")
        return self.report

    async def write_report(self, entries: Mapping[str, str]) -> None:
        self._enter("write_report")
        self.report = dict(entries)

    def reasons(self, kind: str = "NodePool") -> list[str]:
        """The reasons of the Events about objects of a kind, in order."""
        return [reason for about, reason, _ in self.events if about.kind == kind]

    def _change(self, name: str, **fields: object) -> None:
        self.node_objects[name] = replace(self.node_objects[name], **fields)  # type: ignore[arg-type]

    def _check_leader(self) -> None:
        if not self.leader:
            raise NotLeader("the Lease is not ours")


class FakeBirths:
    """Names `demo-<pool>-1`, `-2`, and so on."""

    def __init__(self) -> None:
        self._count = 0

    def new_name(self, pool: str) -> str:
        self._count += 1
        return f"demo-{pool}-{self._count}"

    def request(
        self,
        *,
        name: str,
        pool: NodePool,
        offering: Offering,
        join_token: str,
        expires_at: datetime,
    ) -> ServerRequest:
        return ServerRequest(
            name=name,
            pool=pool.name,
            offering=offering.key,
            image="ubuntu-24.04",
            user_data=f"token: {join_token}",
            labels={
                "hk3s.dev/price": str(offering.micro_eur_per_hour),
                "hk3s.dev/token-expires": str(int(expires_at.timestamp())),
                "hk3s.dev/template": template.record(pool),
            },
        )
