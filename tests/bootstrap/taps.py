"""Ears between a command and the two APIs: they see each write take effect, and may kill on it."""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

import forks

HOP_BY_HOP = {"connection", "content-length", "content-encoding", "host", "transfer-encoding"}
SECONDS = 120.0


@dataclass
class Done:
    """A process that ended; a negative `exit_code` is the signal that ended it."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


@dataclass
class Trap:
    """Counts the writes that took effect, at whichever API; kills at the one that is asked for.

    The victim dies before it hears the answer: what the other side knows, it does not.
    """

    zygote: asyncio.subprocess.Process
    writes: list[str] = field(default_factory=list)
    kill_at: int | None = None
    victim: int | None = None

    def wrote(self, call: str) -> bool:
        """Note a write; return whether the victim was killed for it."""
        self.writes.append(call)
        if self.victim is None or len(self.writes) != self.kill_at:
            return False
        os.kill(self.victim, signal.SIGKILL)
        return True

    async def run(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        directory: Path,
        kill_at: int | None = None,
    ) -> Done:
        """Run the command in a process of its own; `kill_at` counts its writes from 1."""
        self.writes.clear()
        self.kill_at = kill_at
        logs = directory / "stdout.log", directory / "stderr.log"
        order = {
            "argv": arguments,
            "environment": {**os.environ, **environment},
            "directory": str(directory),
            "stdout": str(logs[0]),
            "stderr": str(logs[1]),
        }
        assert self.zygote.stdin is not None
        self.zygote.stdin.write(json.dumps(order).encode() + b"\n")
        self.victim = (await self._answer())["pid"]
        try:
            status = (await asyncio.wait_for(self._answer(), SECONDS))["status"]
        except TimeoutError:
            os.kill(self.victim, signal.SIGKILL)
            await self._answer()
            said = logs[1].read_text(encoding="utf-8")
            raise AssertionError(f"{arguments[0]} does not end: {said}") from None
        finally:
            self.victim = None
        streams = (log.read_text(encoding="utf-8") for log in logs)
        return Done(os.waitstatus_to_exitcode(status), *streams)

    async def _answer(self) -> dict[str, int]:
        assert self.zygote.stdout is not None
        answer: dict[str, int] = json.loads(await self.zygote.stdout.readline())
        return answer


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    """Start the process that all others are forked from."""
    async with forks.zygote(Path(__file__).with_name("zygote.py")) as process:
        yield Trap(process)


class Tap:
    """Forwards HTTP requests to `upstream`, which may change, and tells the trap of writes."""

    def __init__(
        self, trap: Trap, upstream: str = "", *, upstream_tls: ssl.SSLContext | None = None
    ) -> None:
        self.upstream = upstream
        self.open = True
        self.bodies: list[bytes] = []
        """What servers were ordered with."""
        self._trap = trap
        self._upstream_tls = upstream_tls
        self._runner: web.ServerRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    async def start(self, host: str, port: int = 0, *, tls: ssl.SSLContext | None = None) -> int:
        self._client = aiohttp.ClientSession(auto_decompress=True)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.shutdown()
            await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if not self.open:
            return self._abort(request)
        if (request.method, request.rel_url.raw_path) == ("POST", "/v1/servers"):
            self.bodies.append(body)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        assert self._client is not None
        url = f"{self.upstream}{request.rel_url.raw_path_qs}"
        try:
            async with self._client.request(
                request.method,
                url,
                data=body or None,
                headers=headers,
                ssl=self._upstream_tls or False,
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientError:
            return self._abort(request)
        wrote = request.method != "GET" and answer.status < 400
        if wrote and self._trap.wrote(f"{request.method} {request.rel_url.raw_path}"):
            return self._abort(request)
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        with suppress(KeyError):
            del kept["Content-Type"]
        return web.Response(
            status=answer.status,
            body=content,
            headers=kept,
            content_type=answer.content_type if content else None,
        )

    def _abort(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)
