"""Giving back: nodes are marked, replaced if need be, cordoned, drained and deleted, step by step.

Each step follows from the snapshot alone, so a restart continues where the last loop stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.actions import CordonNode, CreateServer, MarkReplacing, MarkUnneeded
from hk3s_autoscaler.planning.candidates import Candidate, Outlook, candidates, outlook
from hk3s_autoscaler.planning.capacity import arriving
from hk3s_autoscaler.planning.checks import (
    EXCHANGE_CHECKS,
    MOVABLE_CHECKS,
    RENEWAL_CHECKS,
    REPLACED_CHECKS,
    SCALE_DOWN_CHECKS,
    Check,
    first_objection,
    is_time_to_buy,
)
from hk3s_autoscaler.planning.consolidation import Consolidation, consolidate
from hk3s_autoscaler.planning.drift import aged
from hk3s_autoscaler.planning.exchange import Exchange, stand_in
from hk3s_autoscaler.planning.lifecycle import Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.rehearsal import rehearse
from hk3s_autoscaler.planning.removal import RemovalStep, removals
from hk3s_autoscaler.planning.replacement import (
    being_replaced,
    hold_up,
    outdated,
    ready_to_go,
    stands_in,
    take_back,
    why,
)
from hk3s_autoscaler.planning.result import NodeReport
from hk3s_autoscaler.planning.scale_up import Growth
from hk3s_autoscaler.planning.world import Worker, World

_Step = MarkUnneeded | MarkReplacing | CordonNode | CreateServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrink:
    """The next step of each node that goes, and why the others stay."""

    steps: tuple[_Step | RemovalStep, ...] = ()
    nodes: tuple[NodeReport, ...] = ()


def plan_scale_down(world: World, growth: Growth, *, doomed: frozenset[str]) -> Shrink:
    """Take the next step towards fewer and cheaper nodes; what growth counts on is left alone."""
    if world.config.paused:
        return Shrink()
    begun = list(removals(world, growth.taken_back, doomed))
    turn = _Turn(world, growth, outlook(world, growth.used, growth.taken_back, doomed))
    for worker, step, reason in begun:
        if step is not None:
            turn.steps.append(step)
        turn.reports.append(NodeReport(node=worker.name, pool=worker.pool, reason=reason))
    turn.run(candidates(world, doomed))
    return Shrink(
        steps=tuple(turn.steps), nodes=tuple(sorted(turn.reports, key=lambda report: report.node))
    )


class _Turn:
    """One loop's decisions about the nodes in service, those first that cannot wait."""

    def __init__(self, world: World, growth: Growth, view: Outlook) -> None:
        self._world = world
        self._view = view
        # While pods come, wait or move, or servers come or are lost, the picture is changing.
        self._restless = (
            bool(growth.creates or growth.pods or arriving(world))
            or any(w.phase is Phase.LOST or _is_moving(world, w) for w in world.workers)
            or any(_is_arriving(world, pod) for pod in world.snapshot.pods)
        )
        self.steps: list[_Step | RemovalStep] = []
        self.reports: list[NodeReport] = []

    def run(self, found: Sequence[Candidate]) -> None:
        """Judge every candidate once."""
        replaced = being_replaced(found)
        taking = self._go_on_replacing(replaced)
        rest = [c for c in found if c not in replaced]
        for candidate in rest:
            if candidate.name in self._view.used:
                reason = Reason(Code.NEEDED_BY_PENDING, "pending pods are expected here")
                self._keep(candidate, reason)
            elif stands_in(candidate, replaced) or candidate.name in taking:
                self._keep(candidate, Reason(Code.STANDS_IN, "it takes over from another node"))
        rest = self._left(rest)
        settled = not (self._restless or replaced)
        for candidate in rest:
            old = aged(candidate, self._world)
            if old is not None and not (candidate.is_empty and self._lets_go(candidate)):
                settled = not self._renew(candidate, old, settled=settled) and settled
        self._consolidate(self._left(rest), settled=settled)

    def _left(self, found: Sequence[Candidate]) -> list[Candidate]:
        told = {report.node for report in self.reports}
        return [c for c in found if c.name not in told]

    def _go_on_replacing(self, replaced: Sequence[Candidate]) -> frozenset[str]:
        """Cordon those whose pods have another place now; return the nodes that take them in."""
        wanted = []
        for candidate in replaced:
            gone = outdated(self._world, candidate)
            if gone is not None:
                step, reason = take_back(candidate, gone)
                self._add(candidate, step, reason)
            elif candidate.name in self._view.used:
                words = "pending pods are expected here"
                self._tell(candidate, Reason(Code.NEEDED_BY_PENDING, words))
            else:
                wanted.append(candidate)
        ready, targets = ready_to_go(self._world, wanted)
        for candidate in wanted:
            if candidate in ready:
                code = why(candidate)
                self._leave(candidate, REPLACED_CHECKS, code, "its pods have another place")
            else:
                held, reason = hold_up(self._world, candidate)
                self._add(candidate, held, reason)
        return targets

    def _lets_go(self, candidate: Candidate) -> bool:
        """Whether an empty node may simply go, without anything in its stead."""
        pool = candidate.pool
        return pool.disruption.policy != "Never" and (
            self._view.staying[pool.name] > pool.min_nodes
        )

    def _renew(self, candidate: Candidate, reason: Reason, *, settled: bool) -> bool:
        """Replace a node that is too old or has drifted; tell whether a step was taken."""
        code = reason.code
        if code is Code.DRIFTED and candidate.pool.disruption.policy == "Never":
            return False
        blocker = first_objection(RENEWAL_CHECKS[:3], candidate, self._view, code)
        if blocker is None and not settled:
            blocker = Reason(code, f"{reason.message}; its turn comes when no change is under way")
        if blocker is not None:
            self._keep(candidate, blocker)
            return False
        outcome = rehearse(self._world, [candidate])
        if outcome.fits:
            return self._leave(candidate, REPLACED_CHECKS, code, reason.message)
        if outcome.unserved is not None:
            self._keep(candidate, outcome.unserved)
            return False
        blocker = first_objection(RENEWAL_CHECKS, candidate, self._view, code)
        if blocker is not None:
            self._keep(candidate, blocker)
            return False
        creates = [stand_in(create, [candidate]) for create in outcome.creates]
        self._buy_for([candidate], creates, reason)
        return True

    def _consolidate(self, rest: Sequence[Candidate], *, settled: bool) -> None:
        movable = [
            c
            for c in rest
            if first_objection(MOVABLE_CHECKS, c, self._view, Code.UNDERUTILIZED) is None
            and (settled or c.is_empty)
        ]
        found = consolidate(self._world, movable, self._view, may_buy=settled)
        for candidate in rest:
            if candidate.is_empty:
                self._judge_empty(candidate, found)
            elif candidate in found.spare:
                words = f"its {len(candidate.pods)} pods fit on other nodes"
                self._unneeded(candidate, Code.UNDERUTILIZED, words)
            elif found.exchange is None or candidate not in found.exchange.removed:
                self._judge_used(candidate, found, settled=settled)
        if found.exchange is not None:
            self._judge_exchange(found.exchange)

    def _judge_empty(self, candidate: Candidate, found: Consolidation) -> None:
        if candidate.name in found.targets and candidate not in found.spare:
            reason = Reason(Code.STANDS_IN, "pods of nodes that can go have their place here")
            self._keep(candidate, reason)
        else:
            self._unneeded(candidate, Code.EMPTY, "no pod needs it")

    def _judge_used(self, candidate: Candidate, found: Consolidation, *, settled: bool) -> None:
        blocker = first_objection(MOVABLE_CHECKS, candidate, self._view, Code.UNDERUTILIZED)
        if blocker is not None:
            self._keep(candidate, blocker)
        elif settled:
            first = ", ".join(str(pod.key) for pod in candidate.pods[:3])
            used = Reason(Code.IN_USE, f"{len(candidate.pods)} pods need it: {first}")
            self._keep(candidate, dict(found.kept).get(candidate.name, used))
        else:
            # A mark stays as it is while the picture changes: nothing is learnt now.
            words = (
                f"{len(candidate.pods)} pods need it; it is looked at when no change is under way"
            )
            self._tell(candidate, Reason(Code.IN_USE, words))

    def _judge_exchange(self, exchange: Exchange) -> None:
        """Buy once every node of the exchange may go and one of them has its time."""
        saving = f"{exchange.saving / 1_000_000:.2f} EUR a month"
        bought = ", ".join(str(create.offering) for create in exchange.creates)
        reason = Reason(Code.UNDERUTILIZED, f"{bought} would do its work and save {saving}")
        unmarked = [c for c in exchange.removed if c.node.unneeded_since is None]
        for candidate in unmarked:
            mark = MarkUnneeded(node=candidate.name, since=self._world.now, reason=reason)
            self._add(candidate, mark, reason)
        if unmarked:
            for candidate in self._left(exchange.removed):
                self._tell(candidate, reason)
            return
        code = Code.UNDERUTILIZED
        for candidate in exchange.removed:
            blocker = first_objection(EXCHANGE_CHECKS, candidate, self._view, code)
            if blocker is not None:
                for each in exchange.removed:
                    self._tell(each, blocker)
                return
        waits = [is_time_to_buy(c, self._view, code) for c in exchange.removed]
        if None in waits:
            self._buy_for(exchange.removed, exchange.creates, reason)
            return
        for candidate, wait in zip(exchange.removed, waits, strict=True):
            self._tell(candidate, wait or reason)

    def _buy_for(
        self, removed: Sequence[Candidate], creates: Sequence[CreateServer], reason: Reason
    ) -> None:
        """Note on the nodes that they are being replaced, then buy: a crash in between is found."""
        for candidate in removed:
            mark = MarkReplacing(
                node=candidate.name, since=self._world.now, why=reason.code, reason=reason
            )
            self._add(candidate, mark, reason)
        self.steps += creates

    def _unneeded(self, candidate: Candidate, code: Code, words: str) -> None:
        """Mark, wait, and let go at the right time."""
        since = candidate.node.unneeded_since
        if since is None:
            reason = Reason(code, words)
            mark = MarkUnneeded(node=candidate.name, since=self._world.now, reason=reason)
            self._add(candidate, mark, reason)
        else:
            told = f"{words}, since {since:%H:%M:%S} UTC"
            self._leave(candidate, SCALE_DOWN_CHECKS, code, told)

    def _leave(self, candidate: Candidate, checks: Sequence[Check], code: Code, words: str) -> bool:
        """Cordon a node unless a check objects; tell whether it was."""
        blocker = first_objection(checks, candidate, self._view, code)
        if blocker is not None:
            self._tell(candidate, blocker)
            return False
        reason = Reason(code, words)
        self._add(candidate, CordonNode(node=candidate.name, reason=reason), reason)
        self._view = self._view.without(candidate)
        return True

    def _keep(self, candidate: Candidate, reason: Reason) -> None:
        """Say why a node stays, and take its mark away if it has one."""
        step = None
        if candidate.node.unneeded_since is not None:
            words = Reason(Code.NO_LONGER_UNNEEDED, reason.message)
            step = MarkUnneeded(node=candidate.name, since=None, reason=words)
        self._add(candidate, step, reason)

    def _tell(self, candidate: Candidate, reason: Reason) -> None:
        self._add(candidate, None, reason)

    def _add(self, candidate: Candidate, step: _Step | None, reason: Reason) -> None:
        if step is not None:
            self.steps.append(step)
        self.reports.append(
            NodeReport(node=candidate.name, pool=candidate.pool.name, reason=reason)
        )


def _is_arriving(world: World, pod: Pod) -> bool:
    """Whether kube-scheduler has yet to look at a pod; one that is older waits for somebody else.

    The room that it goes to looks as if nobody needed it.
    """
    judged = pod.node or pod.nominated_node or pod.unschedulable_since is not None
    return not (judged or pod.gated or pod.deleted_at is not None or world.is_expendable(pod)) and (
        world.now < pod.created_at + world.config.unfit_after
    )


def _is_moving(world: World, worker: Worker) -> bool:
    """Whether a node is being drained and still has pods."""
    return worker.phase is Phase.DRAINING and bool(world.occupants(worker.name))
