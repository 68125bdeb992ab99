"""Giving back: empty nodes are marked, cordoned, emptied of leftovers and deleted, one step a loop.

Each step follows from the snapshot alone, so a restart continues where the last loop stopped.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.actions import CordonNode, MarkUnneeded
from hk3s_autoscaler.planning.budgets import allowed
from hk3s_autoscaler.planning.lifecycle import ON_THE_WAY, Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.removal import RemovalStep, removals
from hk3s_autoscaler.planning.result import NodeReport
from hk3s_autoscaler.planning.scale_up import Growth
from hk3s_autoscaler.planning.world import GOING, World

HOUR = timedelta(hours=1)
LEAVE_FROM = timedelta(minutes=50)
LEAVE_UNTIL = timedelta(minutes=57)
"""A paid hour is used up to minute 50; a drain begun after minute 57 would run into the next."""

_Step = MarkUnneeded | CordonNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A worker that is Ready and might be given back."""

    pool: NodePool
    server: Server
    node: Node
    pods: tuple[Pod, ...]


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the checks look at: the world, what growth counts on, and who is leaving already."""

    world: World
    used: frozenset[str]
    staying: Counter[str]
    leaving: Counter[str]

    def without(self, candidate: Candidate) -> "Outlook":
        """The outlook once a candidate leaves as well."""
        pool = candidate.pool.name
        return replace(
            self,
            staying=self.staying - Counter([pool]),
            leaving=self.leaving + Counter([pool]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrink:
    """The next step of each node that goes, and why the others stay."""

    steps: tuple[_Step | RemovalStep, ...] = ()
    nodes: tuple[NodeReport, ...] = ()


Check = Callable[[Candidate, Outlook], Reason | None]


def plan_scale_down(world: World, growth: Growth, *, doomed: frozenset[str]) -> Shrink:
    """Take the next step towards fewer nodes; what growth counts on is left alone."""
    if world.config.paused:
        return Shrink()
    begun = [
        (step, NodeReport(node=worker.name, pool=worker.pool, reason=reason))
        for worker, step, reason in removals(world, growth.taken_back, doomed)
    ]
    outlook = _outlook(world, growth, doomed)
    steps: list[_Step | RemovalStep] = [step for step, _ in begun if step is not None]
    reports = [report for _, report in begun]
    for candidate in _candidates(world, doomed):
        step, reason = _judge(candidate, outlook)
        if isinstance(step, CordonNode):
            outlook = outlook.without(candidate)
        if step is not None:
            steps.append(step)
        reports.append(
            NodeReport(node=candidate.node.name, pool=candidate.pool.name, reason=reason)
        )
    return Shrink(steps=tuple(steps), nodes=tuple(sorted(reports, key=lambda report: report.node)))


def _judge(candidate: Candidate, outlook: Outlook) -> tuple[_Step | None, Reason]:
    node = candidate.node
    use = is_unused(candidate, outlook)
    if use is not None:
        if node.unneeded_since is None:
            return None, use
        reason = Reason(Code.NO_LONGER_UNNEEDED, use.message)
        return MarkUnneeded(node=node.name, since=None, reason=reason), use
    if node.unneeded_since is None:
        empty = Reason(Code.EMPTY, "no pod needs it")
        return MarkUnneeded(node=node.name, since=outlook.world.now, reason=empty), empty
    for check in SCALE_DOWN_CHECKS:
        blocker = check(candidate, outlook)
        if blocker is not None:
            return None, blocker
    words = f"no pod has needed it since {node.unneeded_since:%H:%M:%S} UTC"
    empty = Reason(Code.EMPTY, words)
    return CordonNode(node=node.name, reason=empty), empty


def is_unused(candidate: Candidate, outlook: Outlook) -> Reason | None:
    """Nobody's pod runs there, and none that is pending is expected there."""
    if candidate.node.name in outlook.used:
        return Reason(Code.NEEDED_BY_PENDING, "pending pods are expected here")
    if candidate.pods:
        first = ", ".join(str(pod.key) for pod in candidate.pods[:3])
        return Reason(Code.IN_USE, f"{len(candidate.pods)} pods need it: {first}")
    return None


def is_seen_clearly(_: Candidate, outlook: Outlook) -> Reason | None:
    """Both APIs have answered for long enough."""
    frozen = outlook.world.frozen_for
    return Reason(Code.FROZEN, frozen) if frozen else None


def is_allowed_by_policy(candidate: Candidate, _: Outlook) -> Reason | None:
    """The pool lets go of nodes at all."""
    if candidate.pool.disruption.policy == "Never":
        return Reason(Code.DISRUPTION_NEVER, f"pool {candidate.pool.name} never gives nodes back")
    return None


