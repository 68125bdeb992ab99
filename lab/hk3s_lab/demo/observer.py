"""Following the cluster the way a user would: through the kubeconfig that bootstrap wrote."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hk3s_lab.clock import Clock
from hk3s_lab.kubernetes_client import Access, KubernetesClient, Object

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
EVENTS = "/api/v1/events"
TOLD_KINDS = frozenset({"NodePool", "Node", "Pod"})


class Observer:
    """Nodes, pods of one namespace and the autoscaler's events, kept current by watches."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._nodes: dict[str, Object] = {}
        self._pods: dict[str, Object] = {}
        self.decisions: asyncio.Queue[str] = asyncio.Queue()
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def follow(self, access: Access, clock: Clock) -> AsyncIterator[None]:
        """Watch for as long as the context is open."""
        pods = f"/api/v1/namespaces/{self._namespace}/pods"
        async with KubernetesClient(access) as client:
            tasks = [
                asyncio.create_task(self._keep(client, NODES, self._nodes, clock)),
                asyncio.create_task(self._keep(client, pods, self._pods, clock)),
                asyncio.create_task(self._tell(client, clock)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready."""
        return {name for name, node in self._nodes.items() if _condition(node, "Ready") == "True"}

    def worker_nodes(self) -> set[str]:
        """Names of the nodes that belong to a pool."""
        return {
            name
            for name, node in self._nodes.items()
            if "hk3s.dev/pool" in node["metadata"].get("labels", {})
        }

    def phases(self) -> Counter[str]:
        """Count the pods of the namespace by phase; a pod on its way out counts as Terminating."""
        return Counter(
            "Terminating"
            if pod["metadata"].get("deletionTimestamp")
            else str(pod.get("status", {}).get("phase", "Pending"))
            for pod in self._pods.values()
        )

    def pods_by_node(self) -> Counter[str]:
        """Count the running pods of the namespace by node."""
        return Counter(
            pod["spec"]["nodeName"]
            for pod in self._pods.values()
            if pod.get("status", {}).get("phase") == "Running" and pod["spec"].get("nodeName")
        )

    async def _keep(
        self, client: KubernetesClient, path: str, table: dict[str, Object], clock: Clock
    ) -> None:
        async for kind, item in client.follow(path, {}, clock):
            if kind == "SYNCED":
                continue
            name = item["metadata"]["name"]
            if kind == "DELETED":
                table.pop(name, None)
            else:
                table[name] = item
            self.changed.set()

    async def _tell(self, client: KubernetesClient, clock: Clock) -> None:
        told: set[tuple[str, str]] = set()
        selector = {"fieldSelector": "source=hk3s-autoscaler"}
        async for kind, item in client.follow(EVENTS, selector, clock):
            about = item.get("involvedObject", {})
            if kind == "DELETED" or about.get("kind") not in TOLD_KINDS:
                continue
            line = f"{about['kind']}/{about['name']} {item['reason']}: {item['message']}"
            if about["kind"] == "Pod" or (item["metadata"]["uid"], line) in told:
                continue
            told.add((item["metadata"]["uid"], line))
            self.decisions.put_nowait(line)


def _condition(node: Object, kind: str) -> Any:  # noqa: ANN401 - JSON
    for condition in node.get("status", {}).get("conditions", ()):
        if condition["type"] == kind:
            return condition["status"]
    return None
