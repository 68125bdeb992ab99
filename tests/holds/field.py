"""A lab with a cluster in it and the daemon outside, where a test can lay hands on it."""

import asyncio
import base64
import socket
import ssl
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from hk3s_autoscaler import config as daemon
from hk3s_lab.cloud import LabCloud
from hk3s_lab.kubernetes_client import ApiError
from holds.relay import Ears, Relay, Snare
from holds.replicas import Replica, Zygote
from lab.machines.clusters import Cluster, Json, eventually

CLUSTER = "demo"
PLENTY = 200.0
"""Seconds for what takes a few on a quiet machine."""
LEASE = "/apis/coordination.k8s.io/v1/namespaces/hk3s-system/leases/hk3s-autoscaler"
REPORT = "/api/v1/namespaces/hk3s-system/configmaps/hk3s-autoscaler-status"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
POOLS = "/apis/hk3s.dev/v1alpha1/nodepools"
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"
IDLE = {"consolidateAfter": "1s", "minSavings": 0, "keepUntilHourEnd": False}
POOL: Json = {
    "serverTypes": ["cx23"],
    "locations": ["fsn1"],
    "maxNodes": 10,
    "disruption": {**IDLE, "policy": "Never"},
}
FEW_CPU, HALF_A_NODE = "100m", "700m"


