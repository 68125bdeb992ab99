"""A whole daemon on fakes, with a planner that a test scripts."""

from collections.abc import Callable
from datetime import datetime

from autoscaler import fakes
from autoscaler.fake_cloud import FakeBirths, FakeCloud
from autoscaler.fake_cluster import FakeCluster
from hk3s_autoscaler.daemon.kit import Kit, make_kit
from hk3s_autoscaler.daemon.log import Secrets
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.daemon.trigger import Batch, Trigger
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import Action, CreateServer
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import Plan

Script = Callable[[Snapshot, datetime], tuple[Action, ...]]


class World:
    """Fakes, and the daemon on them. `restart` is a new process in the same world."""

    def __init__(self, *offerings: Offering) -> None:
        self.clock = fakes.ManualClock()
        self.cloud = FakeCloud(self.clock, *offerings)
        self.cluster = FakeCluster(self.clock)
        self.cluster.add(fakes.pool())
        self.births = FakeBirths()
        self.script: Script = lambda _snapshot, _now: ()
        self.snapshots: list[Snapshot] = []
        self.kit: Kit
        self.loop: Loop
        self.trigger: Trigger
        self.restart()

    def restart(self) -> None:
        self.kit = make_kit(
            cloud=self.cloud,
            cluster=self.cluster,
            births=self.births,
            clock=self.clock,
            metrics=Metrics("test"),
            secrets=Secrets(),
        )
        self.trigger = Trigger(self.clock, idle=0.3, longest=2.0)
        self.loop = Loop(self.kit, self.trigger, plan=self.plan, config=PlanConfig(), interval=10.0)

    def plan(self, snapshot: Snapshot, _config: PlanConfig, now: datetime) -> Plan:
        self.snapshots.append(snapshot)
        return Plan(actions=self.script(snapshot, now))

    def do(self, *actions: Action) -> None:
        """Plan these actions whatever the world looks like."""
        self.script = lambda _snapshot, _now: actions

    async def turn(self, **seen: float) -> None:
        """Run one turn and all that it begins."""
        pods = {PodKey("default", name): at for name, at in seen.items()}
        await self.loop.turn(Batch(closed_at=self.clock.monotonic(), pods=pods))
        await fakes.settle()
        await self.kit.events.flush()

    def metric(self, name: str, **labels: str) -> float:
        value = self.kit.metrics.registry.get_sample_value(f"hk3s_autoscaler_{name}", labels)
        return 0.0 if value is None else value


def create(
    offering: str = "cx23/fsn1", *fallbacks: str, pods: tuple[str, ...] = ()
) -> CreateServer:
    return CreateServer(
        pool="workers",
        offering=fakes.key(offering),
        fallbacks=tuple(fakes.key(name) for name in fallbacks),
        micro_eur_per_hour=6000,
        pods=tuple(PodKey("default", name) for name in pods),
        reason=Reason(Code.PENDING_PODS, f"{len(pods)} pods wait"),
    )


def one_server_a_pending_pod(snapshot: Snapshot, _now: datetime) -> tuple[Action, ...]:
    """Buy for each pending pod beyond the servers that are not nodes yet."""
    pending = [pod for pod in snapshot.pods if pod.unschedulable_since is not None]
    ready = {node.name for node in snapshot.nodes}
    coming = sum(1 for server in snapshot.servers if server.name not in ready)
    return tuple(create(pods=(pod.key.name,)) for pod in pending[coming:])
