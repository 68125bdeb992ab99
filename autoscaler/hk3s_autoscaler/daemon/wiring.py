"""Puts the daemon together: the one place that knows every part."""

import asyncio
import random
import secrets as chance
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hk3s_autoscaler import ports
from hk3s_autoscaler.adapters.birth import WorkerBirths
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.cloud import CloudSettings, HetznerCloud
from hk3s_autoscaler.adapters.cluster import KubeCluster
from hk3s_autoscaler.adapters.dry_run import DryRunCloud, DryRunCluster
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_autoscaler.config import Config
from hk3s_autoscaler.daemon.http import Binding
from hk3s_autoscaler.daemon.kit import make_kit
from hk3s_autoscaler.daemon.log import Secrets
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.daemon.run import Daemon
from hk3s_autoscaler.daemon.trigger import Trigger
from hk3s_autoscaler.planning.plan import plan
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import FenceLost
from hk3s_hetzner.transport import Call
from hk3s_kube import clock as kube_clock
from hk3s_kube.client import Kube
from hk3s_kube.errors import NotLeader
from hk3s_kube.lease import LeaseElector

LEASE = "hk3s-autoscaler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says. `identity` names this process in the Lease."""

    config: Config
    token: str
    ssh_host_ca: str
    kubeconfig: Path | None
    binding: Binding
    identity: str
    version: str
    dry_run: bool = False

    def __repr__(self) -> str:
        """Hold back the token and the key."""
        return f"Settings({self.identity})"


class _NoElection:
    """A dry run writes nothing, so it neither waits for the Lease nor takes it."""

    leading = False

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


@asynccontextmanager
async def assemble(settings: Settings, secrets: Secrets) -> AsyncIterator[Daemon]:
    """Connect everything; what is open is closed in the end.

    Raises:
        hk3s_kube.client.ConfigurationInvalid: there is no way to the apiserver.
        ports.PortError: the apiserver did not answer the first question.
    """
    config, clock = settings.config, SystemClock()
    metrics = Metrics(settings.version, dry_run=settings.dry_run)
    kube = await connect(settings.kubeconfig)
    lost = asyncio.Event()
    election = _election(kube, settings, lost)
    may_write = _may_write(election)
    hetzner = Hetzner(
        settings.token,
        application="hk3s-autoscaler",
        endpoint=config.hetzner.endpoint,
        fence=_fence(may_write),
        observe=_observer(metrics),
        poll_interval=polling,
    )
    metrics.hetzner_ratelimit_remaining.set_function(lambda: _remaining(hetzner))
    reporter = JoinReporter(config.network.range)
    trigger = Trigger(
        clock, idle=config.loop.batch_idle_seconds, longest=config.loop.batch_max_seconds
    )
    watches = Watches(
        kube,
        cluster=config.cluster,
        clock=clock,
        chance=random.random,
        listener=trigger.notify,
    )
    try:
        cluster = (DryRunCluster if settings.dry_run else KubeCluster)(
            kube,
            watches,
            cluster=config.cluster,
            namespace=config.namespace,
            ca_hash=config.api.ca_hash,
            clock=clock,
            fence=may_write,
            random_bytes=chance.token_bytes,
        )
        await cluster.start()
        kit = make_kit(
            cloud=_cloud(settings, hetzner, reporter, cluster.cluster_uid(), clock),
            cluster=cluster,
            births=WorkerBirths(
                config,
                cluster_uid=cluster.cluster_uid(),
                ssh_host_ca=settings.ssh_host_ca,
                clock=clock,
                random_bytes=chance.token_bytes,
                choose=chance.choice,
            ),
            clock=clock,
            metrics=metrics,
            secrets=secrets,
        )
        yield Daemon(
            kit=kit,
            loop=Loop(
                kit,
                trigger,
                plan=plan,
                config=config.plan_config(),
                interval=config.loop.interval_seconds,
            ),
            trigger=trigger,
            election=election,
            may_write=(lambda: None) if settings.dry_run else _port_fence(may_write),
            lost=lost,
            watches=watches.run,
            synced=watches.wait_synced,
            binding=settings.binding,
        )
    finally:
        await reporter.close()
        await hetzner.close()
        await kube.close()


def polling(polls: int) -> float:
    """Return 1.6 s first, half as much again each time, 5 s at most.

    Hetzner's short actions have ended by then: one poll a step, which all servers of a batch share.
    A second is nothing beside a boot; the budget of 3600 calls an hour is shared by the project.
    """
    return float(min(5.0, 1.6 * 1.5 ** min(polls, 10)))


async def connect(kubeconfig: Path | None) -> Kube:
    """Connect as the kubeconfig says, else as the environment does."""
    if kubeconfig is not None:
        return await Kube.from_kubeconfig(kubeconfig)
    return await Kube.from_environment()


def _election(kube: Kube, settings: Settings, lost: asyncio.Event) -> LeaseElector | _NoElection:
    if settings.dry_run:
        return _NoElection()

    def changed(leading: bool) -> None:  # noqa: FBT001 - the elector's call
        if not leading:
            lost.set()

    return LeaseElector(
        kube,
        namespace=settings.config.namespace,
        name=LEASE,
        identity=settings.identity,
        clock=kube_clock.SystemClock(),
        chance=random.random,
        on_change=changed,
    )


def _may_write(election: LeaseElector | _NoElection) -> Callable[[], None]:
    if isinstance(election, LeaseElector):
        return election.check

    def never() -> None:
        raise NotLeader("a dry run writes nothing")

    return never


def _fence(may_write: Callable[[], None]) -> Callable[[], None]:
    """Return the check that Hetzner's transport makes in its threads before each writing call."""

    def check() -> None:
        try:
            may_write()
        except NotLeader as error:
            raise FenceLost(str(error)) from error

    return check


def _port_fence(may_write: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        try:
            may_write()
        except NotLeader as error:
            raise ports.NotLeader(str(error)) from error

    return check


def _cloud(
    settings: Settings,
    hetzner: Hetzner,
    reporter: JoinReporter,
    cluster_uid: str,
    clock: ports.Clock,
) -> HetznerCloud:
    config = settings.config
    where = CloudSettings(
        cluster=config.cluster,
        cluster_uid=cluster_uid,
        network_id=config.network.id,
        worker_subnet=config.network.worker_subnet,
        ssh_key_ids=config.ssh.key_ids,
    )
    if settings.dry_run:
        return DryRunCloud(hetzner, where, reporter, clock)
    return HetznerCloud(hetzner, where, reporter)


def _observer(metrics: Metrics) -> Callable[[Call], None]:
    def observe(call: Call) -> None:
        code = "none" if call.status is None else str(call.status)
        metrics.hetzner_requests.labels(call.method, code).inc()

    return observe


def _remaining(hetzner: Hetzner) -> float:
    """Return what is left of the request budget; before the first answer it is taken as whole."""
    remaining = hetzner.rate_limit_remaining
    return 3600.0 if remaining is None else float(remaining)
