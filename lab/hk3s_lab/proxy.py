"""An HTTP proxy into the lab's private networks: 10.x in, 127.N.x out, nothing else.

Clients set HTTP_PROXY and never learn that the addresses are mapped.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from hk3s_lab.relay import Connections, close, relay

log = structlog.get_logger()

_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_MAX_HEAD = 1 << 16

Resolve = Callable[[str], str | None]
"""Private address -> address on this machine, None when no network of the lab has it."""


class Refused(Exception):
    """The request cannot be served; `status` is the HTTP answer."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Request:
    host: str
    port: int
    tunnel: bool
    head: bytes
    """What to send on, for a plain request."""


class Proxy:
    """One listener; `source` is the local address that its connections come from."""

    def __init__(self, resolve: Resolve, *, source: str | None = None) -> None:
        self._resolve = resolve
        self._source = source
        self._server: asyncio.Server | None = None
        self._connections = Connections(self._serve)
        self.url = ""

    async def start(self, address: str, port: int = 0) -> None:
        """Listen; `url` says where."""
        self._server = await asyncio.start_server(
            self._connections.accept, address, port, limit=_MAX_HEAD
        )
        host, bound = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{bound}"

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
            await self._connections.cut()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                request = parse(await reader.readuntil(b"\r\n\r\n"))
            upstream = await self._dial(request)
        except Refused as refusal:
            log.debug("proxy.refused", reason=str(refusal))
            body = f"{refusal}\n".encode()
            writer.write(
                f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await close(writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await close(writer)
        else:
            if request.tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                upstream[1].write(request.head)
            await relay((reader, writer), upstream)

    async def _dial(self, request: _Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self._resolve(request.host)
        if address is None:
            raise Refused("403 Forbidden", f"{request.host} is in no private network of this lab")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(
                    address,
                    request.port,
                    local_addr=(self._source, 0) if self._source else None,
                )
        except (OSError, TimeoutError) as error:
            raise Refused("502 Bad Gateway", f"{request.host} does not answer") from error


def parse(head: bytes) -> _Request:
    """Return where a proxied request leads; a plain one is made to close after its answer.

    Raises:
        Refused: it is malformed, not http, or names a host by anything but an IPv4 address.
    """
    line, *headers = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3:  # noqa: PLR2004 - method, target, version
        raise Refused("400 Bad Request", "no request line")
    method, target, version = parts
    url = urlsplit(f"//{target}" if method == "CONNECT" else target)
    try:
        host, port = url.hostname or "", url.port or 80
        ipaddress.IPv4Address(host)
    except ValueError as error:
        raise Refused("403 Forbidden", "only IPv4 addresses of the lab are reached") from error
    if method == "CONNECT":
        return _Request(host, port, tunnel=True, head=b"")
    if url.scheme != "http":
        raise Refused("400 Bad Request", "only http is proxied in the plain form")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    kept = [
        header
        for header in headers
        if not header.lower().startswith(("proxy-", "connection:", "keep-alive:"))
    ]
    lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
    return _Request(host, port, tunnel=False, head="\r\n".join(lines).encode("latin-1"))
