"""Repair: finish what was begun, give up on what does not join, collect what has lost its half."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.planning.actions import DeleteNode, DeleteServer, FinishServer
from hk3s_autoscaler.planning.lifecycle import Phase, never_ready
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import NodeReport
from hk3s_autoscaler.planning.world import GOING, Worker, World

PERMANENT_ERRORS = frozenset(
    {
        "bad-user-data",
        "bad-config",
        "ca-hash-mismatch",
        "token-rejected",
        "name-taken",
        "label-forbidden",
    }
)
"""Errors of docs/contract.md that no retry on the same machine will cure."""

DEFAULT_JOIN_TIMEOUT = timedelta(minutes=15)
"""For servers whose pool is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What is finished, given up and collected. `doomed` names the workers that go."""

    finishes: tuple[FinishServer, ...] = ()
    deletes: tuple[DeleteServer | DeleteNode, ...] = ()
    nodes: tuple[NodeReport, ...] = ()

    @property
    def doomed(self) -> frozenset[str]:
        """Names of workers that this plan deletes."""
        return frozenset(d.name if isinstance(d, DeleteServer) else d.node for d in self.deletes)


def plan_repair(world: World) -> Repair:
    """Plan repairs; deletions wait while the world is not seen clearly."""
    if world.config.paused:
        return Repair()
    failed = tuple(_failed(world))
    lost = _lost(world)
    orphans = _guarded(world, tuple(_orphans(world)))
    wanted = (*failed, *lost.deletes, *_vanished(world), *orphans.deletes)
    reports = (*lost.nodes, *orphans.nodes)
    if world.frozen_for:
        reason = Reason(Code.FROZEN, world.frozen_for)
        names = Repair(deletes=wanted).doomed
        reports += tuple(_report(w, reason) for w in world.workers if w.name in names)
        wanted = ()
    doomed = Repair(deletes=wanted).doomed
    return Repair(
        finishes=tuple(finish for finish in _unfinished(world) if finish.name not in doomed),
        deletes=wanted,
        nodes=reports,
    )


def join_deadline(world: World, server: Server) -> datetime:
    """When a server must have become a Ready node; the clock stands still during an outage."""
    pool = world.pools.get(server.pool)
    timeout = pool.join_timeout if pool is not None else DEFAULT_JOIN_TIMEOUT
    return max(server.created_at, world.snapshot.healthy_since or server.created_at) + timeout


def _unfinished(world: World) -> Iterator[FinishServer]:
    """Servers whose creation broke off between two of its steps."""
    for worker in world.workers:
        server = worker.server
        if server is None or worker.phase is not Phase.LAUNCHED or server.locked:
            continue
        if not server.attached and server.status in ("off", "running"):
            reason = Reason(Code.UNFINISHED_CREATE, "it was made but not attached to the network")
            yield _finish(server, reason, attach=True)
        elif server.attached and server.status == "off":
            reason = Reason(Code.UNFINISHED_CREATE, "it was attached but not powered on")
            yield _finish(server, reason, attach=False)


def _failed(world: World) -> Iterator[DeleteServer]:
    """Servers that will not join any more, or have had their time for it."""
    reports = {report.server_name: report for report in world.snapshot.join_reports}
    for worker in world.workers:
        server = worker.server
        if server is None or not _is_joining(world, worker):
            continue
        reason = _failure(world, worker, server, reports.get(server.name))
        if reason is not None:
            yield _delete(worker, server, reason)


def _is_joining(world: World, worker: Worker) -> bool:
    server = worker.server
    if server is None or server.status in ("requested", *GOING):
        return False
    if worker.node is None:
        return not _is_orphaned(world, server)
    # Somebody's pods on it prove that the node was Ready before.
    return never_ready(worker.node) and not world.occupants(worker.node.name)


def _failure(
    world: World, worker: Worker, server: Server, report: JoinReport | None
) -> Reason | None:
    said = f": {report.step}: {report.error or 'no error'} {report.message}" if report else ""
    if worker.node is None and report is not None and report.error in PERMANENT_ERRORS:
        return Reason(Code.JOIN_FAILED, f"it cannot join{said}")
    expires = server.token_expires_at
    if worker.phase is Phase.LAUNCHED and expires is not None and expires <= world.now:
        return Reason(Code.TOKEN_EXPIRED, f"its join token expired at {expires:%H:%M} UTC")
    deadline = join_deadline(world, server)
    if deadline <= world.now:
        return Reason(Code.JOIN_TIMED_OUT, f"not a Ready node by {deadline:%H:%M} UTC{said}")
    return None


def _lost(world: World) -> Repair:
    """Workers whose Node was Ready and has long not been; more than a share of a pool are spared.

    Then the fault is more likely in what they have in common than in each of them.
    """
    deletes, reports = [], []
    for pool in sorted({worker.pool for worker in world.workers}):
        own = [worker for worker in world.workers if worker.pool == pool]
        lost = [
            worker for worker in own if worker.phase is Phase.LOST and worker.server is not None
        ]
        most = max(1, -(-len(own) * world.config.max_lost_share_percent // 100))
        for worker in lost:
            node, server = worker.node, worker.server
            if node is None or server is None or server.status in GOING:
                continue
            since, until = (
                _lost_since(world, node),
                _lost_since(world, node) + world.config.lost_after,
            )
            if node.do_not_disrupt:
                words = "it does not answer, and is annotated do-not-disrupt"
                reports.append(_report(worker, Reason(Code.DO_NOT_DISRUPT, words)))
            elif len(lost) > most:
                words = (
                    f"{len(lost)} of {len(own)} nodes of pool {pool} do not answer: none is deleted"
                )
                reports.append(_report(worker, Reason(Code.TOO_MANY_LOST, words)))
            elif until <= world.now:
                words = f"it has not been Ready since {since:%H:%M} UTC"
                deletes.append(_delete(worker, server, Reason(Code.NODE_LOST, words)))
            else:
                words = f"it is not Ready; it is given up at {until:%H:%M} UTC"
                reports.append(_report(worker, Reason(Code.NODE_LOST, words)))
    return Repair(deletes=tuple(deletes), nodes=tuple(reports))


def _lost_since(world: World, node: Node) -> datetime:
    since = node.not_ready_since or node.created_at
    return max(since, world.snapshot.healthy_since or since)


def _vanished(world: World) -> Iterator[DeleteNode]:
    """Nodes that were being removed and whose server is gone: the last step of a removal."""
    for worker in world.workers:
        node = worker.node
        if node is None or worker.server is not None or node.draining_since is None:
            continue
        words = f"its server is gone ({node.draining_reason or 'drained'})"
        yield DeleteNode(node=node.name, uid=node.uid, reason=Reason(Code.SERVER_GONE, words))


def _orphans(world: World) -> Iterator[DeleteServer | DeleteNode]:
    """Servers that lost their Node, and Nodes that lost their server, for longer than the grace."""
    nodeless_since = dict(world.snapshot.nodeless_since)
    for worker in world.workers:
        server, node = worker.server, worker.node
        if server is not None and node is None:
            known = server.status not in ("requested", *GOING) and _is_orphaned(world, server)
            since = nodeless_since.get(server.name)
            if since is not None and world.now < since + world.config.orphan_grace:
                continue
            if known and join_deadline(world, server) <= world.now:
                words = "it has no Node, long after the time to join"
                yield _delete(worker, server, Reason(Code.ORPHANED_SERVER, words))
        elif node is not None and server is None and _has_no_machine(world, node):
            words = "no server belongs to it and it does not answer"
            yield DeleteNode(node=node.name, uid=node.uid, reason=Reason(Code.ORPHANED_NODE, words))


def _is_orphaned(world: World, server: Server) -> bool:
    """Whether a server without a Node is too old to be one that is failing to join.

    The daemon gives those up at their deadline; one much older has joined, and lost its Node. Age
    alone decides: an outage must not turn workers whose Nodes are not seen into failed joins.
    """
    pool = world.pools.get(server.pool)
    timeout = pool.join_timeout if pool is not None else DEFAULT_JOIN_TIMEOUT
    spare = max(timeout, world.config.orphan_grace)
    return server.created_at + timeout + spare <= world.now


def _has_no_machine(world: World, node: Node) -> bool:
    """A Node that is Ready has a machine, whatever the list of servers says."""
    if node.ready or node.draining_since is not None:
        return False
    since = max(node.not_ready_since or node.created_at, node.created_at)
    grace_over = since + world.config.orphan_grace <= world.now
    return grace_over and since < world.snapshot.servers_read_at


def _guarded(world: World, orphans: tuple[DeleteServer | DeleteNode, ...]) -> Repair:
    """Collect orphans only when they look like exceptions: else the lists are to be doubted."""
    doomed = Repair(deletes=orphans).doomed
    if not doomed:
        return Repair()
    share = world.config.max_orphan_share_percent
    most = max(1, len(world.workers) * share // 100)
    known = any(w.node is not None and w.server is not None for w in world.workers)
    blind = not known and any(isinstance(orphan, DeleteServer) for orphan in orphans)
    if not blind and len(doomed) <= most:
        return Repair(deletes=orphans)
    words = (
        "no Node of any pool is known: no orphan is deleted"
        if blind
        else f"{len(doomed)} of {len(world.workers)} workers look orphaned, more than {share} %"
    )
    reason = Reason(Code.TOO_MANY_ORPHANS, words)
    return Repair(nodes=tuple(_report(w, reason) for w in world.workers if w.name in doomed))


def _finish(server: Server, reason: Reason, *, attach: bool) -> FinishServer:
    return FinishServer(
        server_id=server.server_id,
        name=server.name,
        step="attach" if attach else "power-on",
        reason=reason,
    )


def _delete(worker: Worker, server: Server, reason: Reason) -> DeleteServer:
    return DeleteServer(
        server_id=server.server_id,
        name=server.name,
        pool=server.pool,
        node=worker.node.name if worker.node is not None else "",
        reason=reason,
    )


def _report(worker: Worker, reason: Reason) -> NodeReport:
    return NodeReport(node=worker.name, pool=worker.pool, reason=reason)
