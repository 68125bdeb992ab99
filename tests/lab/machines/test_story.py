"""The whole life of a cluster on virtual machines, with a real control plane."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from hk3s_lab.cloud import LabCloud
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable, KubernetesClient
from lab.machines.clusters import Cluster, Json, eventually, quick_lab

SCRIPT = Path(__file__).parent / "process_pod.py"
IMAGE = "registry.example/whoami"

pytestmark = [pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Bastion, master and cloud controller."""
    images = {IMAGE: (sys.executable, str(SCRIPT))}
    directory = tmp_path_factory.mktemp("lab")
    async with (
        LabCloud(quick_lab(images), directory=directory) as cloud,
        aiohttp.ClientSession() as http,
    ):
        cluster = Cluster(cloud, http)
        try:
            await cluster.network()
            public = await cluster.bastion()
            await cluster.master(public)
            await cluster.connect(public)
            await cluster.add_cloud_controller()
            yield cluster
        finally:
            await cluster.close()


async def test_a_master_comes_up_with_the_cas_and_labels_it_was_given(cluster: Cluster) -> None:
    node = await eventually("master", lambda: cluster.node_ready("demo-master-1"))
    assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == "true"
    assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == "cx33"
    assert node["spec"]["providerID"] == f"hcloud://{cluster.ids['demo-master-1']}"
    assert {"type": "InternalIP", "address": "10.4.0.3"} in node["status"]["addresses"]


async def test_a_worker_joins_with_its_bootstrap_token_and_takes_pods(cluster: Cluster) -> None:
    await cluster.worker("demo-workers-aaaaa", "10.4.1.1")
    node = await eventually("worker", lambda: cluster.node_ready("demo-workers-aaaaa"))
    assert node["metadata"]["labels"]["hk3s.dev/pool"] == "workers"
    assert [a["type"] for a in node["status"]["addresses"]] == ["Hostname", "InternalIP"]
    assert node["status"]["allocatable"]["cpu"] == "3800m"
    await cluster.kubernetes.create("/apis/apps/v1/namespaces/default/deployments", WEB)

    async def all_run() -> bool:
        return await cluster.pod_phases("app=web") == ["Running"] * 12

    await eventually("12 pods run", all_run)
    pods, _ = await cluster.kubernetes.list("/api/v1/namespaces/default/pods")
    addresses = {pod["status"]["podIP"] for pod in pods}
    assert len(addresses) == 12
    assert all(address.startswith("10.42.") for address in addresses)


async def test_scaling_to_zero_ends_the_pods(cluster: Cluster) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    await cluster.kubernetes.patch(path, {"spec": {"replicas": 0}})

    async def none_left() -> bool:
        return await cluster.pod_phases("app=web") == []

    await eventually("no pods are left", none_left)


async def test_pods_of_a_job_end_well_or_badly_as_annotated(cluster: Cluster) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    await cluster.kubernetes.create(jobs, job("good", "0"))
    await cluster.kubernetes.create(jobs, job("bad", "1"))

    async def ended() -> bool:
        good = await cluster.kubernetes.get(f"{jobs}/good")
        bad = await cluster.kubernetes.get(f"{jobs}/bad")
        return bool(good["status"].get("succeeded")) and bool(bad["status"].get("failed"))

    await eventually("both ended", ended)


