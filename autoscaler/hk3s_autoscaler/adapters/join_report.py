"""Asking a server that has not joined how it is getting on (docs/contract.md, port 9101)."""

import json
from ipaddress import AddressValueError, IPv4Address, IPv4Network

import aiohttp

from hk3s_autoscaler.model.node import JoinReport, Server

PORT = 9101
_SECONDS = 2.0
_LONGEST = 64 * 1024


class JoinReporter:
    """Asks by HTTP, through `HTTP_PROXY` where set, within the private network only."""

    def __init__(self, network: IPv4Network, *, port: int = PORT) -> None:
        self._network = network
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, server: Server) -> JoinReport:
        """Return the server's report; step `unreachable` when there is none to be had.

        What answers there is whatever runs on that machine: the text is cut, nothing is followed.
        """
        try:
            address = IPv4Address(server.private_address)
        except AddressValueError:
            return _unreachable(server, "it has no private address yet")
        if address not in self._network:
            return _unreachable(server, f"{address} is outside the private network")
        try:
            body = await self._get(f"http://{address}:{self._port}/status")
            values = json.loads(body)
            if not isinstance(values, dict) or values.get("name") != server.name:
                return _unreachable(server, "another machine answers on its address")
            return JoinReport(
                server_name=server.name,
                step=str(values["step"])[:32],
                error=str(values.get("error") or "")[:64],
                message=str(values.get("message") or "")[:256],
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _unreachable(server, f"no answer ({type(error).__name__})")
        except (ValueError, KeyError):
            return _unreachable(server, "its answer is no report")

    async def _get(self, url: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                trust_env=True, timeout=aiohttp.ClientTimeout(total=_SECONDS)
            )
        async with self._session.get(url, allow_redirects=False) as response:
            response.raise_for_status()
            return await response.content.read(_LONGEST)


def _unreachable(server: Server, message: str) -> JoinReport:
    return JoinReport(server_name=server.name, step="unreachable", error="", message=message)
