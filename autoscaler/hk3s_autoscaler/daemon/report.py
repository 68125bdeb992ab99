"""Tells what was decided: NodePool status, Events on pods, the ConfigMap behind `explain`."""

import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime

from hk3s_autoscaler.daemon import gauges
from hk3s_autoscaler.daemon.kit import Kit
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DeleteServer,
    FinishServer,
    UncordonNode,
)
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import Plan, PoolReport
from hk3s_autoscaler.ports import Condition, Decision, ObjectRef, PoolStatus, PortError

MEMORY_KEY = "memory.json"

_WAITING = frozenset({Code.WAITING_FOR_SERVER, Code.WAITING_FOR_SCHEDULER})
_WRITE_EVERY = 2.0
_DECISIONS = 100
_PODS = 2000
"""Pods in the report: a ConfigMap holds at most 1 MiB."""

_log = logger("report")


class Reporter:
    """Writes what a turn found, when it differs from what was written last."""

    def __init__(self, kit: Kit, config: PlanConfig) -> None:
        self._kit = kit
        self._config = config
        self._decisions: deque[dict[str, str]] = deque(maxlen=_DECISIONS)
        self._last_decision: dict[str, Decision] = {}
        self._statuses: dict[str, PoolStatus] = {}
        self._entries: dict[str, str] = {}
        self._written_at = float("-inf")

    async def restore(self) -> None:
        """Take up the memory that the last process left in the ConfigMap."""
        try:
            entries = await self._kit.cluster.read_report()
        except PortError as error:
            _log.warning("report.unreadable", error=str(error))
            return
        self._kit.memory.load(entries.get(MEMORY_KEY, ""), self._kit.clock.now())

    async def report(
        self,
        snapshot: Snapshot,
        plan: Plan,
        begun: tuple[Action, ...],
        drain_blocked: Mapping[str, str],
    ) -> None:
        """Tell about one turn; a failure to write is logged and repeated by the next turn."""
        now = self._kit.clock.now()
        gauges.show(self._kit.metrics, snapshot, plan, self._config, drain_blocked, now)
        self._remember(begun, snapshot, now)
        self._tell_pods(snapshot, plan, begun)
        try:
            await self._write_statuses(snapshot, plan, now)
            await self._write_entries(snapshot, plan)
        except PortError as error:
            self._kit.metrics.loop_errors.labels(type(error).__name__).inc()
            _log.warning("report.failed", error=str(error))

    def _remember(self, begun: tuple[Action, ...], snapshot: Snapshot, now: datetime) -> None:
        pools = {node.name: node.pool for node in snapshot.nodes}
        pools |= {server.name: server.pool for server in snapshot.servers}
        for action in begun:
            told = _decision(action)
            if told is None:
                continue
            subject, reason = told
            pool = action.pool if isinstance(action, CreateServer) else pools.get(subject, "")
            text = f"{type(action).__name__} {subject}: {reason.message}"
            self._last_decision[pool] = Decision(time=now, reason=reason.code, message=text)
            self._decisions.append(
                {
                    "time": gauges.until_text(now),
                    "pool": pool,
                    "subject": subject,
                    "decision": text,
                }
            )

    def _tell_pods(self, snapshot: Snapshot, plan: Plan, begun: tuple[Action, ...]) -> None:
        pods = {pod.key: pod for pod in snapshot.pods}
        for action in begun:
            if not isinstance(action, CreateServer):
                continue
            for key in action.pods:
                self._tell(
                    pods.get(key),
                    "TriggeredScaleUp",
                    f"pool {action.pool} gets a server: {action.offering}",
                )
        for report in plan.pods:
            if report.reason.code not in _WAITING:
                self._tell(pods.get(report.pod), "NotTriggeredScaleUp", str(report.reason))

    def _tell(self, pod: Pod | None, reason: str, message: str) -> None:
        if pod is not None:
            about = ObjectRef(
                kind="Pod", name=pod.key.name, namespace=pod.key.namespace, uid=pod.uid
            )
            self._kit.events.emit(about, reason=reason, message=message)

    async def _write_statuses(self, snapshot: Snapshot, plan: Plan, now: datetime) -> None:
        reports = {report.pool: report for report in plan.pools}
        for seen in snapshot.pools:
            pool = self._kit.memory.overlay(seen, now)
            status = self._status(pool, snapshot, reports.get(pool.name))
            if status != self._statuses.get(pool.name):
                await self._kit.cluster.write_pool_status(status)
                self._statuses[pool.name] = status

    def _status(self, pool: NodePool, snapshot: Snapshot, report: PoolReport | None) -> PoolStatus:
        servers = [server for server in snapshot.servers if server.pool == pool.name]
        nodes = [node for node in snapshot.nodes if node.pool == pool.name]
        return PoolStatus(
            pool=pool,
            nodes=len(servers),
            ready=sum(node.ready for node in nodes),
            micro_eur_per_hour=sum(server.micro_eur_per_hour for server in servers),
            conditions=self._conditions(pool, () if report is None else report.blocked),
            last_decision=self._last_decision.get(pool.name),
        )

    def _conditions(self, pool: NodePool, held: tuple[Reason, ...]) -> tuple[Condition, ...]:
        pause = self._kit.memory.pause_of(pool.name)
        paused = pool.paused_until is not None
        short = next((reason for reason in held if reason.code is Code.OUT_OF_STOCK), None)
        limit = next((reason for reason in held if reason.code not in gauges.NO_LIMITS), None)
        blocked = ", ".join(str(block.key) for block in pool.blocks)
        never = next((r.message for r in held if r.code is Code.POOL_INVALID), "")
        problem = pool.problem or never
        return (
            Condition(
                type="Ready",
                status=not problem and not paused,
                reason="Invalid" if problem else "Paused" if paused else "Ready",
                message=problem,
            ),
            Condition(
                type="Paused",
                status=paused,
                reason=(pause.reason if pause else "Refusals") if paused else "NotPaused",
                message=f"until {gauges.until_text(pool.paused_until)}: "
                f"{pause.message if pause else 'see the events'}"
                if paused
                else "",
            ),
            Condition(
                type="AtLimit",
                status=limit is not None,
                reason="BelowLimits" if limit is None else limit.code,
                message="" if limit is None else limit.message,
            ),
            Condition(
                type="CapacityAvailable",
                status=short is None,
                reason="Available" if short is None else short.code,
                message=short.message if short else f"left alone: {blocked}" if blocked else "",
            ),
        )

    async def _write_entries(self, snapshot: Snapshot, plan: Plan) -> None:
        entries = {
            "pods.json": _json(
                {
                    str(report.pod): {**_reason(report.reason), "target": report.target}
                    for report in plan.pods[:_PODS]
                }
            ),
            "nodes.json": _json(
                {
                    report.node: {**_reason(report.reason), "pool": report.pool}
                    for report in plan.nodes
                }
            ),
            "pools.json": _json(
                {
                    report.pool: {
                        "servers": report.servers,
                        "ready": report.ready,
                        "eurPerHour": report.micro_eur_per_hour / 1_000_000,
                        "held": [_reason(reason) for reason in report.blocked],
                    }
                    for report in plan.pools
                }
            ),
            "decisions.json": _json(list(self._decisions)),
            MEMORY_KEY: self._kit.memory.dump(snapshot.healthy_since, self._kit.clock.now()),
        }
        now = self._kit.clock.monotonic()
        if entries == self._entries or now - self._written_at < _WRITE_EVERY:
            return
        await self._kit.cluster.write_report(entries)
        self._entries = entries
        self._written_at = now


def _decision(action: Action) -> tuple[str, Reason] | None:
    """Return what an action is about and why, for those that people want to hear of."""
    match action:
        case CreateServer():
            return str(action.offering), action.reason
        case FinishServer() | DeleteServer():
            return action.name, action.reason
        case CordonNode() | UncordonNode():
            return action.node, action.reason
        case _:
            return None


def _reason(reason: Reason) -> dict[str, str]:
    return {"code": reason.code, "message": reason.message}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
