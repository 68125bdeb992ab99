"""The lab around a field: its cluster, and the daemon's settings and identity."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import aiohttp

from hk3s_autoscaler import config as daemon
from hk3s_bootstrap import objects
from hk3s_cloudinit import minting
from hk3s_kube.client import Kube
from hk3s_kube.nodepool import CRD_NAME
from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.proxy import Proxy
from holds.field import CLUSTER, PLENTY, Field
from holds.relay import Ears
from holds.replicas import zygote
from lab.machines.clusters import QUICK, Cluster, Json, eventually


@asynccontextmanager
async def field_of(directory: Path) -> AsyncIterator[Field]:
    """Start a lab with bastion, master and cloud controller, and all of deploy/ but the daemon."""
    # A Node outlives its server for long enough to be the daemon's to delete.
    machines = replace(QUICK, node_monitor_grace_seconds=None, node_lifecycle_seconds=30.0)
    lab = LabCloud(LabOptions(speed=100, machines=machines), directory=directory / "lab")
    async with (
        lab,
        aiohttp.ClientSession() as http,
        zygote() as ancestor,
        AsyncExitStack() as stack,
    ):
        cluster = Cluster(lab, http)
        stack.push_async_callback(cluster.close)
        await cluster.network()
        public = await cluster.bastion()
        await cluster.master(public)
        await cluster.connect(public)
        await cluster.add_cloud_controller()
        await eventually("master", lambda: cluster.node_ready("demo-master-1"), PLENTY)
        await _install(cluster)
        made = Field(
            lab=lab,
            cluster=cluster,
            ears=Ears(),
            zygote=ancestor,
            directory=directory,
            settings=await _settings(cluster),
            kubeconfig=await _kubeconfig(cluster),
            ssh_host_ca=minting.mint_ssh_host_ca().private,
            proxy=await stack.enter_async_context(_proxy(lab)),
        )
        try:
            yield made
        finally:
            for replica in made.replicas:
                await replica.stop()


@asynccontextmanager
async def _proxy(lab: LabCloud) -> AsyncIterator[str]:
    assert lab._machines is not None
    site = lab._machines._site
    master = next(machine for machine in lab.servers if machine.name == "demo-master-1")
    proxy = Proxy(site.resolve, source=site.local(master.private[0]))
    await proxy.start("127.0.0.1")
    try:
        yield proxy.url
    finally:
        await proxy.stop()


async def _install(cluster: Cluster) -> None:
    kube = await Kube.from_kubeconfig(cluster.cloud.admin_kubeconfig())
    try:
        for manifest in objects.base():
            if manifest["kind"] != "Deployment":
                await kube.apply(manifest, field_manager="test")
        await kube.wait_established(CRD_NAME)
    finally:
        await kube.close()


async def _settings(cluster: Cluster) -> daemon.Config:
    public_key = minting.mint_ssh_keypair("test").public
    key = await cluster.api("POST", "/ssh_keys", {"name": "test", "public_key": public_key})
    return daemon.Config(
        cluster=CLUSTER,
        network=daemon.NetworkSection(
            id=cluster.ids["network"],
            range=IPv4Network("10.4.0.0/16"),
            master_subnet=IPv4Network("10.4.0.0/24"),
            worker_subnet=IPv4Network("10.4.1.0/24"),
            dns=(IPv4Address("185.12.64.1"),),
        ),
        api=daemon.ApiSection(address=IPv4Address("10.4.0.3"), ca_hash=cluster.ca_hash),
        k3s=daemon.K3sSection(
            version="v1.36.5+k3s1",
            artifacts_url="https://github.com/k3s-io/k3s/releases/download",
        ),
        image="ubuntu-24.04",
        ssh=daemon.SshSection(key_ids=(key["ssh_key"]["id"],), authorized_keys=(public_key,)),
        limits=daemon.LimitsSection(max_servers=10),
        loop=daemon.LoopSection(
            interval_seconds=1, orphan_grace_seconds=300, health_wait_seconds=1
        ),
    )


async def _kubeconfig(cluster: Cluster) -> Json:
    """The daemon's identity; where its API is, each replica knows."""
    path = "/api/v1/namespaces/hk3s-system/serviceaccounts/hk3s-autoscaler/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = (await cluster.kubernetes.create(path, request))["status"]["token"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER}],
        "users": [{"name": "daemon", "user": {"token": token}}],
        "contexts": [{"name": CLUSTER, "context": {"cluster": CLUSTER, "user": "daemon"}}],
        "current-context": CLUSTER,
    }
