"""The Kubernetes adapter against a real API server."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from autoscaler import fakes
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.cluster import KubeCluster
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_autoscaler.model.offering import OfferingBlock
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.ports import (
    Change,
    Changed,
    Condition,
    Decision,
    EvictionBlocked,
    NotLeader,
    ObjectRef,
    PoolStatus,
)
from hk3s_kube import crd, errors, nodepool
from hk3s_kube.client import Kube
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from kube.fakes import turn
from lab.kubernetes import clusters

pytestmark = pytest.mark.asyncio(loop_scope="module")

CA_HASH = "0" * 64
PLENTY = 60.0
"""Seconds for what takes less than one on a quiet machine."""
PODS = "/api/v1/namespaces/default/pods"


class Lease:
    """A Lease that a test takes away."""

    def __init__(self) -> None:
        self.ours = True

    def check(self) -> None:
        if not self.ours:
            raise errors.NotLeader("another process leads")


class Lab:
    """A real apiserver, and the adapter on it; `news` is what the watches reported."""

    def __init__(self, kube: Kube, cluster: KubeCluster, news: list[Change], lease: Lease) -> None:
        self.kube = kube
        self.cluster = cluster
        self.news = news
        self.lease = lease

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PLENTY):
            while not holds():
                await turn()

    async def node(self, name: str) -> str:
        made = await self.kube.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {"hk3s.dev/cluster": "demo", "hk3s.dev/pool": "workers"},
                },
                "spec": {"providerID": "hcloud://77"},
            }
        )
        await self.until(lambda: any(n.name == name for n in self.cluster.nodes()))
        return str(made["metadata"]["uid"])

    async def pod(self, name: str, *, node: str = "", labels: dict[str, str] | None = None) -> None:
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "250m"}}}],
            "terminationGracePeriodSeconds": 0,
        }
        if node:
            spec["nodeName"] = node
        else:
            spec["schedulerName"] = "nobody"
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
            "spec": spec,
        }
        await self.kube.create(manifest)

    async def set_condition(self, pod: str, **condition: str) -> None:
        patch = {"status": {"conditions": [{"type": "PodScheduled", **condition}]}}
        await self.kube.patch(
            f"{PODS}/{pod}/status", patch, "application/strategic-merge-patch+json"
        )


@asynccontextmanager
async def connected(kube: Kube) -> AsyncIterator[Lab]:
    clock, lease = SystemClock(), Lease()
    news: list[Change] = []
    watches = Watches(kube, cluster="demo", clock=clock, chance=random.random, listener=news.append)
    cluster = KubeCluster(
        kube,
        watches,
        cluster="demo",
        namespace="default",
        ca_hash=CA_HASH,
        clock=clock,
        fence=lease.check,
        random_bytes=random.randbytes,
    )
    lab = Lab(kube, cluster, news, lease)
    await cluster.start()
    running = asyncio.create_task(watches.run())
    async with asyncio.timeout(PLENTY):
        await watches.wait_synced()
    yield lab
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    binary = await ensure_binary(print)
    with clusters.loopback_network() as network:
        spec = clusters.spec(tmp_path_factory.mktemp("master"), network, clusters.cluster_cas())
        plane = ControlPlane(spec, binary=binary)
        await plane.start()
        kube = await Kube.from_kubeconfig(plane.admin_kubeconfig)
        try:
            await kube.apply(crd.crd(), field_manager="test")
            await kube.wait_established(nodepool.CRD_NAME)
            async with connected(kube) as lab:
                yield lab
        finally:
            await kube.close()
            await plane.stop()


async def test_the_cluster_is_known_by_the_uid_of_kube_system(lab: Lab) -> None:
    found = await lab.kube.get("/api/v1/namespaces/kube-system")

    assert lab.cluster.cluster_uid() == found["metadata"]["uid"]
    assert lab.cluster.synced()
    assert lab.cluster.oldest_contact() <= SystemClock().monotonic()


async def test_a_pod_that_becomes_unschedulable_is_news_once(lab: Lab) -> None:
    await lab.pod("waits")
    key = PodKey("default", "waits")
    unschedulable = {"status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}

    await lab.set_condition("waits", **unschedulable)
    await lab.until(lambda: any(key in change.pods for change in lab.news))
    await lab.set_condition("waits", **{**unschedulable, "message": "0/2 nodes"})
    await lab.pod("later")
    await lab.until(lambda: any(p.key.name == "later" for p in lab.cluster.pods()))

    assert sum(key in change.pods for change in lab.news) == 1
    (fact,) = (p for p in lab.cluster.pods() if p.key == key)
    assert fact.unschedulable_since is not None
    assert fact.spec.requests.cpu_milli == 250


async def test_a_removal_is_noted_on_the_node_and_taken_back(lab: Lab) -> None:
    await lab.node("w1")

    await lab.cluster.cordon("w1", "Empty", fakes.START)

    # Before the watch can say anything: a controller's earlier change may still be on its way.
    assert any(n.name == "w1" and n.draining_since for n in lab.cluster.nodes())
    draining = await lab.cluster.get_node("w1")
    assert draining is not None
    assert (draining.unschedulable, draining.draining_since, draining.draining_reason) == (
        True,
        fakes.START,
        "Empty",
    )
    assert ("node.kubernetes.io/exclude-from-external-load-balancers", "true") in draining.labels

    await lab.cluster.uncordon("w1")
    await lab.cluster.mark_unneeded("w1", fakes.START)

    back = await lab.cluster.get_node("w1")
    assert back is not None
    assert (back.unschedulable, back.draining_since, back.draining_reason) == (False, None, "")
    assert back.unneeded_since == fakes.START
    assert (back.pool, back.server_id) == ("workers", 77)


async def test_a_node_made_anew_under_the_name_is_not_deleted(lab: Lab) -> None:
    uid = await lab.node("w2")

    await lab.cluster.delete_node("w2", "another-uid")
    assert await lab.cluster.get_node("w2") is not None

    await lab.cluster.delete_node("w2", uid)
    await lab.cluster.delete_node("w2", uid)
    assert await lab.cluster.get_node("w2") is None


async def test_join_tokens_are_bootstrap_secrets_named_after_the_server(lab: Lab) -> None:
    expires_at = SystemClock().now() + timedelta(minutes=20)

    first = await lab.cluster.create_join_token("demo-workers-a", expires_at)
    second = await lab.cluster.create_join_token("demo-workers-a", expires_at)

    prefix, _, token = second.partition("::")
    assert prefix == f"K10{CA_HASH}"
    assert first != second
    path = f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token.partition('.')[0]}"
    secret = await lab.kube.get(path)
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert base64.b64decode(secret["data"]["token-secret"]).decode() == token.partition(".")[2]

    await lab.cluster.revoke_join_token("demo-workers-a")
    await lab.cluster.revoke_join_token("demo-workers-a")
    with pytest.raises(errors.NotFound):
        await lab.kube.get(path)


async def test_a_budget_blocks_an_eviction_and_names_the_pods_it_covers(lab: Lab) -> None:
    await lab.node("w3")
    await lab.pod("guarded", node="w3", labels={"app": "db"})
    await lab.pod("free", node="w3")
    await lab.kube.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "db", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}},
        }
    )
    await lab.kube.patch(
        f"{PODS}/guarded/status",
        {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
        "application/strategic-merge-patch+json",
    )
    found = {pod.key.name: pod for pod in await lab.cluster.pods_on("w3")}

    with pytest.raises(EvictionBlocked):
        await lab.cluster.evict(found["guarded"])
    await lab.cluster.evict(found["free"])
    await lab.cluster.evict(found["free"])

    assert [pod.key.name for pod in await lab.cluster.pods_on("w3")] == ["guarded"]
    assert await lab.cluster.volumes_attached("w3") == 0
    await lab.until(lambda: bool(lab.cluster.budgets()) and bool(lab.cluster.budgets()[0].pods))
    assert lab.cluster.budgets()[0].pods == {PodKey("default", "guarded")}


async def test_a_pools_status_survives_the_round_trip(lab: Lab) -> None:
    await lab.kube.create(
        {
            "apiVersion": "hk3s.dev/v1alpha1",
            "kind": "NodePool",
            "metadata": {"name": "workers"},
            "spec": {"maxNodes": 5, "minNodes": 1, "serverTypes": ["cx23"]},
        }
    )
    await lab.until(lambda: bool(lab.cluster.pools()))
    (pool,) = lab.cluster.pools()
    assert (pool.problem, pool.min_nodes, pool.max_nodes) == ("", 1, 5)
    blocked = OfferingBlock(
        key=fakes.key("cx23/fsn1"), reason="resource_unavailable", until=fakes.START
    )
    status = PoolStatus(
        pool=fakes.pool("workers", blocks=(blocked,), paused_until=fakes.START),
        nodes=2,
        ready=1,
        micro_eur_per_hour=12345,
        conditions=(Condition(type="Paused", status=True, reason="JoinFailures", message="m"),),
        last_decision=Decision(time=fakes.START, reason="PendingPods", message="bought"),
    )

    await lab.cluster.write_pool_status(status)
    await lab.until(lambda: bool(lab.cluster.pools()[0].blocks))

    (pool,) = lab.cluster.pools()
    assert pool.blocks == (blocked,)
    assert pool.paused_until == fakes.START
    stored = (await lab.kube.get(f"{nodepool.PATH}/workers"))["status"]
    assert (stored["nodes"], stored["ready"], stored["eurPerHour"]) == (2, 1, "0.0123")
    version = (await lab.kube.get(f"{nodepool.PATH}/workers"))["metadata"]["resourceVersion"]

    await lab.cluster.write_pool_status(status)

    again = await lab.kube.get(f"{nodepool.PATH}/workers")
    assert again["metadata"]["resourceVersion"] == version
    assert again["status"]["lastDecision"]["message"] == "bought"


async def test_a_new_pool_is_news_and_its_own_status_is_not(lab: Lab) -> None:
    spec = {"maxNodes": 1}
    await lab.kube.create(
        {
            "apiVersion": "hk3s.dev/v1alpha1",
            "kind": "NodePool",
            "metadata": {"name": "other"},
            "spec": spec,
        }
    )
    await lab.until(lambda: any(p.name == "other" for p in lab.cluster.pools()))
    told = sum(change.kind == "pools" for change in lab.news)

    await lab.cluster.write_pool_status(
        PoolStatus(
            pool=fakes.pool(
                "other",
                blocks=(OfferingBlock(key=fakes.key("a/b"), reason="r", until=fakes.START),),
            ),
            nodes=0,
            ready=0,
            micro_eur_per_hour=0,
            conditions=(),
        )
    )
    await lab.until(lambda: any(p.name == "other" and p.blocks for p in lab.cluster.pools()))

    assert sum(change.kind == "pools" for change in lab.news) == told


async def test_equal_events_are_counted(lab: Lab) -> None:
    about = ObjectRef(kind="NodePool", name="workers", uid="u-1")

    for _ in range(3):
        await lab.cluster.emit(about, reason="ServerCreated", message="a server", warning=False)

    found = await lab.kube.list_items(
        "/api/v1/namespaces/default/events", field_selector="source=hk3s-autoscaler"
    )
    (event,) = (e for e in found if e["reason"] == "ServerCreated")
    assert (event["count"], event["type"]) == (3, "Normal")
    assert event["involvedObject"]["kind"] == "NodePool"


async def test_the_report_is_kept_in_a_config_map(lab: Lab) -> None:
    assert await lab.cluster.read_report() == {}
    await lab.kube.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "hk3s-autoscaler-status", "namespace": "default"},
        }
    )

    await lab.cluster.write_report({"pods.json": "{}"})

    assert await lab.cluster.read_report() == {"pods.json": "{}"}


async def test_without_the_lease_no_call_leaves(lab: Lab) -> None:
    uid = await lab.node("w4")
    lab.lease.ours = False
    try:
        with pytest.raises(NotLeader):
            await lab.cluster.delete_node("w4", uid)
        with pytest.raises(NotLeader):
            await lab.cluster.create_join_token("x", SystemClock().now() + timedelta(minutes=1))
    finally:
        lab.lease.ours = True

    assert await lab.cluster.get_node("w4") is not None


async def test_a_node_that_is_gone_is_a_change_to_look_at(lab: Lab) -> None:
    with pytest.raises(Changed):
        await lab.cluster.cordon("never-was", "Empty", fakes.START)
