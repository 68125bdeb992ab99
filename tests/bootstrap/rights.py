"""One API server with deploy/base, met as administrator and as the daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from bootstrap.planes import spec_of
from hk3s_bootstrap import kubeconfig, objects, state
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_kube.errors import Forbidden, Invalid, KubeError
from hk3s_kube.rest import Method
from hk3s_lab.kubernetes.controlplane import ControlPlane

SECRETS = "/api/v1/namespaces/kube-system/secrets"
ACCOUNT = "/api/v1/namespaces/hk3s-system/serviceaccounts/hk3s-autoscaler"
POD = "/api/v1/namespaces/default/pods/anybodys"
MASTER, WORKER, FOREIGN = "demo-master-1", "demo-general-abcde", "somebody-elses"
DENIED = (Forbidden, Invalid)
"""RBAC answers 403, an admission policy 422."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that was answered with success; `query` is its text."""

    method: Method
    path: str
    query: str


class WatchedKube(Kube):
    """A Kube that remembers what it was allowed."""

    allowed: list[Request]

    @classmethod
    async def connect(cls, kubeconfig: str) -> Self:
        kube = await cls.from_kubeconfig(kubeconfig)
        kube.allowed = []
        return kube

    async def _request(self, method: Method, path: str, query: Any, *args: Any) -> Any:  # noqa: ANN401 - as is
        response = await super()._request(method, path, query, *args)
        self.allowed.append(Request(method, path, str(query or "")))
        return response


@dataclass
class Rights:
    """The same API server, met twice."""

    admin: Kube
    daemon: WatchedKube


@asynccontextmanager
async def installed(binary: Path, directory: Path, address: str) -> AsyncIterator[Rights]:
    """Start a control plane, apply deploy/base, and wait until its policies act."""
    now = SystemClock().now()
    secrets = state.mint(now, bytes)
    plane = ControlPlane(spec_of(directory, address, secrets), binary=binary)
    await plane.start()
    text = kubeconfig.render("demo", secrets, address, now)
    admin = await Kube.from_kubeconfig(text)
    try:
        await _install(admin)
        daemon = await _as_daemon(admin, text)
        try:
            await _wait_for_policies(daemon)
            yield Rights(admin=admin, daemon=daemon)
        finally:
            await daemon.close()
    finally:
        await admin.close()
        await plane.stop()


async def _install(admin: Kube) -> None:
    for manifest in objects.base():
        if manifest["kind"] != "Deployment":
            await admin.apply(manifest, field_manager="test")
    for name, labels in (
        (MASTER, {"node-role.kubernetes.io/control-plane": "true"}),
        (WORKER, {"hk3s.dev/pool": "general"}),
        (FOREIGN, {}),
    ):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await admin.post("/api/v1/nodes", node)
    await admin.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "anybodys", "namespace": "default"},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{"name": "pause", "image": "pause"}],
            },
        }
    )


async def _as_daemon(admin: Kube, text: str) -> WatchedKube:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await admin.post(f"{ACCOUNT}/token", request)
    values = yaml.safe_load(text)
    values["users"][0]["user"] = {"token": answer["status"]["token"]}
    return await WatchedKube.connect(yaml.safe_dump(values))


async def _wait_for_policies(daemon: Kube) -> None:
    """Policies act a moment after they were made: wait until each denies."""
    for path, patch in (
        (f"/api/v1/nodes/{FOREIGN}", {"metadata": {"labels": {"x": "y"}}}),
        (f"/api/v1/nodes/{WORKER}", {"metadata": {"labels": {"x": "y"}}}),
        (f"{POD}/status", {"status": {"message": "x"}}),
    ):
        async with asyncio.timeout(60):
            while True:
                try:
                    await daemon.patch(path, patch)
                except KubeError:
                    break
                await asyncio.sleep(0.1)
