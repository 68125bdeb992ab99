"""A small cluster in a lab, bought over the API with user-data that the product renders."""

import datetime as dt
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import aiohttp

from hk3s_cloudinit import minting, userdata
from hk3s_cloudinit.node import (
    BastionParams,
    Forward,
    K3sParams,
    MasterParams,
    NetworkParams,
    SshParams,
    WorkerParams,
)
from hk3s_data.k3s import OsFamily
from hk3s_lab.clock import RealClock
from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.kubernetes_client import (
    ApiError,
    ApiUnreachable,
    KubernetesClient,
    access_from_kubeconfig,
)
from hk3s_lab.machines.site import Options

GIB = 1 << 30
CLOCK = RealClock()
QUICK = Options(
    speed=10,
    boot_seconds=(2.0, 5.0),
    pod_stop_seconds=1.0,
    node_monitor_grace_seconds=6,
    node_lifecycle_seconds=0.5,
)

Json = dict[str, Any]
T = TypeVar("T")


def quick_lab(images: Mapping[str, tuple[str, ...]] | None = None) -> LabOptions:
    return LabOptions(speed=100, machines=QUICK, images=images or {})


async def eventually(what: str, ask: Callable[[], Awaitable[T | None]], seconds: float = 90.0) -> T:
    """Return the first true answer; an API that is away is no answer."""
    deadline = CLOCK.monotonic() + seconds
    while True:
        try:
            answer = await ask()
        except (ApiError, ApiUnreachable, KeyError):
            answer = None
        if answer:
            return answer
        if CLOCK.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        await CLOCK.sleep(0.1)


