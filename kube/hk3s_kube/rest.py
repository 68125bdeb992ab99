"""Raw JSON calls to the API server, with kubernetes_asyncio's authentication, TLS and proxies."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
import msgspec

from hk3s_kube import connect, errors, lean

Json = dict[str, Any]

ContentType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PropagationPolicy = Literal["Background", "Foreground", "Orphan"]

PAGE_SIZE = 500
"""Objects a page: bounds the memory of a list, as client-go's pager does."""


class Rest:
    """Calls to paths. They raise the kinds of `errors`; `within` limits a call, in seconds."""

    def __init__(self, configuration: lean.Configuration, *, within: float = 10.0) -> None:
        """Take a loaded configuration; must be called inside a running event loop."""
        try:
            self._client = lean.RESTClientObject(configuration)
        except connect.UNREADABLE as error:
            # From None: TLS errors quote paths and contents of keys.
            raise connect.ConfigurationInvalid(
                f"certificates or keys cannot be used ({type(error).__name__})"
            ) from None
        self._configuration = configuration
        self._within = within
        self.server = str(configuration.host)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        within: float | None = None,
    ) -> Json:
        """GET an object, a list or any other JSON."""
        return await self._json("GET", path, query=query, within=within)

    async def get_raw(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """GET the undecoded body."""
        return await self._body("GET", path, query=query)

    async def list_items(
        self,
        path: str,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> list[Json]:
        """Return all items of a collection, read in pages."""
        query = selectors(label_selector, field_selector) | {"limit": str(PAGE_SIZE)}
        items: list[Json] = []
        while True:
            page = await self._json("GET", path, query=query)
            items.extend(page.get("items") or ())
            token = page.get("metadata", {}).get("continue")
            if not token:
                return items
            query["continue"] = token

    async def post(
        self,
        path: str,
        body: Json,
        *,
        within: float | None = None,
    ) -> Json:
        """POST an object to a collection or subresource."""
        return await self._json("POST", path, body=body, within=within)

    async def put(
        self,
        path: str,
        body: Json,
        *,
        within: float | None = None,
    ) -> Json:
        """Replace an object; `Conflict` when its resource version is no longer the current one."""
        return await self._json("PUT", path, body=body, within=within)

    async def patch(
        self,
        path: str,
        body: Json | list[Json],
        content_type: ContentType = "application/merge-patch+json",
        *,
        query: Mapping[str, str] | None = None,
        within: float | None = None,
    ) -> Json:
        """PATCH an object or subresource; a JSON patch is a list, all others are objects."""
        return await self._json(
            "PATCH", path, query=query, body=body, content_type=content_type, within=within
        )

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
        propagation: PropagationPolicy | None = None,
        within: float | None = None,
    ) -> None:
        """Delete an object; one that is gone is fine.

        `Conflict` when `uid` or `resource_version` is given and differs: another object now.
        """
        options = delete_options(uid, resource_version, grace_period_seconds)
        if propagation is not None:
            options["propagationPolicy"] = propagation
        try:
            await self._body("DELETE", path, body=options, within=within)
        except errors.NotFound:
            return

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and give its lines; `silence` is the longest wait for a byte, in seconds.

        A watch that falls silent ends with `Unreachable`, one that the server closes just ends.
        """
        timeouts = aiohttp.ClientTimeout(sock_connect=self._within, sock_read=silence)
        response = await self._request("GET", path, query, None, None, timeouts)
        try:
            yield _lines(response)
        finally:
            response.close()

    async def _json(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: ContentType | None = None,
        within: float | None = None,
    ) -> Json:
        content = await self._body(
            method, path, query=query, body=body, content_type=content_type, within=within
        )
        try:
            decoded: Json = msgspec.json.decode(content, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise errors.Unreachable(0, "NotJson", f"{method} {path}: {error}") from error
        return decoded

    async def _body(
        self,
        method: Method,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: ContentType | None = None,
        within: float | None = None,
    ) -> bytes:
        timeouts = aiohttp.ClientTimeout(total=self._within if within is None else within)
        response = await self._request(method, path, query, body, content_type, timeouts)
        with _translated(method, path):
            return await response.read()

    async def _request(
        self,
        method: Method,
        path: str,
        query: Mapping[str, str] | None,
        body: Json | list[Json] | None,
        content_type: ContentType | None,
        timeouts: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        target = f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}"
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type or "application/json",
            "User-Agent": "hk3s",
        }
        with _translated(method, path):
            # Asked for each time: it is where expired tokens are renewed.
            token = await self._configuration.get_api_key_with_prefix("BearerToken")
            if token:
                headers["Authorization"] = token
            response: aiohttp.ClientResponse = await self._client.request(
                method,
                target,
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=timeouts,
            )
            if response.status < 400:  # noqa: PLR2004 - HTTP's errors start here
                return response
            content = await response.read()
        raise errors.from_answer(response.status, content, response.headers.get("Retry-After"))


def selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    """Return the query of a list or watch with these selectors."""
    query: dict[str, str] = {}
    if label_selector:
        query["labelSelector"] = label_selector
    if field_selector:
        query["fieldSelector"] = field_selector
    return query


@contextmanager
def _translated(method: str, path: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise errors.Unreachable(0, "Timeout", f"{method} {path}: no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        text = str(error) or type(error).__name__
        raise errors.Unreachable(0, type(error).__name__, f"{method} {path}: {text}") from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    # Not readline(): its limit is a few MiB, an object in etcd may be larger with managed fields.
    parts: list[bytes] = []
    with _translated("WATCH", response.url.path):
        async for chunk in response.content.iter_any():
            *ended, rest = chunk.split(b"\n")
            for line in ended:
                yield b"".join((*parts, line))
                parts.clear()
            if rest:
                parts.append(rest)


def delete_options(
    uid: str | None, resource_version: str | None, grace_period_seconds: int | None
) -> Json:
    """Return a DeleteOptions object with what is not None."""
    options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {key: value for key, value in preconditions.items() if value is not None}
    if preconditions:
        options["preconditions"] = preconditions
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    return options
