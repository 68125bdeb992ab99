"""The status port: a machine's step and last error, for callers within the allowed sources."""

import asyncio
import json

from hk3s_lab.hetzner.events import PrivateNic
from hk3s_lab.machines.node import NodeFile, covers
from hk3s_lab.machines.progress import Progress
from hk3s_lab.machines.site import Site
from hk3s_lab.relay import Connections, close

_SECONDS = 5.0


class StatusPort:
    """`GET /status` on the private address; other callers and later hours get no answer."""

    def __init__(self, site: Site, node: NodeFile, nic: PrivateNic, progress: Progress) -> None:
        self._site = site
        self._node = node
        self._nic = nic
        self._progress = progress
        self._server: asyncio.Server | None = None
        self._connections = Connections(self._serve)

    async def start(self) -> None:
        """Listen on the mapped private address."""
        self._server = await asyncio.start_server(
            self._connections.accept, self._site.local(self._nic), self._node.status_port
        )

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._connections.cut()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = self._site.caller(self._nic, writer.get_extra_info("peername")[0])
        if (
            caller is None
            or not covers(self._node.status_sources, caller)
            or not self._progress.is_open(self._site.clock.now())
        ):
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            await close(writer)

    def _answer(self, head: bytes) -> bytes:
        found = head.startswith((b"GET /status HTTP/", b"GET /status?"))
        body = json.dumps(self._progress.report()).encode() if found else b"{}"
        return (
            f"HTTP/1.1 {'200 OK' if found else '404 Not Found'}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