@dataclass
class Cluster:
    """One private network with bastion and master; workers on demand."""

    cloud: LabCloud
    http: aiohttp.ClientSession
    pki: minting.ClusterPki = field(default_factory=lambda: minting.mint_cluster_pki(CLOCK.now()))
    token: str = field(default_factory=lambda: minting.server_token(secrets.token_bytes))
    allowed: tuple[str, ...] = ("127.0.0.0/8",)
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._host_ca = minting.mint_ssh_host_ca().private
        self._authorized = minting.mint_ssh_keypair("test").public
        self._kubernetes: KubernetesClient | None = None

    @property
    def ca_hash(self) -> str:
        return minting.ca_hash(self.pki.server_ca.certificate)

    async def api(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {"Authorization": f"Bearer {self.cloud.token}"}
        url = f"{self.cloud.endpoint}{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            result: Json = await answer.json() if answer.status != 204 else {}
            assert answer.status < 300, result
        actions = [
            *result.get("next_actions", []),
            *([result["action"]] if result.get("action") else []),
        ]
        for action in actions:
            await eventually(f"{method} {path}", partial(self._done, action["id"]))
        return result

    async def _done(self, action: int) -> bool:
        answer = await self.api("GET", f"/actions?id={action}")
        assert answer["actions"][0]["status"] != "error", answer
        return bool(answer["actions"][0]["status"] == "success")

    async def network(self) -> None:
        body = {
            "name": "demo",
            "ip_range": "10.4.0.0/16",
            "subnets": [
                {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.4.0.0/24"},
                {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.4.1.0/24"},
            ],
        }
        created = await self.api("POST", "/networks", body)
        self.ids["network"] = created["network"]["id"]

    async def route(self) -> None:
        await self.api(
            "POST",
            f"/networks/{self.ids['network']}/actions/add_route",
            {"destination": "0.0.0.0/0", "gateway": "10.4.0.2"},
        )

    async def server(
        self, name: str, user_data: str, ip: str, *, public: bool = False, type_: str = "cx33"
    ) -> Json:
        created = await self.api(
            "POST",
            "/servers",
            {
                "name": name,
                "server_type": type_,
                "image": "ubuntu-24.04",
                "location": "fsn1",
                "start_after_create": False,
                "user_data": user_data,
                "public_net": {"enable_ipv4": public, "enable_ipv6": False},
            },
        )
        number = self.ids[name] = created["server"]["id"]
        await self.api(
            "POST",
            f"/servers/{number}/actions/attach_to_network",
            {"network": self.ids["network"], "ip": ip},
        )
        await self.api("POST", f"/servers/{number}/actions/poweron")
        answer = await self.api("GET", f"/servers/{number}")
        server: Json = answer["server"]
        return server

    def ssh(self, name: str) -> SshParams:
        life = dt.timedelta(days=30)
        return SshParams(
            authorized_keys=(self._authorized,),
            host_key=minting.mint_host_key(self._host_ca, (name,), CLOCK.now(), life),
            root_password_hash=minting.password_hash("a-password", "abcdefghabcdefgh"),
        )

    def common(self, name: str) -> Json:
        return {
            "cluster": "demo",
            "name": name,
            "network": NetworkParams(ip_range="10.4.0.0/16", os_family=OsFamily.UBUNTU),
            "ssh": self.ssh(name),
            "api_address": "10.4.0.3",
            "status_sources": ("10.4.0.0/24",),
        }

    async def bastion(self) -> str:
        """Return the public address."""
        params = BastionParams(
            **self.common("demo-bastion"),
            private_address="10.4.0.2",
            allowed_sources=self.allowed,
            forwards=(Forward(port=6443, to_address="10.4.0.3", to_port=6443),),
        )
        server = await self.server(
            "demo-bastion", userdata.render_bastion(params), "10.4.0.2", public=True
        )
        await self.route()
        return str(server["public_net"]["ipv4"]["ip"])

    async def master(self, public: str) -> None:
        params = MasterParams(
            **self.common("demo-master-1"),
            k3s=K3sParams(version="v1.36.5+k3s1"),
            labels={"hk3s.dev/cluster": "demo"},
            taints=("node-role.kubernetes.io/control-plane=true:NoSchedule",),
            cores=4,
            memory_bytes=8 * GIB,
            pki=self.pki,
            token=self.token,
            tls_sans=(public,),
        )
        await self.server("demo-master-1", userdata.render_master(params), "10.4.0.3")

    async def worker(self, name: str, ip: str, *, ca_hash: str | None = None) -> None:
        token = minting.mint_bootstrap_token(
            name, secrets.token_bytes, CLOCK.now(), dt.timedelta(minutes=20)
        )
        await self.kubernetes.create(
            "/api/v1/namespaces/kube-system/secrets",
            dict(minting.bootstrap_token_secret(token, name)),
        )
        params = WorkerParams(
            **self.common(name),
            k3s=K3sParams(version="v1.36.5+k3s1"),
            labels={"hk3s.dev/cluster": "demo", "hk3s.dev/pool": "workers"},
            cores=4,
            memory_bytes=8 * GIB,
            join_token=minting.join_token(ca_hash or self.ca_hash, token),
        )
        await self.server(name, userdata.render_worker(params), ip)

    async def connect(self, public: str, seconds: float = 90.0) -> KubernetesClient:
        """Return a client that goes through the bastion with a locally minted certificate."""
        certificate, key = minting.mint_admin_certificate(self.pki, CLOCK.now())
        text = minting.render_kubeconfig(
            "demo",
            f"https://{public}:6443",
            self.pki.server_ca.certificate,
            certificate,
            key,
        )
        self._kubernetes = await KubernetesClient(access_from_kubeconfig(text)).__aenter__()
        await eventually("the API answers", self.answers, seconds)
        return self._kubernetes

    async def answers(self) -> bool:
        # k3s's own types come a moment after the API.
        await self.kubernetes.get("/api/v1/namespaces/kube-system")
        await self.kubernetes.get("/apis/helm.cattle.io/v1/helmcharts")
        return True

    @property
    def kubernetes(self) -> KubernetesClient:
        assert self._kubernetes is not None
        return self._kubernetes

    async def close(self) -> None:
        if self._kubernetes is not None:
            await self._kubernetes.close()

    async def add_cloud_controller(self) -> None:
        await self.kubernetes.create(
            "/api/v1/namespaces/kube-system/secrets",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "hcloud"},
                "stringData": {"token": self.cloud.token, "network": "demo"},
            },
        )
        values = (
            "networking: {enabled: true, clusterCIDR: 10.42.0.0/16}\n"
            "env:\n"
            "  HCLOUD_NETWORK_ROUTES_ENABLED: {value: 'false'}\n"
            "  HCLOUD_INSTANCES_ZONE_LABEL_ENABLED: {value: 'false'}\n"
            f"  HCLOUD_ENDPOINT: {{value: '{self.cloud.endpoint}'}}\n"
        )
        await self.kubernetes.create(
            "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts",
            {
                "apiVersion": "helm.cattle.io/v1",
                "kind": "HelmChart",
                "metadata": {"name": "hcloud-cloud-controller-manager"},
                "spec": {
                    "chart": "hcloud-cloud-controller-manager",
                    "repo": "https://charts.hetzner.cloud",
                    "targetNamespace": "kube-system",
                    "bootstrap": True,
                    "valuesContent": values,
                },
            },
        )

    async def node_ready(self, name: str) -> Json | None:
        """Return the Node once it is Ready and initialized."""
        node = await self.kubernetes.get(f"/api/v1/nodes/{name}")
        taints = {taint["key"] for taint in node["spec"].get("taints") or ()}
        ready = any(
            c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"]
        )
        blocked = taints - {"node-role.kubernetes.io/control-plane"}
        return node if ready and not blocked else None

    async def pod_phases(self, selector: str) -> list[str]:
        pods, _ = await self.kubernetes.list(
            "/api/v1/namespaces/default/pods", {"labelSelector": selector}
        )
        return [pod["status"]["phase"] for pod in pods]
