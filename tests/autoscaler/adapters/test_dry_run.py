"""A dry run reads the real world and writes nothing."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import IPv4Network

import pytest

from autoscaler import fakes
from hk3s_autoscaler.adapters.cloud import CloudSettings
from hk3s_autoscaler.adapters.dry_run import DryRunCloud, DryRunCluster
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_autoscaler.ports import ObjectRef, PoolStatus, ServerRequest
from hk3s_hetzner import labels
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import FenceLost
from hk3s_kube.client import Kube
from hk3s_kube.errors import NotLeader
from kube.fakes import FakeApi, kubeconfig
from lab.hetzner.support import TOKEN, running_cloud


def refuse_hetzner() -> None:
    raise FenceLost("a dry run writes nothing")


def refuse_kubernetes() -> None:
    raise NotLeader("a dry run writes nothing")


@pytest.fixture
async def cloud() -> AsyncIterator[DryRunCloud]:
    async with running_cloud() as emulator:
        hetzner = Hetzner(TOKEN, endpoint=emulator.endpoint, fence=refuse_hetzner, workers=1)
        settings = CloudSettings(
            cluster="demo",
            cluster_uid=fakes.CLUSTER_UID,
            network_id=1,
            worker_subnet=IPv4Network("10.4.1.0/24"),
            ssh_key_ids=(1,),
        )
        reporter = JoinReporter(IPv4Network("10.4.0.0/16"))
        yield DryRunCloud(hetzner, settings, reporter, fakes.ManualClock())
        await hetzner.close()


async def test_a_server_is_imagined_once_and_forgotten(cloud: DryRunCloud) -> None:
    request = ServerRequest(
        name="demo-workers-aaaaa",
        pool="workers",
        offering=fakes.key("cx23/fsn1"),
        image="ubuntu-24.04",
        user_data="",
        labels=labels.for_worker(
            labels.WorkerLabels(
                cluster="demo",
                cluster_uid=fakes.CLUSTER_UID,
                pool="workers",
                price_micro_eur_hour=1,
                token_expires=fakes.START,
            )
        ),
    )

    made = await cloud.create_server(request)
    await cloud.attach_server(made.server_id)
    await cloud.power_on_server(made.server_id)

    (listed,) = await cloud.list_servers()
    assert (listed.name, listed.status, listed.attached) == (request.name, "running", True)

    await cloud.delete_server(made.server_id)
    assert await cloud.list_servers() == ()
    assert await cloud.get_server(made.server_id) is None


async def test_nothing_is_written_to_kubernetes() -> None:
    api = FakeApi()
    await api.start()
    kube = await Kube.from_kubeconfig(kubeconfig(api.url), within=5.0)
    clock = fakes.ManualClock()
    watches = Watches(
        kube, cluster="demo", clock=clock, chance=random.random, listener=lambda _: None
    )
    cluster = DryRunCluster(
        kube,
        watches,
        cluster="demo",
        namespace="hk3s-system",
        ca_hash="0" * 64,
        clock=clock,
        fence=refuse_kubernetes,
        random_bytes=random.randbytes,
    )

    token = await cluster.create_join_token("a", fakes.START + timedelta(minutes=1))
    await cluster.revoke_join_token("a")
    await cluster.mark_unneeded("a", fakes.START)
    await cluster.cordon("a", "Empty", fakes.START)
    await cluster.uncordon("a")
    await cluster.evict(fakes.pod())
    await cluster.delete_node("a", "u")
    await cluster.emit(ObjectRef(kind="Node", name="a"), reason="R", message="m")
    await cluster.write_report({})
    await cluster.write_pool_status(
        PoolStatus(pool=fakes.pool(), nodes=0, ready=0, micro_eur_per_hour=0, conditions=())
    )

    assert token.startswith("K10")
    await kube.close()
    await api.stop()
