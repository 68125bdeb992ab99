"""Raw JSON calls to the API server, with kubernetes_asyncio's authentication, TLS and proxies."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import yaml
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio import config as k8s_config

from hk3s_kube import errors
from hk3s_kube.clock import Clock, SystemClock

Json = dict[str, Any]

ContentType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PAGE_SIZE = 500
"""Objects a page: bounds the memory of a list, as client-go's pager does."""

PropagationPolicy = Literal["Background", "Foreground", "Orphan"]


class ConfigurationInvalid(Exception):
    """No kubeconfig, or one that cannot be used; the text holds none of its secrets."""


class Kube:
    """One API server. Calls raise the kinds of `errors`; `within` limits a call, in seconds."""

    def __init__(self, configuration: k8s.Configuration, *, within: float = 10.0) -> None:
        """Take a loaded configuration; must be called inside a running event loop."""
        self._client = k8s.ApiClient(configuration)
        self._client.user_agent = "hk3s"
        self._within = within
        self._resources: dict[str, dict[str, Json]] = {}
        self.server = str(configuration.host)

    @classmethod
    async def from_kubeconfig(
        cls, source: Path | str, *, context: str | None = None, within: float = 10.0
    ) -> Self:
        """Connect as a kubeconfig says: a Path is its file, a str its text.

        Raises `ConfigurationInvalid`.
        """
        configuration = k8s.Configuration()
        try:
            if isinstance(source, Path):
                await k8s_config.load_kube_config(
                    config_file=str(source),
                    context=context,
                    client_configuration=configuration,
                    persist_config=False,
                )
            else:
                content = yaml.safe_load(source)
                if not isinstance(content, dict):
                    raise ConfigurationInvalid("the kubeconfig is empty")
                await k8s_config.load_kube_config_from_dict(
                    content, context=context, client_configuration=configuration
                )
            return cls(configuration, within=within)
        except (k8s_config.ConfigException, yaml.YAMLError, ValueError, OSError) as error:
            # From None and by type only: these errors quote what they could not read.
            raise ConfigurationInvalid(
                f"the kubeconfig cannot be used ({type(error).__name__})"
            ) from None

    @classmethod
    async def from_environment(cls, *, within: float = 10.0) -> Self:
        """Connect as `KUBECONFIG` says, else as the pod that this process runs in."""
        kubeconfig = os.environ.get("KUBECONFIG")
        if kubeconfig:
            return await cls.from_kubeconfig(Path(kubeconfig), within=within)
        configuration = k8s.Configuration()
        try:
            k8s_config.load_incluster_config(  # type: ignore[no-untyped-call] # theirs
                client_configuration=configuration
            )
        except k8s_config.ConfigException as error:
            raise ConfigurationInvalid(f"neither KUBECONFIG nor a pod: {error}") from error
        return cls(configuration, within=within)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # Any path

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
        options = _delete_options(uid, resource_version, grace_period_seconds)
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

    # Any manifest

    async def path_of(self, manifest: Json) -> str:
        """Return an object's path, from its apiVersion, kind, name and namespace.

        `NotFound` when the server has no such kind. The server is asked for its resources once a
        group version, and again while a kind is missing (its CRD may be new).
        """
        metadata = manifest["metadata"]
        collection = await self._collection_of(manifest)
        return f"{collection}/{quote(metadata['name'], safe='')}"

    async def create(
        self,
        manifest: Json,
        *,
        within: float | None = None,
    ) -> Json:
        """Create an object; `AlreadyExists` when the name is taken."""
        return await self.post(await self._collection_of(manifest), manifest, within=within)

    async def apply(
        self,
        manifest: Json,
        *,
        field_manager: str,
        force: bool = False,
        subresource: str | None = None,
        within: float | None = None,
    ) -> Json:
        """Server-side apply: create the object, or set the fields that are given.

        `Conflict` when another manager owns a field and not `force`.
        """
        path = await self.path_of(manifest)
        if subresource is not None:
            path = f"{path}/{subresource}"
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        return await self.patch(
            path, manifest, "application/apply-patch+yaml", query=query, within=within
        )

    async def wait_established(
        self, crd_name: str, *, seconds: float = 30.0, clock: Clock | None = None
    ) -> None:
        """Return once the API server serves a CustomResourceDefinition, else `Unreachable`."""
        clock = clock or SystemClock()
        deadline = clock.monotonic() + seconds
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd_name}"
        while True:
            definition = await self.get(path)
            conditions = definition.get("status", {}).get("conditions") or ()
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                return
            if clock.monotonic() >= deadline:
                raise errors.Unreachable(0, "Timeout", f"{crd_name} is not established")
            await clock.sleep(0.2)

    async def evict(
        self,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        grace_period_seconds: int | None = None,
        within: float | None = None,
    ) -> None:
        """Evict a pod through the Eviction API; one that is gone is fine.

        `EvictionBlocked` when a PodDisruptionBudget says no, `Conflict` when `uid` differs.
        Several budgets on one pod make the server fail; that is blocked as well.
        """
        body: Json = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": _delete_options(uid, None, grace_period_seconds),
        }
        try:
            await self.post(
                f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body, within=within
            )
        except errors.NotFound:
            return
        except (errors.TooManyRequests, errors.ServerFailure) as error:
            if "DisruptionBudget" in error.causes or "PodDisruptionBudget" in error.message:
                raise errors.EvictionBlocked(
                    error.status,
                    error.reason,
                    error.message,
                    causes=error.causes,
                    retry_after=error.retry_after,
                ) from error
            raise

    async def server_version(self) -> str:
        """Return the server's version, e.g. `v1.36.5+k3s1`."""
        version: str = (await self.get("/version"))["gitVersion"]
        return version

    async def _collection_of(self, manifest: Json) -> str:
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        prefix = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        resource = self._resources.get(prefix, {}).get(kind)
        if resource is None:
            self._resources[prefix] = await self._discover(prefix)
            resource = self._resources[prefix].get(kind)
        if resource is None:
            raise errors.NotFound(404, "NotFound", f"the server has no {kind} in {api_version}")
        if not resource["namespaced"]:
            return f"{prefix}/{resource['name']}"
        namespace = manifest["metadata"].get("namespace") or "default"
        return f"{prefix}/namespaces/{namespace}/{resource['name']}"

    async def _discover(self, prefix: str) -> dict[str, Json]:
        answer = await self.get(prefix)
        return {
            resource["kind"]: resource
            for resource in answer.get("resources") or ()
            if "/" not in resource["name"]
        }

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
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        target = f"{path}?{urlencode(query)}" if query else path
        with _translated(method, path):
            response: aiohttp.ClientResponse = await self._client.call_api(
                target,
                method,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
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


def _delete_options(
    uid: str | None, resource_version: str | None, grace_period_seconds: int | None
) -> Json:
    options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {key: value for key, value in preconditions.items() if value is not None}
    if preconditions:
        options["preconditions"] = preconditions
    if grace_period_seconds is not None:
        options["gracePeriodSeconds"] = grace_period_seconds
    return options
