"""An emulator on a manual clock, spoken to over real HTTP."""

import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from hk3s_lab.clock import ManualClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.events import ServerEvent
from hk3s_lab.hetzner.http import Exchange
from lab.hetzner import contract

TOKEN = "t" * 64
PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJ0Y2tBxZbIuYYGZ8zBeS4hPmvbyJOYmxNi4G4pDPDs someone"
)
LONGEST_ACTION = 2.0
Json = Any


@dataclass(frozen=True)
class Reply:
    status: int
    body: Json
    headers: Mapping[str, str]
    raw: bytes

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @property
    def fields(self) -> list[str]:
        return [entry["name"] for entry in self.body["error"]["details"]["fields"]]


@dataclass
class Cloud:
    """The emulator, a client of one project, and all events since the start."""

    emulator: Emulator
    clock: ManualClock
    endpoint: str
    session: aiohttp.ClientSession
    token: str = TOKEN
    events: list[ServerEvent] = field(default_factory=list)

    async def request(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        base = self.endpoint.removesuffix("/v1") if path.startswith("/_lab") else self.endpoint
        data = raw if raw is not None or body is None else json.dumps(body).encode()
        if headers is None:
            headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(
            method, base + path, data=io.BytesIO(data) if data else None, headers=headers
        ) as response:
            content = await response.read()
            parsed = json.loads(content) if content else None
            return Reply(response.status, parsed, response.headers, content)

    async def get(self, path: str) -> Reply:
        return await self.request("GET", path)

    async def post(self, path: str, body: Json = None) -> Reply:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Json) -> Reply:
        return await self.request("PUT", path, body)

    async def delete(self, path: str) -> Reply:
        return await self.request("DELETE", path)

    async def advance(self, seconds: float = LONGEST_ACTION) -> None:
        await self.clock.advance(seconds)

    async def settled(self) -> None:
        """Let every action that is queued end."""
        await self.advance(4 * LONGEST_ACTION)

    async def make(self, path: str, body: Json) -> Json:
        """Create a resource, let its actions end, return it as created."""
        reply = await self.post(path, body)
        assert reply.status == 201, reply.body
        await self.settled()
        return next(value for key, value in reply.body.items() if "action" not in key)

    async def network(self, name: str = "net", ip_range: str = "10.4.0.0/16") -> Json:
        subnet = {"type": "cloud", "network_zone": "eu-central"}
        return await self.make(
            "/networks", {"name": name, "ip_range": ip_range, "subnets": [subnet]}
        )

    async def server(self, name: str = "one", **changes: Json) -> Json:
        """Create a server and let it boot; returns it as it is then."""
        made = await self.make("/servers", server_body(name, **changes))
        return (await self.get(f"/servers/{made['id']}")).body["server"]

    async def private_server(self, name: str = "one", **changes: Json) -> Json:
        """Create a server that is off and has no interface at all."""
        off = {"public_net": PRIVATE, "start_after_create": False}
        return await self.server(name, **{**off, **changes})

    async def action(self, reply: Reply) -> Json:
        """Return how the action of a reply ended."""
        await self.settled()
        return (await self.get(f"/actions/{reply.body['action']['id']}")).body["action"]


PRIVATE = {"enable_ipv4": False, "enable_ipv6": False}


def server_body(name: Json = "one", **changes: Json) -> Json:
    body = {"name": name, "server_type": "cx23", "image": "ubuntu-24.04", "location": "fsn1"}
    return {**body, **changes}


def names(values: Sequence[Json]) -> list[str]:
    return [value["name"] for value in values]


@asynccontextmanager
async def running_cloud(**options: Json) -> AsyncIterator[Cloud]:
    """Run an emulator; every answer it gives is held against the official specification."""
    clock = ManualClock()
    emulator = Emulator(clock=clock, **{"stock": "all", **options})
    problems: list[str] = []
    emulator.observe(lambda exchange: _judge(exchange, problems))
    endpoint = await emulator.start()
    try:
        async with aiohttp.ClientSession() as session:
            cloud = Cloud(emulator, clock, endpoint, session)
            emulator.subscribe(cloud.events.append)
            yield cloud
    finally:
        await emulator.stop()
    assert not problems, "\n".join(problems)


def _judge(exchange: Exchange, problems: list[str]) -> None:
    try:
        contract.judge(exchange)
    except AssertionError as problem:
        problems.append(str(problem))
