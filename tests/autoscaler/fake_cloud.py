"""Hetzner in memory, and servers as they are ordered: as `ports.py` has it, and it can say no."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime

from autoscaler.fakes import CLUSTER_UID, ManualClock, offering
from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.node import JoinReport, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.ports import (
    NotLeader,
    ServerRequest,
    Unavailable,
)


class Faulty:
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


class FakeCloud(Faulty):
    """Servers by name. `refusals` say no to an offering until they are taken away.

    Creates wait while `gate` is clear.
    """

    def __init__(self, clock: ManualClock, *offerings: Offering) -> None:
        super().__init__()
        self._clock = clock
        self.offerings = offerings or (offering(),)
        self.servers: dict[str, Server] = {}
        self.requests: list[ServerRequest] = []
        self.refusals: dict[OfferingKey, Exception] = {}
        self.reports: dict[str, JoinReport] = {}
        self.gate = asyncio.Event()
        self.gate.set()
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
