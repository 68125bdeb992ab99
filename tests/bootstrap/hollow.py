"""A node without a kubelet: reports Ready, and calls every pod bound to it running."""

import asyncio
from typing import Any

from hk3s_kube.client import Kube
from hk3s_kube.errors import KubeError, NotFound

POLL_SECONDS = 0.1
LABELS = {
    "node-role.kubernetes.io/control-plane": "true",
    "kubernetes.io/hostname": "demo-master-1",
}


async def run_master(kube: Kube, name: str) -> None:
    """Act the master's node until cancelled."""
    while True:
        try:
            await _register(kube, name)
            await _run_pods(kube, name)
        except KubeError:  # the API server is only starting, or already stopping
            pass
        await asyncio.sleep(POLL_SECONDS)


async def _register(kube: Kube, name: str) -> None:
    try:
        await kube.get(f"/api/v1/nodes/{name}")
    except NotFound:
        await kube.post(
            "/api/v1/nodes",
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": LABELS}},
        )
    resources = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    condition = {"type": "Ready", "status": "True", "reason": "Hollow", "message": ""}
    await kube.patch(
        f"/api/v1/nodes/{name}/status",
        {"status": {"capacity": resources, "allocatable": resources, "conditions": [condition]}},
    )


async def _run_pods(kube: Kube, name: str) -> None:
    for pod in await kube.list_items("/api/v1/pods", field_selector=f"spec.nodeName={name}"):
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            await kube.delete(path, grace_period_seconds=0)
        elif pod["status"].get("phase") != "Running":
            await kube.patch(f"{path}/status", {"status": _running(pod)})


def _running(pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": "2026-11-23T12:00:00Z"}},
            }
            for container in pod["spec"]["containers"]
        ],
    }