async def test_a_pod_with_an_image_of_the_table_is_a_process_with_its_own_rights(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TEST", "not for pods")
    report = tmp_path / "report.json"
    core = "/api/v1/namespaces/default"
    await cluster.kubernetes.create(
        f"{core}/serviceaccounts", {"metadata": {"name": "whoami"}, "kind": "ServiceAccount"}
    )
    await cluster.kubernetes.create(
        f"{core}/configmaps", {"metadata": {"name": "whoami"}, "data": {"file": "from the map"}}
    )
    await cluster.kubernetes.create(
        f"{core}/secrets",
        {"metadata": {"name": "whoami"}, "stringData": {"greeting": "hello"}},
    )
    await cluster.kubernetes.create(f"{core}/pods", process_pod(report))

    async def running() -> bool:
        return await cluster.pod_phases("app=whoami") == ["Running"] and report.exists()

    await eventually("the process runs", running)
    told = json.loads(report.read_text())
    assert told["greeting"] == "hello, whoami"
    assert told["mounted"] == "from the map"
    assert told["leaked"] == []
    assert told["server"].endswith(".0.3:6443")
    access = cluster.kubernetes.access
    async with KubernetesClient(
        replace(access, certificate=None, key=None, token=told["token"])
    ) as pod:
        review = await pod.create(
            "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"kind": "SelfSubjectReview"}
        )
    assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:whoami"
    logs = await kubectl(cluster, "logs", "whoami")
    assert "hello from the pod" in logs
    await cluster.kubernetes.delete(f"{core}/pods/whoami")

    async def gone() -> bool:
        return await cluster.pod_phases("app=whoami") == []

    await eventually("the pod is gone", gone)
    assert report.with_suffix(".stopped").read_text() == "stopped"


async def test_the_status_port_answers_masters_alone(cluster: Cluster) -> None:
    assert cluster.cloud._machines is not None
    site = cluster.cloud._machines._site
    nic = next(m for m in site.hypervisor.machines() if m.name == "demo-workers-aaaaa").private[0]
    url = f"http://{site.local(nic)}:9101/status"
    connector = aiohttp.TCPConnector(local_addr=(site.local(nic, "10.4.0.3"), 0))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
        report = await answer.json()
    assert (report["step"], report["state"], report["error"]) == ("ready", "done", None)
    assert list(report["steps"]) == ["boot", "network", "ssh", "egress", "install", "join", "ready"]
    with pytest.raises(aiohttp.ClientError):
        await cluster.http.get(url)


async def test_a_worker_told_another_hash_stays_outside(cluster: Cluster) -> None:
    await cluster.worker("demo-workers-bbbbb", "10.4.1.2", ca_hash="0" * 64)

    async def mismatched() -> bool:
        return any(
            view.name == "demo-workers-bbbbb" and view.error == "ca-hash-mismatch"
            for view in cluster.cloud.machines
        )

    await eventually("the hash is refused", mismatched)
    with pytest.raises(ApiError, match="404"):
        await cluster.kubernetes.get("/api/v1/nodes/demo-workers-bbbbb")


async def test_a_deleted_server_takes_its_node_with_it(cluster: Cluster) -> None:
    await cluster.api("DELETE", f"/servers/{cluster.ids['demo-workers-aaaaa']}")

    async def gone() -> bool:
        nodes, _ = await cluster.kubernetes.list("/api/v1/nodes")
        return [node["metadata"]["name"] for node in nodes] == ["demo-master-1"]

    await eventually("the Node is deleted", gone)


async def test_a_master_that_was_off_comes_back_as_the_same_cluster(cluster: Cluster) -> None:
    before = await cluster.kubernetes.get("/api/v1/namespaces/kube-system")
    number = cluster.ids["demo-master-1"]
    await cluster.api("POST", f"/servers/{number}/actions/poweroff")

    async def off() -> bool:
        try:
            return not await cluster.answers()
        except ApiUnreachable:
            return True

    await eventually("the API is away", off)
    await cluster.api("POST", f"/servers/{number}/actions/poweron")
    await eventually("the API is back", cluster.answers)
    after = await cluster.kubernetes.get("/api/v1/namespaces/kube-system")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    await eventually("master", lambda: cluster.node_ready("demo-master-1"))


async def kubectl(cluster: Cluster, *arguments: str) -> str:
    binary = await ensure_binary(print)
    child = await asyncio.create_subprocess_exec(
        str(binary),
        "kubectl",
        f"--kubeconfig={cluster.cloud.admin_kubeconfig()}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode()
    return output.decode()


def job(name: str, code: str) -> Json:
    notes = {"lab.hk3s.dev/run-seconds": "2", "lab.hk3s.dev/exit-code": code}
    template = {
        "metadata": {"annotations": notes},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "work", "image": "registry.example/work"}],
        },
    }
    return {
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }


def process_pod(report: Path) -> Json:
    container = {
        "name": "whoami",
        "image": f"{IMAGE}:1.0",
        "args": ["/etc/whoami/file", "$(NAME)"],
        "env": [
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {
                "name": "WORD",
                "valueFrom": {"secretKeyRef": {"name": "whoami", "key": "greeting"}},
            },
            {"name": "GREETING", "value": "$(WORD), $(NAME)"},
            {"name": "REPORT", "value": str(report)},
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/whoami"}],
    }
    return {
        "kind": "Pod",
        "metadata": {"name": "whoami", "labels": {"app": "whoami"}},
        "spec": {
            "serviceAccountName": "whoami",
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": "whoami"}}],
        },
    }


WEB: Json = {
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 12,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "initContainers": [{"name": "prepare", "image": "registry.example/prepare"}],
                "containers": [
                    {
                        "name": "web",
                        "image": "registry.example/web:1",
                        "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
                    }
                ],
            },
        },
    },
}
