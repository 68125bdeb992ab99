"""The socket side: aiohttp requests in, replies out, one log entry each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner import control, gate, metadata
from hk3s_lab.hetzner.control import Control
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.faults import Effect
from hk3s_lab.hetzner.gate import Gate, Reply, Visit, failure
from hk3s_lab.hetzner.request_log import Entry, RequestLog

log = structlog.get_logger("hetzner")

Metadata = Callable[[str, str | None, str | None], str | None]
"""From path, header and address of a request to the answer; None when there is none."""

_SERVER_ERROR = 500
_READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request of the API and its answer, as an observer sees them; never the token."""

    method: str
    path: str
    template: str | None
    query: tuple[tuple[str, str], ...]
    body: Mapping[str, Any]
    """Empty where the request had none, or none that could be read."""
    status: int
    content: bytes
    headers: Mapping[str, str]


class HttpServer:
    """Serves the API below /v1, /_lab and the metadata below /hetzner/v1 on one port."""

    def __init__(
        self,
        *,
        gate: Gate,
        control: Control,
        request_log: RequestLog,
        clock: Clock,
        metadata: Metadata,
    ) -> None:
        self._metadata = metadata
        self._gate = gate
        self._control = control
        self._log = request_log
        self._clock = clock
        self._runner: web.ServerRunner | None = None
        self.observers: list[Callable[[Exchange], None]] = []

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        try:
            raw: bytes | None = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raw = None
        try:
            if path.startswith(f"{control.BASE}/"):
                return await self._handle_control(request, path, raw)
            if path.startswith(f"{metadata.BASE}/"):
                return self._handle_metadata(request, path)
            return await self._handle_api(request, path, raw)
        except Exception:
            # The last line: clients still get an answer in the API's shape.
            log.exception("request.crashed", method=request.method, path=path)
            reply = failure(ApiError("server_error", "internal error of the emulator"), {})
            return self._respond(reply)

    def _handle_metadata(self, request: web.BaseRequest, path: str) -> web.Response:
        if request.method not in _READS:
            return web.Response(status=405, text="method not allowed")
        header = request.headers.get(metadata.SERVER_HEADER)
        text = self._metadata(path.removeprefix(metadata.BASE), header, request.remote)
        if text is None:
            return web.Response(status=404, text="not found")
        return web.Response(text=text)

    async def _handle_control(
        self, request: web.BaseRequest, path: str, raw: bytes | None
    ) -> web.Response:
        name = path.removeprefix(f"{control.BASE}/")
        try:
            body = await self._control.handle(request.method, name, dict(request.query), raw)
        except ApiError as error:
            return self._respond(failure(error, {}))
        return self._respond(Reply(200, json.dumps(body).encode(), {}))

    async def _handle_api(
        self, request: web.BaseRequest, path: str, raw: bytes | None
    ) -> web.Response:
        number, arrived, moment = (
            self._log.next_number(),
            self._clock.monotonic(),
            self._clock.now(),
        )
        below = path.removeprefix(gate.BASE) if path.startswith(f"{gate.BASE}/") else "/"
        visit = Visit(
            method=request.method,
            path=below,
            url=f"http://{request.host}{path}",
            query=parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True),
            authorization=request.headers.get("Authorization", ""),
            raw_body=raw,
        )
        dropped, reply = await self._answer(visit)
        for observer in () if dropped else self.observers:
            observer(_exchange(visit, reply))
        entry = Entry(
            seq=number,
            monotonic=arrived,
            time=moment,
            seconds=self._clock.monotonic() - arrived,
            method=visit.method,
            path=path,
            query=request.rel_url.raw_query_string,
            template=visit.match.template if visit.match else None,
            token=visit.token.project if visit.token else None,
            status=None if dropped else reply.status,
            code=dropped or reply.code,
            agent=request.headers.get("User-Agent", "").partition("/")[0],
            ids=tuple(dict.fromkeys(visit.touched)),
        )
        self._log.add(entry)
        write = log.debug if visit.method in _READS and reply.code is None else log.info
        write(
            "request.done",
            method=entry.method,
            path=entry.path,
            status=entry.status,
            code=entry.code,
            project=entry.token,
        )
        if dropped and request.transport is not None:
            request.transport.abort()
        return self._respond(reply, number)

    async def _answer(self, visit: Visit) -> tuple[str | None, Reply]:
        """Return how the connection was dropped, if it was, and the reply."""
        effect = Effect()
        try:
            effect = self._gate.admit(visit)
            if effect.latency_seconds:
                await self._clock.sleep(effect.latency_seconds)
            if effect.drop_before:
                return "dropped_before", Reply(_SERVER_ERROR, b"", {})
            if effect.error is not None:
                raise effect.error
            reply = self._gate.serve(visit, effect)
        except ApiError as error:
            reply = failure(error, visit.headers)
        return "dropped_after" if effect.drop_after else None, reply

    def _respond(self, reply: Reply, number: int = 0) -> web.Response:
        headers = {
            **reply.headers,
            # Of the lab's clock: a client that compares clocks must see this one.
            "Date": format_datetime(self._clock.now(), usegmt=True),
            "X-Correlation-Id": f"{number:016x}",
        }
        content_type = "application/json" if reply.content else None
        return web.Response(
            status=reply.status, body=reply.content, headers=headers, content_type=content_type
        )


def _exchange(visit: Visit, reply: Reply) -> Exchange:
    return Exchange(
        method=visit.method,
        path=visit.path,
        template=visit.match.template if visit.match else None,
        query=tuple(visit.query),
        body=visit.body.value,
        status=reply.status,
        content=reply.content,
        headers=reply.headers,
    )
