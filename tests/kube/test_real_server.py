"""The adapter against a real API server: what a fake might get wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from hk3s_kube import crd, errors, nodepool, stream
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_kube.lease import LeaseElector
from hk3s_kube.nodepool_check import read_object
from hk3s_kube.objects import PATHS, NodePoolObject, ObjectMeta, Pod
from hk3s_kube.stream import ChangeKind, Reflector
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from kube.fakes import Json, turn
from lab.kubernetes import clusters

pytestmark = pytest.mark.asyncio(loop_scope="module")

PODS = "/api/v1/namespaces/default/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kube]:
    binary = await ensure_binary(print)
    with clusters.loopback_network() as network:
        spec = clusters.spec(tmp_path_factory.mktemp("master"), network, clusters.cluster_cas())
        plane = ControlPlane(spec, binary=binary)
        await plane.start()
        kube = await Kube.from_kubeconfig(plane.admin_kubeconfig)
        try:
            await kube.apply(crd.crd(), field_manager="test")
            await kube.wait_established(nodepool.CRD_NAME)
            yield kube
        finally:
            await kube.close()
            await plane.stop()


async def eventually(
    ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], *, seconds: float = 60.0
) -> Any:  # noqa: ANN401 - whatever was asked for
    async with asyncio.timeout(seconds):
        while True:
            answer = await ask()
            if good(answer):
                return answer
            await turn()


def pod(name: str, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeName": "nowhere",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "a", "image": "a"}],
        },
    }


async def run_pod(kube: Kube, name: str, **labels: str) -> Json:
    made = await kube.create(pod(name, **labels))
    ready = {"type": "Ready", "status": "True"}
    await kube.patch(
        f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": [ready]}}
    )
    return made


async def test_tls_and_client_certificates_work(server: Kube) -> None:
    assert (await server.get("/version"))["gitVersion"].startswith("v1.")


async def test_the_definition_is_accepted_without_a_complaint(server: Kube) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{nodepool.CRD_NAME}"
    definition = await server.get(path)

    conditions = {c["type"]: c["status"] for c in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


async def test_the_server_fills_in_the_defaults_of_the_models(server: Kube) -> None:
    spec = nodepool.NodePoolSpec(max_nodes=3)
    await server.apply(nodepool.manifest("defaults", spec), field_manager="test")

    stored = await server.get(f"{nodepool.PATH}/defaults")

    assert stored["spec"]["disruption"]["consolidateAfter"] == "10m"
    assert stored["spec"]["disruption"]["budgets"] == [{"nodes": "10%"}]
    read = read_object(NodePoolObject(metadata=ObjectMeta(name="defaults"), spec=stored["spec"]))
    assert read.spec == spec
    await server.delete(f"{nodepool.PATH}/defaults")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"maxNodes": 1, "minNodes": 2}, "minNodes must not exceed maxNodes"),
        (
            {"maxNodes": 1, "requirements": {"minCores": 4, "maxCores": 2}},
            "minCores must not exceed maxCores",
        ),
        ({"maxNodes": 1, "joinTimeout": "15"}, "spec.joinTimeout"),
        ({"maxNodes": 1, "limits": {"memory": "64 GB"}}, "spec.limits.memory"),
    ],
)
async def test_the_server_refuses_a_pool_that_cannot_work(
    server: Kube, spec: Json, complaint: str
) -> None:
    manifest = {
        "apiVersion": nodepool.API_VERSION,
        "kind": nodepool.KIND,
        "metadata": {"name": "bad"},
        "spec": spec,
    }

    with pytest.raises(errors.Invalid, match=complaint):
        await server.apply(manifest, field_manager="test")


async def test_numbers_and_texts_are_quantities(server: Kube) -> None:
    limits = nodepool.Limits.model_validate({"cpu": 32, "memory": "64Gi", "euroPerHour": 0.5})
    spec = nodepool.NodePoolSpec(max_nodes=3, limits=limits)

    stored = await server.apply(nodepool.manifest("limits", spec), field_manager="test")

    assert stored["spec"]["limits"] == {"cpu": "32", "memory": "64Gi", "euroPerHour": 0.5}
    await server.delete(f"{nodepool.PATH}/limits")


async def test_a_status_is_applied_and_comes_back_through_a_reflector(server: Kube) -> None:
    spec = nodepool.NodePoolSpec(max_nodes=3)
    await server.apply(nodepool.manifest("workers", spec), field_manager="test")
    status = nodepool.NodePoolStatus(nodes=2, ready=1, eur_per_hour="0.0176")
    manifest = nodepool.status_manifest("workers", status)
    await server.apply(manifest, field_manager="hk3s", subresource="status")
    pools = Reflector(server, NodePoolObject, clock=SystemClock(), chance=lambda: 0.0)

    running = asyncio.create_task(pools.run())
    await asyncio.wait_for(pools.synced.wait(), 60)
    running.cancel()

    read = read_object(pools.items["workers"])
    assert read.status is not None
    assert (read.status.nodes, read.status.eur_per_hour) == (2, "0.0176")
    await server.delete(f"{nodepool.PATH}/workers")


async def test_another_managers_field_is_a_conflict_unless_forced(server: Kube) -> None:
    await server.apply(
        nodepool.manifest("owned", nodepool.NodePoolSpec(max_nodes=3)), field_manager="first"
    )
    other = nodepool.manifest("owned", nodepool.NodePoolSpec(max_nodes=4))

    with pytest.raises(errors.Conflict):
        await server.apply(other, field_manager="second")
    forced = await server.apply(other, field_manager="second", force=True)

    assert forced["spec"]["maxNodes"] == 4
    await server.delete(f"{nodepool.PATH}/owned")


async def test_a_reflector_follows_pods(server: Kube) -> None:
    changes: list[tuple[ChangeKind, str]] = []
    reflector = Reflector(
        server,
        Pod,
        clock=SystemClock(),
        chance=lambda: 0.0,
        label_selector="test=follow",
        on_change=lambda kind, item: changes.append((kind, item.key)),
    )
    await server.create(pod("before", test="follow"))
    running = asyncio.create_task(reflector.run())

    await asyncio.wait_for(reflector.synced.wait(), 60)
    made = await server.create(pod("after", test="follow"))
    await server.delete(f"{PODS}/after", uid=made["metadata"]["uid"], grace_period_seconds=0)
    await server.delete(f"{PODS}/before", grace_period_seconds=0)
    await eventually(
        lambda: asyncio.sleep(0, changes), lambda said: ("DELETED", "default/before") in said
    )
    running.cancel()

    assert changes[:2] == [("ADDED", "default/before"), ("ADDED", "default/after")]
    assert [change for change in changes if change[0] == "DELETED"] == [
        ("DELETED", "default/after"),
        ("DELETED", "default/before"),
    ]
    assert reflector.items == {}


async def test_a_version_from_before_a_restore_is_noticed(
    server: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STABLE_SECONDS", 0.5)
    reflector = Reflector(
        server, Pod, clock=SystemClock(), chance=lambda: 0.0, watch_seconds=1, silence=20.0
    )
    reflector.resource_version = "999999999"

    running = asyncio.create_task(reflector.run())
    await asyncio.wait_for(reflector.synced.wait(), 60)
    running.cancel()

    assert int(reflector.resource_version) < 999999999


async def test_the_paths_of_all_kinds_exist(server: Kube) -> None:
    for path in PATHS.values():
        await server.get(path, {"limit": "1"})


async def test_another_pod_of_the_name_is_not_deleted(server: Kube) -> None:
    await server.create(pod("kept"))

    with pytest.raises(errors.Conflict):
        await server.delete(f"{PODS}/kept", uid="00000000-0000-0000-0000-000000000000")

    await server.delete(f"{PODS}/kept", grace_period_seconds=0)


async def test_a_budget_blocks_and_then_allows(server: Kube) -> None:
    budget: Json = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "one-stays"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"test": "budget"}}},
    }
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/one-stays"
    await server.create(budget)
    await run_pod(server, "budget-a", test="budget")
    await eventually(
        lambda: server.get(path), lambda one: one.get("status", {}).get("currentHealthy") == 1
    )

    with pytest.raises(errors.EvictionBlocked):
        await server.evict("default", "budget-a")
    await run_pod(server, "budget-b", test="budget")
    await eventually(
        lambda: server.get(path), lambda one: one["status"].get("disruptionsAllowed") == 1
    )
    await server.evict("default", "budget-a", grace_period_seconds=0)
    await server.evict("default", "never-was")

    await server.delete(path)
    for name in ("budget-a", "budget-b"):
        await server.delete(f"{PODS}/{name}", grace_period_seconds=0)


async def test_evicting_another_pod_of_the_name_is_a_conflict(server: Kube) -> None:
    await run_pod(server, "renewed")

    with pytest.raises(errors.Conflict):
        await server.evict("default", "renewed", uid="00000000-0000-0000-0000-000000000000")

    await server.delete(f"{PODS}/renewed", grace_period_seconds=0)


def elector(kube: Kube, identity: str) -> LeaseElector:
    return LeaseElector(
        kube,
        namespace="default",
        name="test",
        identity=identity,
        clock=SystemClock(),
        chance=lambda: 0.0,
    )


async def test_a_lease_is_taken_renewed_remade_and_given_back(server: Kube) -> None:
    ours, theirs = elector(server, "us"), elector(server, "them")

    await ours._round()
    await theirs._round()
    ours.check()
    assert (ours.leading, theirs.leading, theirs.holder) == (True, False, "us")

    await ours._round()
    await server.delete(LEASE)
    for _ in range(2):
        await ours._round()
    ours.check()
    assert (await server.get(LEASE))["spec"]["holderIdentity"] == "us"

    ours.stop()
    running = asyncio.create_task(ours.run())
    await running
    await theirs._round()
    theirs.check()
    with pytest.raises(errors.NotLeader):
        ours.check()
    await server.delete(LEASE)