def pool(name: str, **spec: object) -> Json:
    return {
        "apiVersion": "hk3s.dev/v1alpha1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {**POOL, **spec},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _text(data: str) -> str:
    return base64.b64decode(data).decode()


def deployment(name: str, replicas: int, cpu: str = HALF_A_NODE, **pod: object) -> Json:
    container = {
        "name": "app",
        "image": "registry.example/app",
        "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], **pod},
            },
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A join token: the name of its Secret, the server it was made for, its end."""

    secret: str
    server: str
    ends_at: datetime


@dataclass
class Field:
    """`ears` hear every write of every replica."""

    lab: LabCloud
    cluster: Cluster
    ears: Ears
    zygote: Zygote
    directory: Path
    settings: daemon.Config
    kubeconfig: Json
    ssh_host_ca: str
    proxy: str
    """The way to private addresses, as from the master: workers answer nobody else."""
    replicas: list[Replica] = field(default_factory=list)
    started: int = 0
    before: frozenset[str] = frozenset({"demo-bastion", "demo-master-1"})
    """Servers that are not this test's."""

    @property
    def control(self) -> str:
        return self.lab.endpoint.removesuffix("/v1") + "/_lab"

    # The daemon

    async def start(
        self, name: str, *, patient: bool = True, dry_run: bool = False, **changes: object
    ) -> Replica:
        """Start a replica; `changes` are to its settings.

        `patient`: where the Lease is not the subject, no load of the machine costs it. A dry run
        is the command itself, with the same arguments, which others see.
        """
        api = Relay(
            self.ears, name, self.cluster.kubernetes.access.url, tls=self._without_certificate()
        )
        hetzner = Relay(self.ears, name, self.lab.endpoint.removesuffix("/v1"))
        kubeconfig = yaml.safe_load(yaml.safe_dump(self.kubeconfig))
        kubeconfig["clusters"][0]["cluster"] = {"server": await api.start()}
        endpoint = f"{await hetzner.start()}/v1"
        self.started += 1
        where = self.directory / f"{self.started}-{name}"
        where.mkdir(mode=0o700)
        settings = self.settings.model_copy(
            update={"hetzner": daemon.HetznerSection(endpoint=endpoint), **changes}
        )
        for file, text in (
            ("config.yaml", daemon.dump(settings)),
            ("kubeconfig", yaml.safe_dump(kubeconfig)),
            ("token", self.lab.token),
            ("ssh-ca", self.ssh_host_ca),
        ):
            (where / file).touch(mode=0o600)
            (where / file).write_text(text, encoding="utf-8")
        log = where / "log"
        argv = ["run", "--config", str(where / "config.yaml"), "--token-file", str(where / "token")]
        argv += ["--ssh-host-ca-file", str(where / "ssh-ca")]
        argv += ["--kubeconfig", str(where / "kubeconfig"), "--bind-address", "127.0.0.1"]
        port = _free_port()
        argv += ["--metrics-port", str(port), "--health-port", "0"]
        environment = {**self.lab.environment, "HTTP_PROXY": self.proxy, "POD_NAME": name}
        argv += ["--dry-run"] if dry_run else []
        pid = await self.zygote.ask(
            argv=argv, environment=environment, stderr=str(log), exec=dry_run, patient=patient
        )
        made = Replica(
            name=name,
            pid=pid,
            log=log,
            metrics_url=f"http://127.0.0.1:{port}/metrics",
            relays=(api, hetzner),
            zygote=self.zygote,
        )
        self.ears.pids[name] = pid
        self.replicas.append(made)
        return made

    async def revive(self, dead: Replica) -> Replica:
        """Start a replica anew after a kill.

        Its Lease is deleted first: nobody holds it, and waiting it out is another test's subject.
        """
        assert await dead.wait() < 0, dead.text
        await self.delete(LEASE)
        return await self.start(dead.name)

    async def caught(self, snare: Snare) -> None:
        """Wait until a snare has caught its write."""
        async with asyncio.timeout(PLENTY):
            await snare.caught.wait()

    # The cluster

    async def ask(self, method: str, name: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the emulator's own endpoint."""
        url = f"{self.control}/{name}"
        async with self.cluster.http.request(method, url, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, effect: Json, **fault: object) -> None:
        await self.ask("POST", "faults", {"effect": effect, **fault})

    async def create(self, path: str, body: Json) -> Json:
        return await self.cluster.kubernetes.create(path, body)

    async def scale(self, name: str, replicas: int) -> None:
        path = f"{DEPLOYMENTS}/{name}"
        await self.cluster.kubernetes.patch(path, {"spec": {"replicas": replicas}})

    async def listed(self, path: str) -> list[Json]:
        return (await self.cluster.kubernetes.list(path))[0]

    async def delete(self, path: str, body: Json | None = None) -> None:
        """Delete an object, if it is there."""
        try:
            await self.cluster.kubernetes.delete(path, body)
        except ApiError as error:
            if error.status != 404:
                raise

    async def running(self) -> list[Json]:
        """Pods that run and are to stay."""
        pods = await self.listed(PODS)
        return [
            pod
            for pod in pods
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    async def workers(self) -> list[Json]:
        """The servers that are not deleted."""
        found: list[Json] = []
        query = "/servers?label_selector=hk3s.dev/role=worker&per_page=50&page="
        page: int | None = 1
        while page is not None:
            answer = await self.cluster.api("GET", f"{query}{page}")
            found += answer["servers"]
            page = answer["meta"]["pagination"]["next_page"]
        return found

    async def nodes(self) -> list[Json]:
        """The Nodes of workers that are Ready."""
        found = await self.listed("/api/v1/nodes")
        return [node for node in found if "hk3s.dev/pool" in node["metadata"]["labels"]]

    async def tokens(self) -> list[Token]:
        """The join tokens."""
        found = [s["data"] for s in await self.listed(SECRETS) if s.get("type") == BOOTSTRAP_TOKEN]
        return [
            Token(
                secret=f"bootstrap-token-{_text(data['token-id'])}",
                server=_text(data["description"]).rpartition(" ")[2],
                ends_at=datetime.fromisoformat(_text(data["expiration"])),
            )
            for data in found
        ]

    async def bought(self) -> list[str]:
        """The names of all workers that this test ever had."""
        found = (await self.ask("GET", "servers"))["servers"]
        return [server["name"] for server in found if server["name"] not in self.before]

    async def events(self) -> list[Json]:
        return await self.listed("/api/v1/events")

    async def settled(self, pods: int, servers: int) -> None:
        """Wait until so many pods run on so many workers, and no token of any worker is left."""
        seen: dict[str, object] = {}

        async def is_so() -> bool:
            workers = {worker["name"] for worker in await self.workers()}
            nodes = {node["metadata"]["name"] for node in await self.nodes()}
            there, running = len(await self.listed(PODS)), len(await self.running())
            tokens = {token.server for token in await self.tokens()} & set(await self.bought())
            seen.update(workers=workers, nodes=nodes, pods=there, running=running, tokens=tokens)
            return running == there == pods and nodes == workers and not tokens

        try:
            await eventually("pods run and tokens are gone", is_so, PLENTY)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None
        assert len(await self.workers()) == servers
        for worker in await self.workers():
            assert worker["status"] == "running"
            assert len(worker["private_net"]) == 1

    async def clear(self) -> None:
        """Leave nothing of a test but the infrastructure."""
        for replica in self.replicas:
            await replica.stop()
        self.replicas.clear()
        self.ears.writes.clear()
        self.ears.snares.clear()
        self.ears.rewrite = None
        await self.ask("DELETE", "faults")
        for collection in (DEPLOYMENTS, POOLS):
            for item in await self.listed(collection):
                await self.delete(f"{collection}/{item['metadata']['name']}")
        now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        await self.cluster.kubernetes.delete(PODS, now)
        workers = await self.workers()
        await asyncio.gather(*(self.cluster.api("DELETE", f"/servers/{w['id']}") for w in workers))
        self.before |= frozenset(await self.bought())
        for node in await self.nodes():
            await self.delete(f"/api/v1/nodes/{node['metadata']['name']}")
        for token in await self.tokens():
            await self.delete(f"{SECRETS}/{token.secret}")
        await self.delete(LEASE)
        await self.cluster.kubernetes.delete("/api/v1/namespaces/default/events")
        await self.cluster.kubernetes.patch(REPORT, {"data": None})

    def _without_certificate(self) -> ssl.SSLContext:
        """Trust the API and show nobody's certificate: who asks, says the daemon's own token."""
        return replace(self.cluster.kubernetes.access, certificate=None, key=None).tls()
