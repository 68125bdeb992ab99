"""The API server in whole objects: manifests, evictions, definitions."""

from pathlib import Path
from typing import Self
from urllib.parse import quote

from hk3s_kube import connect, errors, lean
from hk3s_kube.clock import Clock, SystemClock
from hk3s_kube.connect import ConfigurationInvalid
from hk3s_kube.rest import ContentType, Json, PropagationPolicy, Rest, delete_options

__all__ = ["ConfigurationInvalid", "ContentType", "Json", "Kube", "PropagationPolicy"]


class Kube(Rest):
    """One API server. Calls raise the kinds of `errors`; `within` limits a call, in seconds."""

    def __init__(self, configuration: lean.Configuration, *, within: float = 10.0) -> None:
        """Take a loaded configuration; must be called inside a running event loop."""
        super().__init__(configuration, within=within)
        self._resources: dict[str, dict[str, Json]] = {}

    @classmethod
    async def from_kubeconfig(
        cls, source: Path | str, *, context: str | None = None, within: float = 10.0
    ) -> Self:
        """Connect as a kubeconfig says: a Path is its file, a str its text.

        Raises `ConfigurationInvalid`.
        """
        return cls(await connect.from_kubeconfig(source, context), within=within)

    @classmethod
    async def from_environment(cls, *, within: float = 10.0) -> Self:
        """Connect as `KUBECONFIG` says, else as the pod that this process runs in."""
        return cls(await connect.from_environment(), within=within)

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
            "deleteOptions": delete_options(uid, None, grace_period_seconds),
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
