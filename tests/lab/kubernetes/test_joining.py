import base64
from datetime import timedelta
from ipaddress import ip_address

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from lab.kubernetes import clusters
from lab.kubernetes.agents import SECRETS, Answer, Cluster, Joiner, eventually, node, pod

pytestmark = pytest.mark.asyncio(loop_scope="module")

NODES = "/api/v1/nodes"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_a_bootstrap_token_buys_a_certificate_for_the_node_named(cluster: Cluster) -> None:
    token = await cluster.bootstrap_token()

    answer = await cluster.until_ready(Joiner(name="Demo-W1"), f"Bearer {token}")

    leaf = x509.load_pem_x509_certificates(answer.body)[0]
    subject = {one.oid: one.value for one in leaf.subject}
    assert subject == {
        NameOID.COMMON_NAME: "system:node:demo-w1",
        NameOID.ORGANIZATION_NAME: "system:nodes",
    }
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(cluster.spec.cas.client_crt))


async def test_the_serving_certificate_names_the_nodes_address(cluster: Cluster) -> None:
    joiner = Joiner(name="demo-w2", address="10.4.1.9")

    answer = await cluster.sign(joiner, basic("node", clusters.TOKEN), "serving")

    leaf, issuer, *_ = x509.load_pem_x509_certificates(answer.body)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ip_address("10.4.1.9") in names.get_values_for_type(x509.IPAddress)
    assert "demo-w2" in names.get_values_for_type(x509.DNSName)
    leaf.verify_directly_issued_by(issuer)
    assert issuer == x509.load_pem_x509_certificate(cluster.spec.cas.server_crt)


async def test_a_kubelet_registers_its_own_node_and_no_other(cluster: Cluster) -> None:
    async with cluster.joined(Joiner(name="demo-w3")) as kubelet:
        own = await kubelet("POST", NODES, node("demo-w3"))
        other = await kubelet("POST", NODES, node("demo-w4"))

    assert (own.status, other.status) == (201, 403)


async def test_a_kubelet_may_not_give_itself_a_restricted_label(cluster: Cluster) -> None:
    tempted = node("demo-w5")
    tempted["metadata"]["labels"]["node-restriction.kubernetes.io/tenant"] = "all"

    async with cluster.joined(Joiner(name="demo-w5")) as kubelet:
        answer = await kubelet("POST", NODES, tempted)

    assert answer.status == 403


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param("Bearer aaaaaa.0123456789abcdef", 401, id="unknown token"),
        pytest.param(basic("node", "wrong"), 401, id="wrong agent token"),
        pytest.param(basic("server", clusters.TOKEN), 403, id="servers are no agents"),
        pytest.param(basic("node", clusters.TOKEN), 200, id="agent token"),
        pytest.param("", 403, id="no credentials"),
    ],
)
async def test_only_the_right_credentials_get_a_certificate(
    cluster: Cluster, authorization: str, status: int
) -> None:
    answer = await cluster.sign(Joiner(name="demo-w6", password="known"), authorization)

    assert answer.status == status


async def test_an_expired_token_is_refused(cluster: Cluster) -> None:
    token = await cluster.bootstrap_token(lifetime=timedelta(seconds=-1))

    answer = await cluster.sign(Joiner(name="demo-w7"), f"Bearer {token}")

    assert answer.status == 401


async def test_a_name_that_is_taken_stays_with_its_first_machine(cluster: Cluster) -> None:
    first, second = Joiner(name="demo-w8"), Joiner(name="demo-w8")
    authorization = basic("node", clusters.TOKEN)

    answers = [await cluster.sign(one, authorization) for one in (first, second, first)]

    assert [one.status for one in answers] == [200, 403, 200]
    assert answers[1].body["message"].startswith("Node password rejected: duplicate hostname")


