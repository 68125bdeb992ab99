"""kube-scheduler puts the pods that are let in on a new node, whatever it thinks meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from autoscaler.differential.scheduler import Pods, cluster
from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.adapters.opening import NodeOpening
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.pod import Pod
from hk3s_kube import labels, objects
from hk3s_kube.client import Kube

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
SECONDS = 60.0
"""kube-scheduler's longest pause before it looks at a pod again is ten."""


class Plane:
    """Nodes that hold one pod each, and pods that wait for them."""

    def __init__(self, kube: Kube, pods: Pods) -> None:
        self.kube = kube
        self.pods = pods
        self.opening = NodeOpening(kube, fence=lambda: None)

    async def node(self, name: str) -> None:
        room = {"cpu": "1", "memory": "1Gi", "pods": "110"}
        await self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name},
                "spec": {"taints": [{"key": STARTING_TAINT, "effect": "NoSchedule"}]},
                "status": {"capacity": room, "allocatable": room, "conditions": [READY]},
            }
        )

    async def waiting(self, name: str) -> Pod:
        """A pod that kube-scheduler has refused."""
        resources = {"requests": {"cpu": "600m"}}
        await self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"containers": [{"name": "c", "image": "x", "resources": resources}]},
            }
        )
        await self.pods.verdict(f"default/{name}", patient=False, seconds=SECONDS)
        found = convert.pod(self.pods.known[f"default/{name}"])
        assert found.unschedulable_since is not None
        return found

    async def bound(self, pod: Pod) -> str:
        return await self.pods.verdict(str(pod.key), patient=True, seconds=SECONDS)

    async def delete(self, pod: Pod) -> None:
        path = f"/api/v1/namespaces/default/pods/{pod.key.name}"
        await self.kube.delete(path, grace_period_seconds=0)

    async def taints(self, node: str) -> list[str]:
        found = await self.kube.get(f"{objects.PATHS[objects.Node]}/{node}")
        return [taint.get("value", "") for taint in found["spec"].get("taints", ())]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    async with cluster(tmp_path_factory.mktemp("master")) as (kube, pods, _):
        yield Plane(kube, pods)


async def test_each_pod_goes_where_it_was_let_in_and_nobody_else_does(plane: Plane) -> None:
    """Two nodes open at once, which wakes all who wait, again and again."""
    for name in ("a", "b"):
        await plane.node(name)
    guests = {name: await plane.waiting(f"for-{name}") for name in ("a", "b")}
    strangers = [await plane.waiting(f"stranger-{number}") for number in range(3)]

    taken = await asyncio.gather(
        *(plane.opening.invite(name, (pod,), NOW) for name, pod in guests.items())
    )

    assert [number for number, _ in taken] == [1, 1]
    assert [await plane.bound(pod) for pod in guests.values()] == ["on a", "on b"]
    assert [plane.pods.node_of(str(pod.key)) for pod in strangers] == ["", "", ""]
    assert [await plane.taints(name) for name in guests] == [["a"], ["b"]]
    await asyncio.gather(*(plane.delete(pod) for pod in strangers))


async def test_the_toleration_alone_lets_a_pod_in(plane: Plane) -> None:
    """The nomination is cleared before kube-scheduler sees the toleration."""
    guest = await plane.waiting("late")
    await plane.node("c")
    await plane.opening.invite("c", (), NOW)
    toleration = {
        "key": STARTING_TAINT,
        "operator": "Equal",
        "value": "c",
        "effect": "NoSchedule",
    }
    change = {"op": "add", "path": "/spec/tolerations/-", "value": toleration}
    path = f"/api/v1/namespaces/default/pods/{guest.key.name}"

    await plane.kube.patch(path, [change], "application/json-patch+json")

    assert await plane.bound(guest) == "on c"
    assert convert.pod(plane.pods.known[str(guest.key)]).invited_to == ("c",)


async def test_an_open_node_takes_everybody(plane: Plane) -> None:
    stranger = await plane.waiting("anybody")
    await plane.node("d")
    _, noted = await plane.opening.invite("d", (), NOW)

    opened = await plane.opening.open("d")

    assert noted["metadata"]["annotations"][labels.OPENING_SINCE] == "2026-11-23T12:00:00Z"
    assert "taints" not in opened["spec"]
    assert await plane.bound(stranger) == "on d"
    again = await plane.opening.open("d")
    assert "taints" not in again["spec"]
