"""Into the cluster: wait for the API, apply what is missing, verify that it works."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from hk3s_bootstrap import objects
from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.objects import Manifest
from hk3s_bootstrap.progress import Reporter
from hk3s_kube import nodepool
from hk3s_kube.client import Kube
from hk3s_kube.clock import Clock
from hk3s_kube.errors import (
    Forbidden,
    KubeError,
    NotFound,
    ServerFailure,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)

MANAGER = "hk3s-bootstrap"
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
API_SECONDS = 900.0
REFUSED_SECONDS = 60.0
"""Of patience with an API that answers but refuses us: RBAC needs seconds for its own rules."""
READY_SECONDS = 900.0
KIND_SECONDS = 180.0
"""Of patience with a kind that is not served yet, and with an API server that is away."""
POLL_SECONDS = 1.0
PASSING = (Unreachable, ServerFailure, TooManyRequests)
Answer = TypeVar("Answer")

Probe = Callable[[], Awaitable[str | None]]
"""Returns None when what is waited for has happened, else what is still missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster's API, and how to wait for it."""

    kube: Kube
    clock: Clock
    reporter: Reporter

    async def wait_for_api(self) -> str:
        """Return the cluster's UID once the API answers; k3s may only just be installed.

        Raises:
            BootstrapError: no answer for long, or one that refuses us for a minute.
        """
        found: list[str] = []
        refused_at: list[float] = []

        async def probe() -> str | None:
            try:
                namespace = await self.kube.get(KUBE_SYSTEM)
            except (Unauthorized, Forbidden) as error:
                now = self.clock.monotonic()
                refused_at.append(now)
                if now - refused_at[0] >= REFUSED_SECONDS:
                    raise _refused(error) from error
                raise
            except KubeError:
                refused_at.clear()  # it starts, or starts again
                raise
            found.append(namespace["metadata"]["uid"])
            return None

        await self._wait("wait for the API", probe, API_SECONDS)
        return found[0]

    async def missing(self, manifests: Sequence[Manifest]) -> tuple[Manifest, ...]:
        """Return what would change if it were applied now."""
        found = [
            manifest
            for manifest in manifests
            if not objects.is_applied(await self._live(manifest), manifest)
        ]
        return tuple(found)

    async def apply(self, manifests: Sequence[Manifest]) -> int:
        """Apply what differs from what is live, in order; return how many objects those were."""
        changed = 0
        for manifest in manifests:
            what = f"read {objects.describe(manifest)}"
            live = await self._patiently(what, partial(self._live, manifest), PASSING)
            if not objects.is_applied(live, manifest):
                await self._apply(manifest)
                changed += 1
        return changed

    async def pools_to_apply(
        self, config: ClusterConfig
    ) -> tuple[tuple[Manifest, ...], tuple[str, ...]]:
        """Return the pools that are absent, and the names of those that exist and differ."""
        live = await self._pools()
        absent = tuple(
            manifest
            for manifest in objects.pools(config)
            if manifest["metadata"]["name"] not in live
        )
        return absent, objects.pool_differences(config.node_pools, live)

    async def apply_pools(
        self, config: ClusterConfig, *, replace: bool
    ) -> tuple[int, tuple[str, ...]]:
        """Create the pools that are absent, and with `replace` correct those that differ.

        Returns how many were applied, and which were left as they are although they differ.
        """
        what = "read the NodePools"
        absent, differ = await self._patiently(what, partial(self.pools_to_apply, config), PASSING)
        wanted = list(absent)
        if replace:
            wanted += [pool for pool in objects.pools(config) if pool["metadata"]["name"] in differ]
        for manifest in wanted:
            await self._apply(manifest)
        return len(wanted), () if replace else differ

    async def wait_for_master(self, name: str) -> None:
        """Return when the master's Node is Ready."""

        async def probe() -> str | None:
            return not_ready(await self.kube.get(f"/api/v1/nodes/{name}"))

        await self._wait(f"wait for node {name}", probe, READY_SECONDS)

    async def wait_for_autoscaler(self) -> None:
        """Return when the daemon's Deployment is Available in its present form."""

        async def probe() -> str | None:
            deployment = await self.kube.get(
                f"/apis/apps/v1/namespaces/{objects.NAMESPACE}/deployments/{objects.DEPLOYMENT}"
            )
            missing = not_available(deployment)
            return missing and f"{missing}{await self._pod_trouble()}"

        await self._wait("wait for the autoscaler", probe, READY_SECONDS)

    async def _live(self, manifest: Manifest) -> Manifest | None:
        try:
            return await self.kube.get(await self.kube.path_of(manifest))
        except NotFound:
            return None

    async def _apply(self, manifest: Manifest) -> None:
        """Apply one object; kinds that k3s or the API server only just learn are waited for."""
        what = f"apply {objects.describe(manifest)}"

        async def apply() -> None:
            await self.kube.apply(manifest, field_manager=MANAGER, force=True)
            if manifest["kind"] == "CustomResourceDefinition":
                await self.kube.wait_established(manifest["metadata"]["name"])

        with self.reporter.doing(what) as say:
            await self._patiently(what, apply, (NotFound, *PASSING), say)

    async def _patiently(
        self,
        what: str,
        call: Callable[[], Awaitable[Answer]],
        passing: tuple[type[KubeError], ...],
        say: Callable[[str], None] | None = None,
    ) -> Answer:
        """Repeat a call while it fails in a way that passes: the API server restarts, say.

        Raises:
            StepFailed: it was refused, or failed for too long.
        """
        started = self.clock.monotonic()
        while True:
            try:
                return await call()
            except KubeError as error:
                waited = self.clock.monotonic() - started
                if not isinstance(error, passing) or waited > KIND_SECONDS:
                    raise StepFailed(what, error) from error
                (say or self.reporter.note)(f"{waited:.0f} s, last: {error.message}")
            await self.clock.sleep(POLL_SECONDS)

    async def _pools(self) -> dict[str, Manifest]:
        try:
            found = await self.kube.list_items(nodepool.PATH)
        except NotFound:
            return {}
        return {pool["metadata"]["name"]: pool for pool in found}

    async def _pod_trouble(self) -> str:
        """Return why the daemon's pods do not run, as their containers say."""
        pods = await self.kube.list_items(
            f"/api/v1/namespaces/{objects.NAMESPACE}/pods",
            label_selector=f"app.kubernetes.io/name={objects.DEPLOYMENT}",
        )
        reasons = {
            reason
            for pod in pods
            for status in pod.get("status", {}).get("containerStatuses", ())
            if (reason := status.get("state", {}).get("waiting", {}).get("reason"))
        }
        return f" ({', '.join(sorted(reasons))})" if reasons else ""

    async def _wait(self, what: str, probe: Probe, seconds: float) -> None:
        started = self.clock.monotonic()
        with self.reporter.doing(what) as say:
            shown: str | None = None
            while True:
                try:
                    missing = await probe()
                except KubeError as error:
                    missing = error.message
                if missing is None:
                    return
                waited = self.clock.monotonic() - started
                if waited > seconds:
                    raise BootstrapError(
                        f"{what}: gave up after {waited:.0f} s, last: {missing}",
                        fix="`hk3s-bootstrap status --why master` names the step that fails there"
                        " (no lease, no DNS, no egress, ...); then run the command again",
                    )
                if missing != shown:
                    say(f"{waited:.0f} s, last: {missing}")
                    shown = missing
                await self.clock.sleep(POLL_SECONDS)


def _refused(error: KubeError) -> BootstrapError:
    if isinstance(error, Unauthorized):
        fix = (
            "its CA is not that of the local state: name the --state-dir that the cluster was made"
            " with, or check that this machine's clock is right"
        )
    else:
        fix = (
            "the administrator's rights were taken away: restore the ClusterRoleBinding"
            " cluster-admin on the master (`hk3s-bootstrap ssh master k3s kubectl ...`)"
        )
    return BootstrapError(f"the API refuses us: {error.message}", fix=fix, code=error.reason)


def not_ready(node: Manifest) -> str | None:
    """Return why a Node is not Ready, None when it is."""
    for condition in node.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready":
            if condition["status"] == "True":
                return None
            return str(condition.get("message") or condition.get("reason") or "not Ready")
    return "the node has not reported yet"


def not_available(deployment: Manifest) -> str | None:
    """Return why a Deployment is not Available in its present generation, None when it is."""
    status: dict[str, Any] = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "not rolled out yet"
    wanted = deployment["spec"].get("replicas", 1)
    available = status.get("availableReplicas", 0)
    updated = status.get("updatedReplicas", 0)
    if min(available, updated) >= wanted:
        return None
    return f"{available} of {wanted} replicas available"
