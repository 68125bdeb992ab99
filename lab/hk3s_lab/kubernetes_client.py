"""Kubernetes over plain JSON, for the parts of the lab that act as kubelets and controllers.

One client is one identity. Paths are those of the API, such as `/api/v1/nodes/demo-1`.
"""

import base64
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp
import structlog
import yaml

from hk3s_lab.clock import Clock

log = structlog.get_logger()

Object = dict[str, Any]
PatchKind = Literal["merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"]

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_WATCH_SECONDS = 300
_PAGE = 500
_GONE = 410
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class ApiUnreachable(Exception):
    """No answer: refused, timed out, or TLS failed."""


class ApiError(Exception):
    """The API server's refusal; `message` is its own."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where an API server is, how it proves itself (`server_name`, `ca`) and who asks."""

    url: str
    server_name: str | None = None
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    source: str | None = None
    """The local address to call from; None leaves it to the kernel."""

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts `ca` alone and shows `certificate`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # k3s's CAs may lack key identifiers, which OpenSSL's strict mode would insist on.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.ca is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=self.ca.decode())
        if self.certificate is not None and self.key is not None:
            load_pair(context, self.certificate, self.key)
        return context


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a certificate and its key, which the ssl module takes from files alone, from memory."""
    with ExitStack() as stack:
        paths = []
        for content in (certificate, key):
            handle = os.memfd_create("pem", os.MFD_CLOEXEC)
            stack.callback(os.close, handle)
            os.write(handle, content)
            paths.append(f"/proc/self/fd/{handle}")
        context.load_cert_chain(*paths)


def access_from_kubeconfig(text: str) -> Access:
    """Return the current context's access; certificates must be inline.

    Raises:
        KeyError: there is no such context or it names files.
    """
    config = yaml.safe_load(text)
    named = {
        kind: {entry["name"]: entry[kind[:-1]] for entry in config[kind]}
        for kind in ("clusters", "users", "contexts")
    }
    context = named["contexts"][config["current-context"]]
    cluster, user = named["clusters"][context["cluster"]], named["users"][context["user"]]
    return Access(
        url=cluster["server"],
        server_name=cluster.get("tls-server-name"),
        ca=base64.b64decode(cluster["certificate-authority-data"]),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
        token=user.get("token"),
    )


def _decoded(user: Mapping[str, str], key: str) -> bytes | None:
    return base64.b64decode(user[key]) if key in user else None


class KubernetesClient:
    """The API as one identity sees it; use as an async context manager."""

    def __init__(self, access: Access, *, limit: int = 16) -> None:
        self.access = access
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _open(self) -> aiohttp.ClientSession:
        headers = {"Accept": "application/json", "User-Agent": "hk3s-lab"}
        if self.access.token:
            headers["Authorization"] = f"Bearer {self.access.token}"
        source = (self.access.source, 0) if self.access.source else None
        connector = aiohttp.TCPConnector(
            ssl=self.access.tls(), limit=self._limit, local_addr=source
        )
        return aiohttp.ClientSession(
            self.access.url, connector=connector, headers=headers, timeout=_TIMEOUT
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Object:
        """Return one object, or a list as the API gives it."""
        return await self._call("GET", path, params=params)

    async def list(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> tuple[list[Object], str]:
        """Return all objects of a collection and the resource version of the list."""
        items: list[Object] = []
        page = {**(params or {}), "limit": str(_PAGE)}
        while True:
            answer = await self.get(path, page)
            items.extend(answer.get("items") or ())
            metadata = answer.get("metadata", {})
            if not metadata.get("continue"):
                return items, metadata.get("resourceVersion", "")
            page["continue"] = metadata["continue"]

    async def create(self, path: str, body: Object) -> Object:
        """POST an object to a collection (or a subresource)."""
        return await self._call("POST", path, body=body)

    async def replace(self, path: str, body: Object) -> Object:
        """PUT an object."""
        return await self._call("PUT", path, body=body)

    async def patch(
        self,
        path: str,
        body: Object,
        kind: PatchKind = "merge-patch+json",
        params: Mapping[str, str] | None = None,
    ) -> Object:
        """PATCH an object."""
        return await self._call("PATCH", path, body=body, params=params, content=kind)

    async def delete(self, path: str, body: Object | None = None) -> Object:
        """DELETE an object, with DeleteOptions as body."""
        return await self._call("DELETE", path, body=body)

    async def follow(
        self, path: str, params: Mapping[str, str], clock: Clock
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield (ADDED | MODIFIED | DELETED | SYNCED, object) for ever.

        Every list is followed by one SYNCED with an empty object. What vanished while the
        connection was down is told as DELETED with the object last seen. Failures are waited out
        with growing pauses; the clients of a machine are cancelled with it.
        """
        known: dict[str, Object] = {}
        pause = _FIRST_PAUSE
        while True:
            try:
                items, version = await self.list(path, params)
                present = {item["metadata"]["uid"]: item for item in items}
                for uid in known.keys() - present.keys():
                    yield "DELETED", known.pop(uid)
                for uid, item in present.items():
                    kind = "MODIFIED" if uid in known else "ADDED"
                    known[uid] = item
                    yield kind, item
                yield "SYNCED", {}
                pause = _FIRST_PAUSE
                async for kind, item in self._watch_on(path, params, version):
                    uid = item["metadata"]["uid"]
                    if kind == "DELETED":
                        known.pop(uid, None)
                    else:
                        known[uid] = item
                    yield kind, item
            except (ApiUnreachable, ApiError) as error:
                log.debug("kubernetes.watch_failed", path=path, error=str(error))
                await clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _watch_on(
        self, path: str, params: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Watch, again and again from the last version seen, until that version is too old."""
        while True:
            seen = version
            async for kind, item in self._watch(path, params, version):
                if kind == "ERROR":
                    if item.get("code") == _GONE:
                        return
                    raise ApiError(item.get("code", 0), item.get("reason", ""), "watch")
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield kind, item
            if seen == version:
                return

    async def _watch(
        self, path: str, params: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        query = {
            **params,
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_WATCH_SECONDS + 30)
        try:
            async with self._http().get(
                path, params=query, timeout=timeout, server_hostname=self.access.server_name
            ) as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP OK
                    raise _refusal(response.status, await response.text())
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line:
                            event = json.loads(line)
                            yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachable(str(error)) from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "json",
    ) -> Object:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": f"application/{content}"}
        try:
            async with self._http().request(
                method,
                path,
                params=params,
                data=data,
                headers=headers,
                server_hostname=self.access.server_name,
            ) as response:
                text = await response.text()
                if response.status >= 400:  # noqa: PLR2004 - HTTP refusals
                    raise _refusal(response.status, text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnreachable(f"{type(error).__name__}: {error}") from error
        answer: Object = json.loads(text) if text.startswith("{") else {}
        return answer

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            raise ApiUnreachable("the client is closed")
        return self._session


def _refusal(status: int, text: str) -> ApiError:
    try:
        answer = json.loads(text)
        return ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", text.strip()[:300])
