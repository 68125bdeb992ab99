"""The calls of an opening, on a fake API server."""

from collections.abc import AsyncIterator

import pytest

from autoscaler import fakes
from hk3s_autoscaler.adapters.opening import NodeOpening
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_kube.client import Kube
from hk3s_kube.errors import ServerFailure
from kube.fakes import FakeApi, kubeconfig, status

NODE = "/api/v1/nodes/demo-workers-a"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    """An API server with one node that is starting."""
    api = FakeApi()
    node = {"spec": {"taints": [{"key": "other"}, {"key": STARTING_TAINT}]}}
    api.routes["GET", NODE] = api.routes["PATCH", NODE] = (200, node)
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def opening(api: FakeApi) -> AsyncIterator[NodeOpening]:
    kube = await Kube.from_kubeconfig(kubeconfig(api.url), within=30.0)
    yield NodeOpening(kube, fence=lambda: None)
    await kube.close()


def accept(api: FakeApi, *names: str) -> None:
    for name in names:
        for path in (f"{PODS}/{name}", f"{PODS}/{name}/status"):
            api.routes["PATCH", path] = (200, {})


async def test_pods_are_nominated_first_and_the_time_is_noted_last(
    api: FakeApi, opening: NodeOpening
) -> None:
    accept(api, "a")

    taken, _ = await opening.invite(
        "demo-workers-a", (fakes.pod("a"), fakes.pod("gone")), fakes.START
    )

    assert taken == 1
    said = api.said()
    assert said[:2] == [f"GET {NODE}", f"PATCH {NODE}"]
    assert api.requests[1].body[1]["path"] == "/spec/taints/1/value"
    assert said.index(f"PATCH {PODS}/a/status") < said.index(f"PATCH {PODS}/a")
    assert "annotations" in api.requests[-1].body["metadata"]


async def test_a_failure_is_told_when_no_call_is_on_its_way_any_more(
    api: FakeApi, opening: NodeOpening
) -> None:
    accept(api, "b")
    api.routes["PATCH", f"{PODS}/a/status"] = (503, status(503, "ServiceUnavailable"))

    with pytest.raises(ServerFailure):
        await opening.invite("demo-workers-a", (fakes.pod("a"), fakes.pod("b")), fakes.START)

    assert api.said()[-1] == f"PATCH {PODS}/b"
