"""Observe, plan, execute, again and again: the story of the daemon."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from hk3s_autoscaler.daemon.executor import Executor
from hk3s_autoscaler.daemon.joins import Joins
from hk3s_autoscaler.daemon.kit import Kit
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.daemon.observe import observe
from hk3s_autoscaler.daemon.quiet import LastPlan
from hk3s_autoscaler.daemon.report import Reporter
from hk3s_autoscaler.daemon.trigger import Batch, Seen, Trigger
from hk3s_autoscaler.model.node import STARTING_TAINT, Node
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import Action, CreateServer
from hk3s_autoscaler.planning.result import Plan

Planner = Callable[[Snapshot, PlanConfig, datetime], Plan]

LIST_AGE = 90.0
"""Seconds between server lists, for each call that one takes: 40 calls an hour. What we do
ourselves is known without one."""

SERVERS_A_CALL = 50
"""A page of Hetzner's API."""

DECISION_AGE = 10.0
"""How old the list may be when a plan buys a server."""

BLIND_AGE = 30.0
"""How old while a server should be asked how it is getting on and its address is not known."""

_TICK = 1.0
"""Seconds between turns while something is on its way; they cost Hetzner nothing."""

_FAREWELL = 20.0
"""Seconds that work in hand has to end after SIGTERM."""

_log = logger("loop")


class Loop:
    """Turns, each with all it needs read anew; what is kept between them is cache."""

    def __init__(
        self, kit: Kit, trigger: Trigger, *, plan: Planner, config: PlanConfig, interval: float
    ) -> None:
        self._kit = kit
        self._trigger = trigger
        self._plan = plan
        self._config = config
        self._interval = interval
        self._joins = Joins(kit)
        self._executor = Executor(kit, self._joins)
        self._reporter = Reporter(kit, config)
        self._seen: Seen = {}
        self._last: LastPlan | None = None
        self._working = True  # a new process does not know what the last one left

    async def run(self, stop: asyncio.Event) -> tuple[str, ...]:
        """Turn until `stop` is set, then let the work in hand end; return what was cut short."""
        await self._reporter.restore()
        pause = 0.0
        while not stop.is_set():
            batch = await self._trigger.wait(pause)
            if not stop.is_set():
                await self._guarded_turn(batch)
            pause = self._pause()
        cut_short = await self._executor.finish(_FAREWELL)
        await self._joins.close()
        _log.info("loop.stopped", cut_short=cut_short)
        return cut_short

    async def turn(self, batch: Batch) -> Plan:
        """Run one turn; `batch` is the news that it answers."""
        kit, begun_at = self._kit, self._kit.clock.monotonic()
        self._note(batch)
        calls = max(1, -(-len(kit.servers.servers()) // SERVERS_A_CALL))
        snapshot = await self._observe(BLIND_AGE if self._joins.blind else LIST_AGE * calls)
        plan_ = self._planned(snapshot)
        if needs_fresh_servers(plan_.actions) and kit.servers.age() > DECISION_AGE:
            snapshot = await self._observe(DECISION_AGE)
            plan_ = self._planned(snapshot)
        begun = await self._executor.execute(plan_, snapshot, self._seen)
        await self._reporter.report(snapshot, plan_, begun, self._executor.drain_blocked)
        self._settle(snapshot, begun)
        seconds = kit.clock.monotonic() - begun_at
        kit.metrics.loop_duration.observe(seconds)
        say = _log.info if begun or batch.pods else _log.debug
        say(
            "loop.done",
            pending=len(plan_.pods),
            nodes=len(snapshot.nodes),
            servers=len(snapshot.servers),
            actions=_count(begun),
            seconds=round(seconds, 3),
        )
        return plan_

    async def _observe(self, max_age: float) -> Snapshot:
        return await observe(self._kit, self._joins, max_age=max_age)

    def _planned(self, snapshot: Snapshot) -> Plan:
        last, monotonic = self._last, self._kit.clock.monotonic()
        if last is not None and last.holds(snapshot, monotonic):
            return last.plan
        plan_ = self._plan(snapshot, self._config, self._kit.clock.now())
        self._last = LastPlan(plan=plan_, snapshot=snapshot, at=monotonic)
        return plan_

    async def _guarded_turn(self, batch: Batch) -> None:
        kit, failures = self._kit, self._kit.health.failures
        try:
            await self.turn(batch)
        except Exception as error:  # noqa: BLE001 - the next turn reads everything anew
            kind = type(error).__name__
            kit.metrics.loop_errors.labels(kind).inc()
            kit.health.failed(kind)
            _log.exception("loop.failed", kind=kind, failures=kit.health.failures)
            return
        if kit.health.failures == failures:
            kit.health.succeeded()
            kit.metrics.loop_last_success.set(kit.clock.now().timestamp())

    def _pause(self) -> float:
        working = self._working or self._executor.busy
        return self._kit.health.pause(min(_TICK, self._interval) if working else self._interval)

    def _note(self, batch: Batch) -> None:
        if not batch.pods:
            return
        self._seen.update(batch.pods)
        _log.info(
            "pods.observed",
            pods=len(batch.pods),
            monotonic=min(batch.pods.values()),
            last_monotonic=max(batch.pods.values()),
            batch_closed=batch.closed_at,
        )

    def _settle(self, snapshot: Snapshot, begun: Iterable[Action]) -> None:
        served = {
            pod for action in begun if isinstance(action, CreateServer) for pod in action.pods
        }
        pending = {pod.key for pod in snapshot.pods if pod.unschedulable_since is not None}
        self._seen = {
            key: at for key, at in self._seen.items() if key in pending and key not in served
        }
        self._working = bool(
            begun
            or self._joins.waiting
            or any(node.draining_since or _is_opening(node) for node in snapshot.nodes)
            or any(server.status in {"requested", "deleting"} for server in snapshot.servers)
        )


def needs_fresh_servers(actions: Iterable[Action]) -> bool:
    """Whether an old server list could make one of the actions wrong.

    Only buying relies on the list; whatever concerns one server reads that server anew.
    """
    return any(isinstance(action, CreateServer) for action in actions)


def _is_opening(node: Node) -> bool:
    return node.opening_since is not None and any(t.key == STARTING_TAINT for t in node.taints)


def _count(actions: Iterable[Action]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for action in actions:
        name = type(action).__name__
        counts[name] = counts.get(name, 0) + 1
    return counts
