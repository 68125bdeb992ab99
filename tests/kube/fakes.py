"""A fake API server on loopback, and clocks that tests move."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

Json = dict[str, Any]


class FakeClock:
    """Time that passes only when somebody sleeps or `advance` is called."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time - 1000.0)

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class StoppedClock(FakeClock):
    """A clock on which a sleep never ends."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()


def status(code: int, reason: str, **more: object) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": f"{reason}, as scripted",
        **more,
    }


def pod(name: str, version: int, *, uid: str = "", **spec: object) -> Json:
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": spec,
        "status": {"phase": "Pending"},
    }


def pod_list(version: int, *items: Json, more: str = "") -> Json:
    metadata = {"resourceVersion": str(version), "continue": more}
    return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": list(items)}


def event(kind: str, item: Json) -> Json:
    return {"type": kind, "object": item}


Answer = tuple[int, Json | str]


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class FakeApi:
    """Answers lists and watches from queues and everything else from `routes`.

    A watch sends its events and closes; when the watches are used up, one stays open and `idle`
    is set. `None` among the events keeps the connection open without a word.
    """

    lists: deque[Answer] = field(default_factory=deque)
    watches: deque[list[Json | None] | Answer] = field(default_factory=deque)
    routes: dict[tuple[str, str], Answer | Callable[[Request], Answer]] = field(
        default_factory=dict
    )
    requests: list[Request] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def said(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    async def _answer(self, http: web.Request) -> web.StreamResponse:
        body = await http.json() if http.can_read_body else None
        request = Request(http.method, http.path, dict(http.query), dict(http.headers), body)
        self.requests.append(request)
        if "watch" in request.query:
            return await self._watch(http)
        route = self.routes.get((http.method, http.path))
        if route is not None:
            return _respond(route if isinstance(route, tuple) else route(request))
        if http.method == "GET" and self.lists:
            return _respond(self.lists.popleft())
        return _respond((404, status(404, "NotFound")))

    async def _watch(self, http: web.Request) -> web.StreamResponse:
        if not self.watches:
            self.idle.set()
            self.watches.append([None])
        script = self.watches.popleft()
        if isinstance(script, tuple):
            return _respond(script)
        response = web.StreamResponse()
        await response.prepare(http)
        for line in script:
            if line is None:
                await self._released.wait()
            else:
                await response.write(json.dumps(line).encode() + b"\n")
        return response


def _respond(answer: Answer) -> web.Response:
    code, body = answer
    if isinstance(body, str):
        return web.Response(status=code, text=body, headers={"Retry-After": "7"})
    return web.json_response(body, status=code)


def kubeconfig(url: str, **user: object) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "users": [{"name": "test", "user": user or {"token": "bearer-of-tests"}}],
        }
    )


async def until(condition: Callable[[], bool], *, turns: int = 2000) -> None:
    """Let the event loop turn until the condition holds."""
    for _ in range(turns):
        if condition():
            return
        await turn()
    raise AssertionError("the condition never held")


async def turn() -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.001, waiter.set_result, None)
    await waiter
