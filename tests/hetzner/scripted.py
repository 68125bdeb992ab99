"""An API that plays an ordered list of calls; an unknown or missing call fails the test."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    method: str
    path: str
    status: int
    json: Any
    query: Mapping[str, list[str]] | None
    headers: Mapping[str, str]
    hangs: bool


@dataclass(slots=True)
class Scripted:
    """Serves `expect`ed calls in order at `endpoint`; `bodies` holds what was sent."""

    steps: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    endpoint: str = ""
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    def expect(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        json: object = None,
        query: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        hangs: bool = False,
    ) -> None:
        self.steps.append(
            Step(
                method=method,
                path=path,
                status=status,
                json=json,
                query=query,
                headers=headers or {},
                hangs=hangs,
            )
        )

    def refuse(self, method: str, path: str, status: int, code: str, **details: object) -> None:
        """Expect a call and answer it in Hetzner's error shape."""
        message = details.pop("message", f"{code}, as scripted")
        error = {"code": code, "message": message, "details": details or None}
        self.expect(method, path, status=status, json={"error": error})

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}/v1"

    async def stop(self) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()
        missing = [f"{step.method} {step.path}" for step in self.steps]
        assert (self.problems, missing) == ([], [])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v1")
        said = f"{request.method} {path}"
        if not self.steps or said != f"{self.steps[0].method} {self.steps[0].path}":
            self.problems.append(f"unexpected {said}")
            return web.json_response({"error": {"code": "unscripted", "message": said}}, status=418)
        step = self.steps.pop(0)
        query = {key: request.query.getall(key) for key in request.query}
        if step.query is not None and dict(step.query) != query:
            self.problems.append(f"{said} has the query {query}")
        if request.can_read_body:
            self.bodies.append(await request.json())
        if step.hangs:
            await self._released.wait()
        if step.json is None:
            return web.Response(status=step.status, headers=step.headers)
        return web.json_response(step.json, status=step.status, headers=step.headers)
