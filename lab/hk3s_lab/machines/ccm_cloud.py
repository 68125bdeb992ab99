"""The Hetzner API as the cloud controller reads it: all servers at once, kept for ten seconds."""

import ipaddress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from hk3s_lab.clock import Clock
from hk3s_lab.machines.ccm_chart import NotYet, Settings

_MAX_AGE = 10.0
_PAGE = 50
_TIMEOUT = aiohttp.ClientTimeout(total=10)

Server = dict[str, Any]


class CloudAway(Exception):
    """The Hetzner API did not answer or refused; the text holds no token."""


class Cloud:
    """Reads with the token of the cluster's Secret; use as an async context manager."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        host = urlsplit(settings.endpoint).hostname or ""
        if not _is_of_the_lab(host):
            raise NotYet(f"HCLOUD_ENDPOINT {host} is outside of the lab")
        self._settings = settings
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._servers: tuple[Server, ...] = ()
        self._read_at: float | None = None
        self._network_id = 0

    async def __aenter__(self) -> Self:
        headers = {
            "Authorization": f"Bearer {self._settings.token}",
            "User-Agent": "hcloud-cloud-controller/lab",
        }
        self._session = aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def check_network(self) -> None:
        """Find the network by id or name, as the controller does before anything else.

        Raises:
            NotYet: there is none.
            CloudAway: the API does not answer.
        """
        wanted = self._settings.network
        networks = (await self._get("/networks", {}))["networks"]
        for network in networks:
            if wanted in {str(network["id"]), network["name"]}:
                self._network_id = network["id"]
                return
        raise NotYet(f"HCLOUD_NETWORK {wanted}: no such network")

    async def find(self, provider_id: str, name: str, *, fresh: bool = False) -> Server | None:
        """Return the server of a Node: by `hcloud://<id>`, or by name where that is empty.

        A server that the kept list lacks is looked for in a fresh one, as is any when `fresh`.

        Raises:
            CloudAway: the API does not answer.
        """
        now = self._clock.monotonic()
        age = None if self._read_at is None else now - self._read_at
        if age is None or age > _MAX_AGE or fresh:
            await self._read()
            return self._pick(provider_id, name)
        found = self._pick(provider_id, name)
        if found is None:
            await self._read()
            found = self._pick(provider_id, name)
        return found

    def private_address(self, server: Server) -> str | None:
        """Return a server's address in the cluster's network."""
        nets = server.get("private_net") or ()
        return next((net["ip"] for net in nets if net["network"] == self._network_id), None)

    def _pick(self, provider_id: str, name: str) -> Server | None:
        for server in self._servers:
            matches = (
                provider_id == f"hcloud://{server['id']}" if provider_id else server["name"] == name
            )
            if matches:
                return server
        return None

    async def _read(self) -> None:
        servers: list[Server] = []
        page: int | None = 1
        while page is not None:
            answer = await self._get("/servers", {"page": str(page), "per_page": str(_PAGE)})
            servers.extend(answer["servers"])
            page = answer["meta"]["pagination"]["next_page"]
        self._servers, self._read_at = tuple(servers), self._clock.monotonic()

    async def _get(self, path: str, params: dict[str, str]) -> dict[str, Any]:
        if self._session is None:
            raise CloudAway("the session is closed")
        try:
            async with self._session.get(self._settings.endpoint + path, params=params) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP OK
                    raise CloudAway(f"GET {path} answers {answer.status}")
                body: dict[str, Any] = await answer.json()
                return body
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CloudAway(f"GET {path}: {type(error).__name__}") from error


def _is_of_the_lab(host: str) -> bool:
    """Whether a host cannot be a real cloud: loopback, or a range that is never routed."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"
