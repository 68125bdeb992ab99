"""Carries out what was planned. Decides nothing, except not to harm what has changed meanwhile."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import assert_never

from hk3s_autoscaler.daemon import creation, removal
from hk3s_autoscaler.daemon.background import Background
from hk3s_autoscaler.daemon.creation import Order
from hk3s_autoscaler.daemon.joins import Joins
from hk3s_autoscaler.daemon.kit import Kit, node_ref
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DeleteNode,
    DeleteServer,
    DrainNode,
    FinishServer,
    InvitePods,
    MarkReplacing,
    MarkUnneeded,
    OpenNode,
    UncordonNode,
)
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.ports import Changed, NotLeader, PortError, Rejected

OnMachine = (
    FinishServer
    | InvitePods
    | OpenNode
    | MarkUnneeded
    | MarkReplacing
    | CordonNode
    | UncordonNode
    | DrainNode
    | DeleteServer
    | DeleteNode
)
"""Actions on a node or server that exists."""

_FIRST_HOLD = 2.0
_LONGEST_HOLD = 300.0

_log = logger("executor")


class Executor:
    """Actions to calls on the ports: one piece of work a node or server at a time."""

    def __init__(self, kit: Kit, joins: Joins) -> None:
        self._kit = kit
        self._joins = joins
        self._background = Background()
        self._failures: dict[str, int] = {}
        self._held_until: dict[str, float] = {}
        self.drain_blocked: dict[str, str] = {}
        """What stands in the way of nodes that are being drained."""

    @property
    def busy(self) -> bool:
        """Whether work is under way."""
        return len(self._background) > 0

    async def execute(
        self, plan: Plan, snapshot: Snapshot, seen: Mapping[PodKey, float]
    ) -> tuple[Action, ...]:
        """Begin each action that is not under way already; return those that were begun.

        Creates and deletes run on beside the loop, all at once; calls that end in a moment are
        awaited, so that the next turn sees what they did. `seen` has the monotonic time of the
        watch event of pods that are new.
        """
        begun = []
        awaited = []
        in_doubt = {
            action.pool
            for action in plan.actions
            if isinstance(action, DeleteServer) and action.reason.code in removal.NEVER_JOINED
        }
        for action in plan.actions:
            if isinstance(action, CreateServer):
                if action.pool in in_doubt:
                    continue  # what these failures mean for the pool, the next turn knows
                order = self._order(action, snapshot, seen)
                if order is None:
                    continue
                # Noted before the first await: no later turn may count this server as missing.
                self._kit.servers.request(order.requested(action.offering))
                self._kit.memory.expect(order.name, action.pods)
                self._start(order.name, creation.create(self._kit, order))
            elif self._is_free(_subject(action)):
                task = self._start(_subject(action), self._work(action, snapshot))
                if not isinstance(action, FinishServer | DeleteServer):
                    awaited.append(task)
            else:
                continue
            begun.append(action)
        if awaited:
            await asyncio.gather(*awaited)
        return tuple(begun)

    def _order(
        self, action: CreateServer, snapshot: Snapshot, seen: Mapping[PodKey, float]
    ) -> Order | None:
        pool = {pool.name: pool for pool in snapshot.pools}[action.pool]
        wanted = {action.offering, *action.fallbacks}
        try:
            name = self._kit.births.new_name(pool.name)
        except Rejected as error:
            creation.refuse_pool(self._kit, pool, error)
            return None
        return Order(
            action=action,
            name=name,
            pool=pool,
            offerings={o.key: o for o in snapshot.offerings if o.key in wanted},
            placed_at=self._kit.clock.now(),
            cluster_uid=snapshot.cluster_uid,
            first_seen=min((seen[pod] for pod in action.pods if pod in seen), default=None),
        )

    async def finish(self, seconds: float) -> tuple[str, ...]:
        """Let the work in hand end; return what was cut short (a later process carries on)."""
        return await self._background.finish(seconds)

    def _is_free(self, subject: str) -> bool:
        under_way = self._background.is_running(subject)
        held = self._kit.clock.monotonic() < self._held_until.get(subject, float("-inf"))
        return not under_way and not held and not self._kit.servers.is_under_way(subject)

    def _start(self, subject: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._background.start(subject, self._guarded(subject, work))

    async def _guarded(self, subject: str, work: Coroutine[None, None, None]) -> None:
        """Turn errors into log lines, metrics and a growing pause for this subject only."""
        try:
            await work
        except Changed as error:
            _log.info("action.skipped", subject=subject, why=str(error))
        except NotLeader as error:
            self._failed(subject, "NotLeader")
            _log.warning("action.refused", subject=subject, error=str(error))
        except PortError as error:
            self._failed(subject, type(error).__name__)
            _log.warning(
                "action.failed", subject=subject, kind=type(error).__name__, error=str(error)
            )
        except Exception as error:  # noqa: BLE001 - a defect must not end the other work
            self._failed(subject, type(error).__name__)
            self._kit.health.failed(type(error).__name__)
            _log.exception("action.crashed", subject=subject)
        else:
            self._failures.pop(subject, None)
            self._held_until.pop(subject, None)

    def _failed(self, subject: str, kind: str) -> None:
        failures = self._failures[subject] = self._failures.get(subject, 0) + 1
        hold = min(_LONGEST_HOLD, _FIRST_HOLD * 2 ** min(failures - 1, 10))
        self._held_until[subject] = self._kit.clock.monotonic() + hold
        self._kit.metrics.loop_errors.labels(kind).inc()

    async def _work(self, action: OnMachine, snapshot: Snapshot) -> None:
        kit = self._kit
        match action:
            case FinishServer():
                await creation.finish(kit, action)
            case InvitePods() | OpenNode():
                await self._open(action, snapshot)
            case MarkUnneeded():
                await kit.cluster.mark_unneeded(action.node, action.since)
            case MarkReplacing():
                await kit.cluster.mark_replacing(action.node, action.since, action.why or "")
            case CordonNode():
                await self._cordon(action, snapshot)
            case UncordonNode():
                await kit.cluster.uncordon(action.node)
                self._tell(action.node, "ScaleDownCancelled", action.reason.message, snapshot)
                _log.info("node.uncordoned", node=action.node, reason=action.reason.code)
            case DrainNode():
                await self._drain(action)
            case DeleteServer():
                await removal.delete_server(
                    kit,
                    action,
                    joining=self._joins.report_of(action.name),
                    pool=next((p for p in snapshot.pools if p.name == action.pool), None),
                )
            case DeleteNode():
                await removal.delete_node(kit, action)
            case _:
                assert_never(action)

    async def _open(self, action: InvitePods | OpenNode, snapshot: Snapshot) -> None:
        if isinstance(action, OpenNode):
            await self._kit.cluster.open_node(action.node)
            _log.info("node.opened", node=action.node, why=action.reason.message)
            return
        wanted, now = frozenset(action.pods), self._kit.clock.now()
        pods = tuple(pod for pod in snapshot.pods if pod.key in wanted)
        invited = await self._kit.cluster.invite_pods(action.node, pods, now)
        _log.info("node.opening", node=action.node, counted=len(wanted), invited=invited)

    async def _cordon(self, action: CordonNode, snapshot: Snapshot) -> None:
        await self._kit.cluster.cordon(action.node, action.reason.code, self._kit.clock.now())
        _log.info(
            "node.draining",
            node=action.node,
            reason=action.reason.code,
            message=action.reason.message,
        )
        self._tell(action.node, "ScaleDown", action.reason.message, snapshot)

    async def _drain(self, action: DrainNode) -> None:
        blocked = await removal.drain(self._kit, action)
        if blocked:
            self.drain_blocked[action.node] = blocked
        else:
            self.drain_blocked.pop(action.node, None)

    def _tell(self, name: str, reason: str, message: str, snapshot: Snapshot) -> None:
        for node in snapshot.nodes:
            if node.name == name:
                self._kit.events.emit(node_ref(node), reason=reason, message=message)


def _subject(action: OnMachine) -> str:
    """Return what an action is about: node and server of one machine share their name."""
    match action:
        case FinishServer() | DeleteServer():
            return action.name
        case (
            InvitePods()
            | OpenNode()
            | MarkUnneeded()
            | MarkReplacing()
            | CordonNode()
            | UncordonNode()
            | DrainNode()
            | DeleteNode()
        ):
            return action.node
        case _:
            assert_never(action)
