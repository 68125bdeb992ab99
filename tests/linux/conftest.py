import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.machines.site import Options
from linux.clusters import BOOT_SECONDS, WORKERS, LinuxCluster, all_of

SECONDS = 1200.0
"""For the first test that needs the cluster: it may have to make the roots."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let labs of their own come first: `cluster` takes this process off the host's network."""
    own = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in own:
        if "timeout" not in item.keywords:
            item.add_marker(pytest.mark.timeout(SECONDS))
    in_order = iter(sorted(own, key=lambda item: "cluster" in getattr(item, "fixturenames", ())))
    ours = set(own)
    items[:] = [next(in_order) if item in ours else item for item in items]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster() -> AsyncIterator[LinuxCluster]:
    """A bastion on Debian 13, a master on Debian 12 and a worker of every shape, all Ready."""
    # Not pytest's own: a later pytest beside this one would tidy it away.
    directory = Path(tempfile.mkdtemp(prefix="hk3s-linux-"))
    options = LabOptions(kind="linux", speed=50, machines=Options(node_monitor_grace_seconds=40))
    async with (
        LabCloud(options, directory=directory / "lab") as cloud,
        aiohttp.ClientSession() as http,
    ):
        images = {name: image for name, (image, _, _) in WORKERS.items()}
        cluster = LinuxCluster(
            cloud=cloud,
            http=http,
            directory=directory,
            images=images | {"demo-master-1": "debian-12"},
        )
        cluster.linux.nic_names.update({name: nic for name, (_, nic, _) in WORKERS.items()})
        await cluster.network()
        public = await cluster.bastion()
        await cluster.master(public)
        await cluster.connect(public, BOOT_SECONDS)
        await all_of(*(cluster.member(name, ip) for name, (_, _, ip) in WORKERS.items()))
        await all_of(*(cluster.ready(name) for name in WORKERS))
        yield cluster
        await cluster.close()
    shutil.rmtree(directory, ignore_errors=True)
