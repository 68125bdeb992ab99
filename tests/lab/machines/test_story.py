"""The whole life of a cluster on virtual machines, with a real control plane."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from lab.machines.clusters import CLOCK, Cluster, Json, eventually, quick_lab

from hk3s_lab.cloud import LabCloud

SCRIPT = Path(__file__).parent / "process_pod.py"
IMAGE = "registry.example/whoami"

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]


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
