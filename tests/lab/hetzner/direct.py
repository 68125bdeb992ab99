"""The emulator without sockets and without an event loop: for many quick calls."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hk3s_lab.hetzner import gate
from hk3s_lab.hetzner.emulator import documentation_addresses
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.events import ServerEvent
from hk3s_lab.hetzner.faults import Faults
from hk3s_lab.hetzner.gate import Gate, Visit
from hk3s_lab.hetzner.http import Exchange
from hk3s_lab.hetzner.model.catalog import Catalog
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.world import Chances, World
from lab.hetzner import contract
from lab.hetzner.support import TOKEN, Json


class StepClock:
    """Time that somebody sets."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - the protocol of clocks
        raise AssertionError("nobody waits here")


@dataclass
class Direct:
    """One project; every answer is held against the specification."""

    seed: int = 0
    clock: StepClock = field(default_factory=StepClock)
    events: list[ServerEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        chances = Chances.seeded(self.seed)
        self.world = World(
            clock=self.clock,
            chances=chances,
            speed=1.0,
            catalog=Catalog(base="all"),
            public_addresses=documentation_addresses(),
            emit=self.events.append,
            on_scheduled=lambda _due: None,
        )
        self.gate = Gate(self.world, Faults(chances.faults), None)
        self.world.set_limits({"requests_per_hour": 10_000_000})
        self.call("GET", "/servers")

    @property
    def project(self) -> Project:
        (project,) = self.world.projects.values()
        return project

    def advance(self, seconds: float) -> None:
        self.clock.elapsed += seconds
        self.world.settle()

    def call(
        self, method: str, path: str, body: Json = None, *, raw: bytes | None = None
    ) -> tuple[int, Json]:
        path, _, query = path.partition("?")
        pairs = [tuple(part.split("=", 1)) for part in query.split("&") if "=" in part]
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        visit = Visit(
            method=method,
            path=path,
            url=f"http://lab/v1{path}",
            query=[(key, value) for key, value in pairs],
            authorization=f"Bearer {TOKEN}",
            raw_body=content,
        )
        try:
            reply = self.gate.serve(visit, self.gate.admit(visit))
        except ApiError as error:
            reply = gate.failure(error, visit.headers)
        exchange = Exchange(
            method=method,
            path=path,
            template=visit.match.template if visit.match else None,
            query=(),
            body=visit.body.value,
            status=reply.status,
            content=reply.content,
            headers=reply.headers,
        )
        contract.judge(exchange)
        return reply.status, json.loads(reply.content) if reply.content else None