def is_free_to_go(candidate: Candidate, _: Outlook) -> Reason | None:
    """Nobody asked to leave the node alone, or cordoned it for a purpose of their own."""
    if candidate.node.do_not_disrupt:
        return Reason(Code.DO_NOT_DISRUPT, "the node is annotated do-not-disrupt")
    if candidate.node.unschedulable:
        return Reason(Code.DO_NOT_DISRUPT, "somebody else cordoned the node")
    return None


def is_unneeded_for_long(candidate: Candidate, outlook: Outlook) -> Reason | None:
    """It has been unneeded for the pool's `consolidateAfter`."""
    since = candidate.node.unneeded_since or outlook.world.now
    until = since + candidate.pool.disruption.consolidate_after
    if outlook.world.now < until:
        return Reason(Code.RECENTLY_BUSY, f"it is kept until {until:%H:%M:%S} UTC, in case")
    return None


def keeps_the_minimum(candidate: Candidate, outlook: Outlook) -> Reason | None:
    """The pool keeps its minimum without it."""
    pool = candidate.pool
    if outlook.staying[pool.name] <= pool.min_nodes:
        return Reason(Code.MIN_NODES, f"pool {pool.name} keeps {pool.min_nodes} nodes")
    return None


def is_at_its_hours_end(candidate: Candidate, outlook: Outlook) -> Reason | None:
    """The hour that is paid is nearly over, with time left to drain (Hetzner bills hours begun)."""
    if not candidate.pool.disruption.keep_until_hour_end:
        return None
    now, created = outlook.world.now, candidate.server.created_at
    into = (now - created) % HOUR
    if LEAVE_FROM <= into < LEAVE_UNTIL:
        return None
    paid, leaves = _hour_end(now, into), _hour_end(now, into) - HOUR + LEAVE_FROM
    if leaves <= now:
        leaves += HOUR
    return Reason(Code.HOUR_PAID, f"paid until {paid:%H:%M}, goes from {leaves:%H:%M} UTC")


def respects_the_budget(candidate: Candidate, outlook: Outlook) -> Reason | None:
    """Not too many of the pool are leaving already."""
    pool = candidate.pool.name
    leaving = outlook.leaving[pool]
    nodes = outlook.staying[pool] + leaving
    most = allowed(candidate.pool, Code.EMPTY, nodes, outlook.world.now)
    if leaving >= most:
        return Reason(Code.DISRUPTION_BUDGET, f"{leaving} nodes are leaving, {most} may at once")
    return None


SCALE_DOWN_CHECKS: tuple[Check, ...] = (
    is_seen_clearly,
    is_allowed_by_policy,
    is_free_to_go,
    is_unneeded_for_long,
    keeps_the_minimum,
    is_at_its_hours_end,
    respects_the_budget,
)
"""What keeps a node that is unused and marked so; the first that objects is reported."""


def _hour_end(now: datetime, into: timedelta) -> datetime:
    return now - into + HOUR


def _candidates(world: World, doomed: frozenset[str]) -> list[Candidate]:
    """Workers in service, those first that would be given back first: dearest, longest unneeded."""
    found = []
    for worker in world.workers:
        pool, server, node = world.pools.get(worker.pool), worker.server, worker.node
        if pool is None or server is None or node is None or worker.name in doomed:
            continue
        if worker.phase in (Phase.READY, Phase.UNNEEDED) and server.status not in GOING:
            pods = world.occupants(node.name)
            found.append(Candidate(pool=pool, server=server, node=node, pods=pods))
    return sorted(
        found,
        key=lambda c: (
            -c.server.micro_eur_per_hour,
            c.node.unneeded_since or world.now,
            c.node.name,
        ),
    )


def _outlook(world: World, growth: Growth, doomed: frozenset[str]) -> Outlook:
    coming_back = growth.taken_back
    staying = Counter(
        worker.pool
        for worker in world.workers
        if worker.server is not None
        and worker.name not in doomed
        and worker.server.status not in GOING
        and (worker.phase is not Phase.DRAINING or worker.name in coming_back)
        # A server on its way may still fail to join: it does not stand in for one that works.
        and worker.phase not in (*ON_THE_WAY, Phase.LOST)
    )
    leaving = Counter(
        worker.pool
        for worker in world.workers
        if worker.phase is Phase.DRAINING and worker.name not in coming_back
    )
    return Outlook(world=world, used=growth.used, staying=staying, leaving=leaving)
