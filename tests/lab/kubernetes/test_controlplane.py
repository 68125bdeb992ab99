import asyncio
import base64
import json
from typing import Any

import pytest

from hk3s_lab.kubernetes.build import kubernetes_version
from lab.kubernetes import clusters
from lab.kubernetes.agents import Answer, Cluster, eventually, node, pod

pytestmark = pytest.mark.asyncio(loop_scope="module")

PODS = "/api/v1/namespaces/default/pods"


async def kubectl(cluster: Cluster, *arguments: str) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        *cluster.plane.kubectl, *arguments, "--output=json", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    assert child.returncode == 0
    answer: dict[str, Any] = json.loads(output)
    return answer


async def node_of(cluster: Cluster, name: str) -> str:
    answer = await eventually(
        lambda: cluster.admin("GET", f"{PODS}/{name}"), lambda one: "nodeName" in one.body["spec"]
    )
    return str(answer.body["spec"]["nodeName"])


async def untainted(cluster: Cluster, name: str) -> None:
    """Nodes start with a not-ready taint, which the controller-manager takes off."""
    await eventually(
        lambda: cluster.admin("GET", f"/api/v1/nodes/{name}"),
        lambda one: "taints" not in one.body["spec"],
    )


async def created(cluster: Cluster, path: str, body: dict[str, Any]) -> Answer:
    answer = await cluster.admin("POST", path, body)
    assert answer.status == 201, answer.body
    return answer


async def test_all_four_programs_run(cluster: Cluster) -> None:
    assert set(cluster.plane.pids) == {"etcd", "apiserver", "controller-manager", "scheduler"}


async def test_kubectl_works_with_the_admin_kubeconfig(cluster: Cluster) -> None:
    namespaces = await kubectl(cluster, "get", "namespaces")

    names = {one["metadata"]["name"] for one in namespaces["items"]}
    assert {"default", "kube-system"} <= names


async def test_both_ends_report_the_version_of_their_sources(cluster: Cluster) -> None:
    versions = await kubectl(cluster, "version")

    assert versions["clientVersion"]["gitVersion"] == kubernetes_version()
    assert versions["serverVersion"]["gitVersion"] == kubernetes_version()


async def test_the_kubeconfig_is_for_its_owner_alone(cluster: Cluster) -> None:
    assert cluster.plane.admin_kubeconfig.stat().st_mode & 0o777 == 0o600


async def test_cacerts_answers_anybody_with_the_very_bytes_of_the_bundle(cluster: Cluster) -> None:
    answer = await cluster.stranger("GET", "/cacerts")

    assert answer == Answer(status=200, body=cluster.spec.cas.server_crt)


async def test_a_stranger_gets_a_pong_but_no_api(cluster: Cluster) -> None:
    assert (await cluster.stranger("GET", "/ping")).body == b"pong"
    assert (await cluster.stranger("GET", "/api/v1/namespaces")).status == 401


async def test_namespaces_are_told_the_server_ca(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"

    answer = await cluster.admin("GET", path)

    assert answer.body["data"]["ca.crt"].encode() == cluster.spec.cas.server_crt


async def test_helm_charts_can_be_created_as_k3s_lets_one(cluster: Cluster) -> None:
    chart = {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": "ccm"},
        "spec": {"chart": "hcloud-cloud-controller-manager", "bootstrap": True},
    }

    answer = await created(
        cluster, "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts", chart
    )

    assert answer.body["spec"] == chart["spec"]


async def test_a_pod_goes_to_the_fuller_node_under_the_profile_given(cluster: Cluster) -> None:
    for name in ("pack-a", "pack-b"):
        await created(cluster, "/api/v1/nodes", node(name))
        await untainted(cluster, name)
    await created(cluster, PODS, pod("filler", cpu="2", memory="4Gi", nodeName="pack-b"))

    await created(cluster, PODS, pod("newcomer"))

    assert await node_of(cluster, "newcomer") == "pack-b"


async def test_service_account_tokens_are_signed_by_the_key_given(cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    request = {"spec": {"audiences": ["k3s"], "expirationSeconds": 600}}

    token = (await created(cluster, path, request)).body["status"]["token"]

    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["iss"] == "https://kubernetes.default.svc.cluster.local"
    answer = await cluster.stranger(
        "GET", "/api/v1/namespaces/default/pods", None, {"Authorization": f"Bearer {token}"}
    )
    assert answer.status == 403  # known, and without rights


async def test_the_token_stays_out_of_the_command_lines_and_logs(cluster: Cluster) -> None:
    for log in (cluster.spec.directory / "logs").iterdir():
        assert clusters.TOKEN not in log.read_text(errors="replace")
        assert log.stat().st_mode & 0o777 == 0o600
