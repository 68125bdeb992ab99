"""What the daemon's bench runs against: a control plane, an emulated Hetzner project, a daemon.

The daemon is the installed `hk3s-autoscaler run` with the rights of its ServiceAccount, the
admission policies of deploy/base included. Everything listens on 127.0.0.0/8.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from hk3s_autoscaler import config as daemon_config
from hk3s_bootstrap import kubeconfig, objects, state
from hk3s_hetzner import labels
from hk3s_kube import nodepool
from hk3s_kube.client import Kube
from hk3s_lab.addresses import Addresses
from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from hk3s_lab.kubernetes.spec import ClusterCAs, ControlPlaneSpec

Json = dict[str, Any]

CLUSTER, TYPE, LOCATION = "bench", "cx33", "fsn1"
POOLS = tuple(f"pool-{number}" for number in range(4))
"""A pool has a hundred nodes at most."""
NAMESPACES = "/api/v1/namespaces"
ACCOUNT = f"{NAMESPACES}/hk3s-system/serviceaccounts/hk3s-autoscaler"
BATCH_IDLE_SECONDS = 0.3
CLOCK = RealClock()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4gnOZs0AgVfI1Me8UHux9niRuI6fMNQ0aYMzxzENfi bench"
# Pods name ReplicaSets as their owners that nobody made: nothing may miss them.
_CONTROLLERS = "controllers=*,-replicaset-controller,-garbage-collector-controller"
_START_SECONDS = 180.0
_VERSIONS = ("kubeletVersion", "kubeProxyVersion", "containerRuntimeVersion", "kernelVersion")
_IDENTITIES = ("machineID", "systemUUID", "bootID", "osImage")
_NODE_INFO = dict.fromkeys((*_VERSIONS, *_IDENTITIES), "v1.36.5+k3s1")


@dataclass
class Project:
    """A Hetzner project on the emulator: one token, one network."""

    session: aiohttp.ClientSession
    base: str
    token: str
    network_id: int = 0
    key_id: int = 0

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call the API; a refusal raises."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.session.request(
            method, self.base + path, json=body, headers=headers
        ) as response:
            answer: Json = await response.json()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer}")
            return answer

    async def prepare(self) -> None:
        """Make the network and the key, lift the ceilings of an account."""
        ceilings = {"servers": 5000, "dedicated_cores": 9999, "members_per_network": 5000}
        await self.call("PUT", "/_lab/limits", {**ceilings, "requests_per_hour": 100_000})
        subnet = {"ip_range": "10.4.4.0/22", "network_zone": "eu-central", "type": "cloud"}
        body = {"name": CLUSTER, "ip_range": "10.4.0.0/16", "subnets": [subnet]}
        self.network_id = (await self.call("POST", "/v1/networks", body))["network"]["id"]
        body = {"name": CLUSTER, "public_key": KEY}
        self.key_id = (await self.call("POST", "/v1/ssh_keys", body))["ssh_key"]["id"]

    async def creates(self, after: int) -> list[Json]:
        """Return the requests for servers with a higher number than `after`, oldest first."""
        found = (await self.call("GET", f"/_lab/requests?after={after}"))["requests"]
        return [r for r in found if r["method"] == "POST" and r["path"] == "/v1/servers"]

    async def buy(self, name: str, pool: str, cluster_uid: str) -> int:
        """Buy a worker as the daemon would have, and return its id."""
        mine = labels.WorkerLabels(
            cluster=CLUSTER,
            cluster_uid=cluster_uid,
            pool=pool,
            price_micro_eur_hour=9600,
            token_expires=CLOCK.now() + timedelta(minutes=20),
        )
        body = {
            "name": name,
            "server_type": TYPE,
            "location": LOCATION,
            "image": "ubuntu-24.04",
            "labels": labels.for_worker(mine),
            "networks": [self.network_id],
            "public_net": {"enable_ipv4": False, "enable_ipv6": False},
        }
        return int((await self.call("POST", "/v1/servers", body))["server"]["id"])


@dataclass
class Daemon:
    """A running daemon and its log."""

    process: asyncio.subprocess.Process
    log: Path

    def events(self, name: str) -> list[Json]:
        """Return the log's events of that name."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{"))
        return [event for event in found if event.get("event") == name]

    async def wait_leading(self) -> None:
        """Return once it may write."""
        async with asyncio.timeout(_START_SECONDS):
            while not self.events("leader.began"):
                if self.process.returncode is not None:
                    raise RuntimeError(self.log.read_text(encoding="utf-8")[-3000:])
                await CLOCK.sleep(0.2)

    def resident_mb(self) -> float:
        """Return the resident memory in MB."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_seconds(self) -> float:
        """Return user and system time so far, children that ended included."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        ticks = stat.rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@dataclass