async def test_a_password_is_kept_as_k3s_keeps_it_and_leaves_with_its_node(
    cluster: Cluster,
) -> None:
    joiner = Joiner(name="demo-w9")
    path = f"{SECRETS}/demo-w9.node-password.k3s"

    async with cluster.joined(joiner) as kubelet:
        kept = await cluster.admin("GET", path)
        registered = await kubelet("POST", NODES, node("demo-w9"))
    assert kept.body["immutable"] is True
    assert kept.body["type"] == "k3s.cattle.io/node-password"
    assert base64.b64decode(kept.body["data"]["hash"]).startswith(b"$1:")
    assert registered.status == 201
    owned = await eventually(
        lambda: cluster.admin("GET", path), lambda one: "ownerReferences" in one.body["metadata"]
    )
    owner = owned.body["metadata"]["ownerReferences"][0]
    assert owner["uid"] == registered.body["metadata"]["uid"]

    await cluster.admin("DELETE", f"{NODES}/demo-w9")

    await eventually(lambda: cluster.admin("GET", path), lambda one: one.status == 404)


async def test_a_kubelets_certificate_renews_only_itself_while_its_node_lives(
    cluster: Cluster,
) -> None:
    joiner = Joiner(name="demo-w10")
    path = "/v1-k3s/client-kubelet.crt"
    other = {**joiner.headers, "k3s-Node-Name": "demo-w3"}

    async with cluster.joined(joiner) as kubelet:
        before = await kubelet("POST", path, joiner.csr, joiner.headers)
        await kubelet("POST", NODES, node("demo-w10"))
        alive = await kubelet("POST", path, joiner.csr, joiner.headers)
        stranger = await kubelet("POST", path, joiner.csr, other)
        await cluster.admin("DELETE", f"{NODES}/demo-w10")
        after = await kubelet("POST", path, joiner.csr, joiner.headers)

    statuses = [one.status for one in (before, alive, stranger, after)]
    assert statuses == [401, 200, 400, 401]


async def test_what_is_no_signing_request_is_a_bad_request(cluster: Cluster) -> None:
    headers = {**Joiner(name="demo-w11").headers, "Authorization": basic("node", clusters.TOKEN)}

    answer = await cluster.stranger("POST", "/v1-k3s/client-kubelet.crt", b"hello", headers)

    assert answer.status == 400


async def test_agents_are_told_the_clusters_ranges_and_cas(cluster: Cluster) -> None:
    headers = {"Authorization": basic("node", clusters.TOKEN)}

    config = await cluster.stranger("GET", "/v1-k3s/config", None, headers)
    client_ca = await cluster.stranger("GET", "/v1-k3s/client-ca.crt", None, headers)
    server_ca = await cluster.stranger("GET", "/v1-k3s/server-ca.crt", None, headers)
    ready = await cluster.stranger("GET", "/v1-k3s/readyz", None, headers)

    assert config.body["clusterCIDR"] == "10.42.0.0/16"
    assert config.body["clusterDNS"] == "10.43.0.10"
    assert client_ca.body == cluster.spec.cas.client_crt
    assert server_ca.body == cluster.spec.cas.server_crt
    assert ready.body == b"ok"


async def test_logs_are_read_from_the_address_that_stands_for_the_nodes(
    cluster: Cluster, network: int
) -> None:
    joiner = Joiner(name="demo-w12", address="10.4.1.12")
    serving = await cluster.sign(joiner, basic("node", clusters.TOKEN), "serving")

    async def logs(request: web.Request) -> web.Response:
        return web.Response(text=f"log of {request.match_info['pod']}")

    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(
        runner, f"127.{network}.1.12", 10250, ssl_context=clusters.tls(serving.body, joiner.key_pem)
    )
    await site.start()
    try:
        status = {
            "addresses": [{"type": "InternalIP", "address": "10.4.1.12"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        }
        pods = "/api/v1/namespaces/default/pods"
        await cluster.admin("POST", NODES, node("demo-w12", **status))
        await cluster.admin("POST", pods, pod("talker", nodeName="demo-w12"))
        answer = await cluster.admin("GET", f"{pods}/talker/log")
    finally:
        await runner.cleanup()

    assert answer == Answer(status=200, body=b"log of talker")
