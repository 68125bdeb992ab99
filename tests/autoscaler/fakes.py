"""Time that a test moves, and facts with defaults."""

import asyncio
import heapq
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources

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