class Standing:
    """A control plane and where things are."""

    admin: Kube
    secrets: state.State
    admin_text: str
    directory: Path
    cluster_uid: str
    daemons: int = 0

    @asynccontextmanager
    async def daemon(self, project: Project) -> AsyncIterator[Daemon]:
        """Run the daemon on a project until the block ends."""
        self.daemons += 1
        folder = self.directory / f"daemon-{self.daemons}"
        folder.mkdir()
        settings = daemon_config.Config(
            cluster=CLUSTER,
            hetzner=daemon_config.HetznerSection(endpoint=f"{project.base}/v1"),
            network=daemon_config.NetworkSection(
                id=project.network_id,
                range=IPv4Network("10.4.0.0/16"),
                master_subnet=IPv4Network("10.4.0.0/24"),
                worker_subnet=IPv4Network("10.4.4.0/22"),
                dns=(IPv4Address("185.12.64.1"),),
            ),
            api=daemon_config.ApiSection(
                address=IPv4Address("10.4.0.3"), ca_hash=self.secrets.ca_hash
            ),
            k3s=daemon_config.K3sSection(
                version="v1.36.5+k3s1", artifacts_url="http://127.0.0.1/k3s"
            ),
            image="ubuntu-24.04",
            ssh=daemon_config.SshSection(key_ids=(project.key_id,), authorized_keys=(KEY,)),
            limits=daemon_config.LimitsSection(max_servers=1000),
            loop=daemon_config.LoopSection(batch_idle_seconds=BATCH_IDLE_SECONDS),
        )
        account = await self.admin.post(
            f"{ACCOUNT}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        )
        access = yaml.safe_load(self.admin_text)
        access["users"][0]["user"] = {"token": account["status"]["token"]}
        files = {
            "config": daemon_config.dump(settings),
            "token-file": project.token,
            "ssh-host-ca-file": self.secrets.ssh_host_ca.private,
            "kubeconfig": yaml.safe_dump(access),
        }
        arguments = []
        for option, text in files.items():
            path = folder / option
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
            arguments += [f"--{option}", str(path)]
        log = folder / "log"
        # Nobody is at the workers' private addresses: a proxy that refuses says so at once.
        environment = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.0/8"}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("hk3s-autoscaler")),
                "run",
                *arguments,
                *("--bind-address", "127.0.0.1", "--metrics-port", "0", "--health-port", "0"),
                stdout=output,
                stderr=output,
                env=environment,
            )
        try:
            yield Daemon(process, log)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def control_plane(directory: Path, addresses: Addresses) -> AsyncIterator[Standing]:
    """Run a control plane with deploy/base, one pool and a master that takes no pods."""
    binary = await ensure_binary(lambda line: print(line, file=sys.stderr))
    secrets = state.mint(CLOCK.now(), os.urandom)
    address = addresses.private(0, "10.4.0.3")
    pki = secrets.pki
    cas = ClusterCAs(
        server_crt=pki.server_ca.certificate,
        server_key=pki.server_ca.private_key,
        client_crt=pki.client_ca.certificate,
        client_key=pki.client_ca.private_key,
        request_header_crt=pki.request_header_ca.certificate,
        request_header_key=pki.request_header_ca.private_key,
        etcd_server_crt=pki.etcd_server_ca.certificate,
        etcd_server_key=pki.etcd_server_ca.private_key,
        etcd_peer_crt=pki.etcd_peer_ca.certificate,
        etcd_peer_key=pki.etcd_peer_ca.private_key,
        service_key=pki.service_key,
    )
    spec = ControlPlaneSpec(
        directory=directory / "master",
        bind_address=address,
        advertise_address="10.4.0.3",
        node_name=f"{CLUSTER}-master-1",
        cas=cas,
        token=secrets.token,
        tls_sans=(address,),
        # Nodes of this bench send no heartbeats.
        controller_manager_args=("node-monitor-grace-period=24h", _CONTROLLERS),
    )
    plane = ControlPlane(spec, binary=binary)
    await plane.start()
    try:
        text = kubeconfig.render(CLUSTER, secrets, address, CLOCK.now())
        admin = await Kube.from_kubeconfig(text, within=30)
        try:
            uid = (await admin.get(f"{NAMESPACES}/kube-system"))["metadata"]["uid"]
            await _install(admin)
            yield Standing(admin, secrets, text, directory, uid)
        finally:
            await admin.close()
    finally:
        await plane.stop()


async def _install(admin: Kube) -> None:
    for manifest in objects.base():
        if manifest["kind"] != "Deployment":
            await admin.apply(manifest, field_manager="bench")
    await admin.wait_established(nodepool.CRD_NAME)
    spec = nodepool.NodePoolSpec(server_types=(TYPE,), locations=(LOCATION,), max_nodes=100)
    for name in POOLS:
        await admin.apply(nodepool.manifest(name, spec), field_manager="bench")
    master = node(f"{CLUSTER}-master-1", {"node-role.kubernetes.io/control-plane": "true"})
    master["spec"]["taints"] = [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    await admin.post("/api/v1/nodes", master)


def node(name: str, labels_: dict[str, str], provider_id: str = "") -> Json:
    """Return a Ready node of four cores that is full with 33 of `pod`'s default size."""
    ready = {"type": "Ready", "status": "True", "reason": "Bench", "message": ""}
    room = {"cpu": "3350m", "memory": "7Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels_}},
        "spec": {"providerID": provider_id} if provider_id else {},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [ready],
            "nodeInfo": {**_NODE_INFO, "architecture": "amd64", "operatingSystem": "linux"},
        },
    }


def pod(name: str, owner: int, cpu: str = "100m", node_name: str = "") -> Json:
    """Return a pod with eight variables, owned by the ReplicaSet of that number."""
    app = f"app-{owner}"
    reference = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": app,
        "uid": f"00000000-0000-0000-0000-{owner:012}",
        "controller": True,
    }
    container = {
        "name": "main",
        "image": "registry.example/bench/app:1.0.0",
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(8)],
        "resources": {"requests": {"cpu": cpu, "memory": "100Mi"}},
    }
    spec: Json = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}, "ownerReferences": [reference]},
        "spec": spec | ({"nodeName": node_name} if node_name else {}),
    }
