"""The calls by which a new node goes into service: pods planned for it first, then everybody."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.pod import Pod
from hk3s_kube import errors, labels, objects
from hk3s_kube.client import Json, Kube

_PODS_AT_ONCE = 8
_PASSING = (errors.Unreachable, errors.TooManyRequests, errors.ServerFailure)


class NodeOpening:
    """Writes what `ports.Cluster.invite_pods` and `open_node` say, on an API server."""

    def __init__(self, kube: Kube, *, fence: Callable[[], None]) -> None:
        """`fence` raises when nothing may be written; it is asked before each call."""
        self._kube = kube
        self._fence = fence

    async def invite(self, node: str, pods: tuple[Pod, ...], since: datetime) -> tuple[int, Json]:
        """Return how many pods took the invitation, and the Node as it is now.

        The taint gets the node's name as its value before any pod tolerates that value, and the
        time is noted last: whoever dies in between begins again.
        """
        place, found = await self._starting_taint(node)
        if place is None:
            return 0, found
        await self._patch_taint(node, {"op": "add", "path": f"{place}/value", "value": node}, place)
        gate = asyncio.Semaphore(_PODS_AT_ONCE)

        async def one(pod: Pod) -> bool:
            async with gate:
                return await self._invite(node, pod)

        # All end before the first failure is told: no call is on its way behind the caller's back.
        taken = await asyncio.gather(*(one(pod) for pod in pods), return_exceptions=True)
        failed = [answer for answer in taken if isinstance(answer, BaseException)]
        if failed:
            raise failed[0]
        notes = {labels.OPENING_SINCE: convert.rfc3339(since)}
        self._fence()
        answer = await self._kube.patch(_node_path(node), {"metadata": {"annotations": notes}})
        return taken.count(True), answer

    async def open(self, node: str) -> Json:
        """Take the starting taint away and return the Node; one that is open stays as it is."""
        place, found = await self._starting_taint(node)
        if place is None:
            return found
        return await self._patch_taint(node, {"op": "remove", "path": place}, place)

    async def _invite(self, node: str, pod: Pod) -> bool:
        """Nominate one pod and let it tolerate the taint; whether it took both.

        In this order, so that no attempt sees the toleration without the nomination.
        """
        path = f"/api/v1/namespaces/{pod.key.namespace}/pods/{pod.key.name}"
        nominated = {"metadata": {"uid": pod.uid}, "status": {"nominatedNodeName": node}}
        value = {
            "key": STARTING_TAINT,
            "operator": "Equal",
            "value": node,
            "effect": "NoSchedule",
        }
        tolerated: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": pod.uid},
            {"op": "add", "path": "/spec/tolerations/-", "value": value},
        ]
        try:
            self._fence()
            await self._kube.patch(f"{path}/status", nominated)
            if node not in pod.invited_to:
                self._fence()
                await self._kube.patch(path, tolerated, "application/json-patch+json")
        except _PASSING:
            raise
        except errors.KubeError:
            return False  # gone, bound or changed meanwhile, or somebody's policy forbids it
        return True

    async def _starting_taint(self, node: str) -> tuple[str | None, Json]:
        """Find the taint by its place, for taints are a list without a merge key."""
        found = await self._kube.get(_node_path(node))
        for place, taint in enumerate(found["spec"].get("taints", ())):
            if taint["key"] == STARTING_TAINT:
                return f"/spec/taints/{place}", found
        return None, found

    async def _patch_taint(self, node: str, change: Json, place: str) -> Json:
        same: Json = {"op": "test", "path": f"{place}/key", "value": STARTING_TAINT}
        self._fence()
        return await self._kube.patch(
            _node_path(node), [same, change], "application/json-patch+json"
        )


def _node_path(name: str) -> str:
    return f"{objects.PATHS[objects.Node]}/{name}"
