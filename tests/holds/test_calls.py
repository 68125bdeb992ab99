"""Calls to the emulator at a real project's speed, each attempt of the client counted."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Network

import pytest

from autoscaler import fakes
from autoscaler.fake_cloud import FakeBirths
from autoscaler.fake_cluster import FakeCluster
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.cloud import CloudSettings, HetznerCloud
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.daemon.kit import make_kit
from hk3s_autoscaler.daemon.log import Secrets
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.daemon.trigger import Batch, Trigger
from hk3s_autoscaler.daemon.wiring import polling
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.ports import Clock, ServerRequest
from hk3s_hetzner import domain, labels
from hk3s_hetzner.client import Hetzner
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from lab.hetzner.support import PUBLIC_KEY, TOKEN


class Births(FakeBirths):
    """Names as the fake's, labels as the product's."""

    def request(self, **values: object) -> ServerRequest:
        made = super().request(**values)  # type: ignore[arg-type]
        expires, pool, offering = values["expires_at"], values["pool"], values["offering"]
        assert isinstance(pool, NodePool)
        assert isinstance(offering, Offering)
        found = labels.WorkerLabels(
            cluster="demo",
            cluster_uid=fakes.CLUSTER_UID,
            pool=pool.name,
            price_micro_eur_hour=offering.micro_eur_per_hour,
            token_expires=expires,  # type: ignore[arg-type]
        )
        return replace(made, labels=labels.for_worker(found))


@dataclass
class Project:
    """A Hetzner project at the speed of a real one, and our client for it."""

    hetzner: Hetzner
    cloud: HetznerCloud
    seen: list[str]

    def daemon(self, clock: Clock, cluster: FakeCluster) -> Loop:
        kit = make_kit(
            cloud=self.cloud,
            cluster=cluster,
            births=Births(),
            clock=clock,
            metrics=Metrics("test"),
            secrets=Secrets(),
        )
        trigger = Trigger(clock, idle=0.3, longest=2.0)
        config = PlanConfig(max_servers=20)
        return Loop(kit, trigger, plan=plan, config=config, interval=10.0)


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    emulator = Emulator(clock=RealClock(), stock="all", seed=4)
    endpoint = await emulator.start()
    seen: list[str] = []
    hetzner = Hetzner(
        TOKEN,
        endpoint=endpoint,
        poll_interval=polling,
        observe=lambda call: seen.append(f"{call.method} {call.path.partition('?')[0]}"),
    )
    network = await hetzner.create_network(
        name="demo",
        ip_range="10.4.0.0/16",
        labels=labels.for_cluster("demo"),
        subnets=[
            domain.Subnet(
                ip_range="10.4.1.0/24", network_zone="eu-central", type="cloud", gateway=None
            )
        ],
        routes=[],
    )
    key = await hetzner.create_ssh_key(
        name="demo", public_key=PUBLIC_KEY, labels=labels.for_cluster("demo")
    )
    settings = CloudSettings(
        cluster="demo",
        cluster_uid=fakes.CLUSTER_UID,
        network_id=network.id,
        worker_subnet=IPv4Network("10.4.1.0/24"),
        ssh_key_ids=(key.id,),
    )
    cloud = HetznerCloud(hetzner, settings, JoinReporter(IPv4Network("10.4.0.0/16")))
    yield Project(hetzner=hetzner, cloud=cloud, seen=seen)
    await hetzner.close()
    await emulator.stop()


class LateClock(SystemClock):
    """Real time, a little over a minute after the last list when pods come."""

    late = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.late


def a_pool() -> NodePool:
    return fakes.pool(types=TypeFilter(names=("cx23",)), locations=("fsn1",), max_nodes=20)


@pytest.mark.parametrize(("servers", "budget"), [(10, 3.5), (1, 6.0)])
async def test_a_server_costs_few_calls(project: Project, servers: int, budget: float) -> None:
    """From pending pods to the power-on of the last server, the decision's list included."""
    clock = LateClock()
    cluster = FakeCluster(fakes.ManualClock())
    cluster._clock = clock  # type: ignore[assignment]
    cluster.add(a_pool())
    loop = project.daemon(clock, cluster)
    await loop.turn(Batch(closed_at=clock.monotonic()))
    project.seen.clear()
    clock.late = 60.0
    for number in range(servers):
        pod = fakes.pod(f"web-{number}", unschedulable=True)
        big = replace(pod.spec.requests, cpu_milli=1200)
        now = clock.now() - timedelta(seconds=1)
        spec = replace(pod.spec, requests=big)
        cluster.add(replace(pod, spec=spec, created_at=now, unschedulable_since=now))

    async with asyncio.timeout(60):
        while sum(call.endswith("/poweron") for call in project.seen) < servers:
            await loop.turn(Batch(closed_at=clock.monotonic()))
            await clock.sleep(0.5)
    await loop._executor.finish(10)

    calls = list(project.seen)
    assert sum(call == "POST /v1/servers" for call in calls) == servers
    assert len(calls) / servers <= budget, calls


async def test_an_idle_hour_costs_sixty_calls_at_most(project: Project) -> None:
    clock = fakes.ManualClock()
    cluster = FakeCluster(clock)
    cluster.add(a_pool())
    loop = project.daemon(clock, cluster)
    await loop.turn(Batch(closed_at=clock.monotonic()))
    project.seen.clear()

    for _ in range(360):
        await clock.advance(10)
        await loop.turn(Batch(closed_at=clock.monotonic()))

    assert 0 < len(project.seen) <= 60
