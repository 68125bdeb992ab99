"""Just enough of a Kubernetes client to bring a control plane up: ask, create, probe."""

import ssl
from pathlib import Path
from typing import Any, Self

import aiohttp

_HTTP_OK = 200
_HTTP_CONFLICT = 409
_PROBE_SECONDS = 2.0


def tls_context(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Trust `ca` alone and present a client certificate (PEM files)."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(certfile=str(certificate), keyfile=str(key))
    return context


class Endpoint:
    """One HTTPS server and the identity to meet it with; use as an async context manager."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        self._url = url
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # trust_env stays off: a proxy of the caller's has nothing to do with loopback addresses
        self._session = aiohttp.ClientSession(
            self._url, connector=aiohttp.TCPConnector(ssl=self._context)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def probe(self, path: str) -> bool:
        """Whether a GET answers 200 within two seconds; never raises for a server's faults."""
        try:
            async with self._open().get(
                path, timeout=aiohttp.ClientTimeout(total=_PROBE_SECONDS)
            ) as answer:
                return answer.status == _HTTP_OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def create(self, path: str, body: dict[str, Any]) -> None:
        """POST an object; one that exists already is left as it is."""
        async with self._open().post(path, json=body) as answer:
            if answer.status != _HTTP_CONFLICT:
                answer.raise_for_status()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the endpoint is used outside its context")
        return self._session
