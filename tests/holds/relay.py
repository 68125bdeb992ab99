"""What stands between one replica and one API: it hears each call, and may hold, drop or kill.

Watches pass as they come. Each replica has relays of its own, so each call has a name to it.
"""

import asyncio
import gzip
import os
import re
import signal
import ssl
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import msgspec
from aiohttp import web

from bootstrap.leaks import user_data

HOP_BY_HOP = {"connection", "content-length", "content-encoding", "host", "transfer-encoding"}
LEASES = "/apis/coordination.k8s.io/"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)

Rewrite = Callable[[str, str], str]
"""A server's name and its user-data to what the machine is told instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A call that may change something: `status` is the API's answer, 0 when it gave none.

    `began` and `ended` are the loop's time of its arrival here and of the API's answer.
    """

    replica: str
    method: str
    path: str
    body: str
    status: int
    began: float
    ended: float

    @property
    def is_lease(self) -> bool:
        return self.path.startswith(LEASES)

    @property
    def took_effect(self) -> bool:
        return 0 < self.status < 400

    def __str__(self) -> str:
        return f"{self.replica}: {self.method} {self.path} -> {self.status}"


@dataclass(slots=True, kw_only=True)
class Snare:
    """Catches one write once it has taken effect; its sender has not heard the answer yet.

    `kill` ends the sender there and then. Otherwise the answer waits for `release`, and is then
    given, or the sender hears 504 in its place.
    """

    method: str
    path: str
    body: str = ""
    kill: bool = False
    answered: bool = True
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, write: Write) -> bool:
        fits = write.method == self.method and re.search(self.path, write.path) is not None
        return fits and self.body in write.body and write.took_effect


@dataclass(slots=True)
class Ears:
    """All that replicas wrote, in the order of the answers, and what lies in wait for them."""

    writes: list[Write] = field(default_factory=list)
    snares: list[Snare] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    """Replica -> process."""
    rewrite: Rewrite | None = None

    def lay(
        self, method: str, path: str, body: str = "", *, kill: bool = False, answered: bool = True
    ) -> Snare:
        """Lie in wait for the next write of that kind; `body` is a part of what it says."""
        snare = Snare(method=method, path=path, body=body, kill=kill, answered=answered)
        self.snares.append(snare)
        return snare

    def of(self, replica: str) -> list[Write]:
        return [write for write in self.writes if write.replica == replica]

    def effects(self, method: str, path: str) -> list[Write]:
        """Writes of a kind that took effect, whoever made them."""
        return [
            write
            for write in self.writes
            if write.took_effect and write.method == method and re.search(path, write.path)
        ]

    async def heard(self, write: Write) -> Snare | None:
        """Note a write; return what has caught it, if anything, once its sender may hear."""
        self.writes.append(write)
        snare = next((snare for snare in self.snares if snare.takes(write)), None)
        if snare is None:
            return None
        self.snares.remove(snare)
        if snare.kill:
            os.kill(self.pids[write.replica], signal.SIGKILL)
        snare.caught.set()
        if not snare.kill:
            await snare.release.wait()
        return snare


class Relay:
    """Forwards HTTP to one API; `replica` says whose calls these are."""

    def __init__(
        self, ears: Ears, replica: str, upstream: str, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._ears = ears
        self._replica = replica
        self._upstream = upstream.rstrip("/")
        self._tls = tls
        self._runner: web.ServerRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> str:
        """Return the URL that stands for `upstream`."""
        connector = aiohttp.TCPConnector(ssl=self._tls or False, limit=0)
        self._client = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.method == "POST" and request.rel_url.raw_path == "/v1/servers":
            body = self._rewritten(body)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        began = asyncio.get_running_loop().time()
        assert self._client is not None
        try:
            async with self._client.request(
                request.method,
                f"{self._upstream}{request.rel_url.raw_path_qs}",
                data=body or None,
                headers=headers,
            ) as answer:
                if request.method == "GET":
                    return await _pass_on(request, answer)
                content = await answer.read()
        except (aiohttp.ClientError, ConnectionError):
            if request.method != "GET":
                await self._ears.heard(self._write(request, body, 0, began))
            return _abort(request)
        snare = await self._ears.heard(self._write(request, body, answer.status, began))
        if snare is not None and snare.kill:
            return _abort(request)
        if snare is not None and not snare.answered:
            return web.Response(status=504)
        return web.Response(status=answer.status, body=content, headers=_kept(answer))

    def _write(self, request: web.BaseRequest, body: bytes, status: int, began: float) -> Write:
        return Write(
            replica=self._replica,
            method=request.method,
            path=request.rel_url.raw_path,
            body=body.decode(errors="replace"),
            status=status,
            began=began,
            ended=asyncio.get_running_loop().time(),
        )

    def _rewritten(self, body: bytes) -> bytes:
        if self._ears.rewrite is None:
            return body
        order = msgspec.json.decode(body)
        told = self._ears.rewrite(order["name"], user_data(body))
        order["user_data"] = b64encode(gzip.compress(told.encode())).decode()
        return msgspec.json.encode(order)


async def _pass_on(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=_kept(answer))
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _kept(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}


def _abort(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
