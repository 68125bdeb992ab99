"""What keeps a node that might go: small functions in order, of which the first that objects tells.

Each gets the candidate, the outlook and the code under which the node would go.
"""

from collections.abc import Callable, Iterable

from hk3s_autoscaler.planning.budgets import allowed
from hk3s_autoscaler.planning.candidates import Candidate, Outlook
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.savings import may_buy_ahead, may_leave, next_leave, paid_until

Check = Callable[[Candidate, Outlook, Code], Reason | None]


def first_objection(
    checks: Iterable[Check], candidate: Candidate, outlook: Outlook, code: Code
) -> Reason | None:
    """Return the reason of the first check that objects."""
    for check in checks:
        reason = check(candidate, outlook, code)
        if reason is not None:
            return reason
    return None


def is_seen_clearly(_: Candidate, outlook: Outlook, __: Code) -> Reason | None:
    """Both APIs have answered for long enough."""
    frozen = outlook.world.frozen_for
    return Reason(Code.FROZEN, frozen) if frozen else None


def is_allowed_by_policy(candidate: Candidate, _: Outlook, __: Code) -> Reason | None:
    """The pool lets go of such nodes at all."""
    name = candidate.pool.name
    match candidate.pool.disruption.policy:
        case "Never":
            return Reason(Code.DISRUPTION_NEVER, f"pool {name} never gives nodes back")
        case "WhenEmpty" if not candidate.is_empty:
            words = f"pool {name} gives back empty nodes only: {_pods(candidate)}"
            return Reason(Code.DISRUPTION_WHEN_EMPTY, words)
    return None


def is_free_to_go(candidate: Candidate, _: Outlook, __: Code) -> Reason | None:
    """Nobody asked to leave the node alone, or cordoned it for a purpose of their own."""
    if candidate.node.do_not_disrupt:
        return Reason(Code.DO_NOT_DISRUPT, "the node is annotated do-not-disrupt")
    if candidate.node.unschedulable:
        return Reason(Code.DO_NOT_DISRUPT, "somebody else cordoned the node")
    return None


def may_be_drained(candidate: Candidate, _: Outlook, code: Code) -> Reason | None:
    """All its pods may be moved; a limit to its drain overrules them when it has to go."""
    must_go = code in (Code.DRIFTED, Code.EXPIRED)
    if must_go and candidate.pool.termination_grace_period is not None:
        return None
    return candidate.blocker


def is_unneeded_for_long(candidate: Candidate, outlook: Outlook, _: Code) -> Reason | None:
    """It has been unneeded for the pool's `consolidateAfter`."""
    since = candidate.node.unneeded_since or outlook.world.now
    until = since + candidate.pool.disruption.consolidate_after
    if outlook.world.now < until:
        return Reason(Code.RECENTLY_BUSY, f"it is kept until {until:%H:%M:%S} UTC, in case")
    return None


def keeps_the_minimum(candidate: Candidate, outlook: Outlook, _: Code) -> Reason | None:
    """The pool keeps its minimum without it."""
    pool = candidate.pool
    if outlook.staying[pool.name] <= pool.min_nodes:
        return Reason(Code.MIN_NODES, f"pool {pool.name} keeps {pool.min_nodes} nodes")
    return None


def is_at_its_hours_end(candidate: Candidate, outlook: Outlook, _: Code) -> Reason | None:
    """The hour that is paid is nearly over, with time left to drain (Hetzner bills hours begun)."""
    now, server = outlook.world.now, candidate.server
    if not candidate.pool.disruption.keep_until_hour_end or may_leave(server, now):
        return None
    return _paid(candidate, outlook)


def is_time_to_buy(candidate: Candidate, outlook: Outlook, _: Code) -> Reason | None:
    """A server bought now is Ready when the paid hour of this one is nearly over."""
    keep = candidate.pool.disruption.keep_until_hour_end
    if not keep or may_buy_ahead(candidate.server, outlook.world.now):
        return None
    return _paid(candidate, outlook)


def respects_the_budget(candidate: Candidate, outlook: Outlook, code: Code) -> Reason | None:
    """Not too many of the pool are leaving already."""
    pool = candidate.pool
    leaving = outlook.leaving[pool.name]
    nodes = outlook.staying[pool.name] + leaving
    most = allowed(pool, code, nodes, outlook.world.now)
    if leaving >= most:
        return Reason(Code.DISRUPTION_BUDGET, f"{leaving} nodes are leaving, {most} may at once")
    return None


SCALE_DOWN_CHECKS: tuple[Check, ...] = (
    is_seen_clearly,
    is_allowed_by_policy,
    is_free_to_go,
    may_be_drained,
    is_unneeded_for_long,
    keeps_the_minimum,
    is_at_its_hours_end,
    respects_the_budget,
)
"""For nodes that nobody needs."""

REPLACED_CHECKS: tuple[Check, ...] = (
    is_seen_clearly,
    is_free_to_go,
    may_be_drained,
    keeps_the_minimum,
    is_at_its_hours_end,
    respects_the_budget,
)
"""For nodes whose pods have another place, because theirs must go."""

EXCHANGE_CHECKS: tuple[Check, ...] = (
    is_seen_clearly,
    is_allowed_by_policy,
    is_free_to_go,
    may_be_drained,
    is_unneeded_for_long,
    respects_the_budget,
)
"""Before something is bought in a node's stead to save money."""

RENEWAL_CHECKS: tuple[Check, ...] = (
    is_seen_clearly,
    is_free_to_go,
    may_be_drained,
    respects_the_budget,
    is_time_to_buy,
)
"""Before something is bought because a node is too old or has drifted."""

MOVABLE_CHECKS: tuple[Check, ...] = (is_allowed_by_policy, is_free_to_go, may_be_drained)
"""What no consolidation changes."""


def _paid(candidate: Candidate, outlook: Outlook) -> Reason:
    now, server = outlook.world.now, candidate.server
    paid, leaves = paid_until(server, now), next_leave(server, now)
    if leaves == now:
        return Reason(
            Code.HOUR_PAID, f"paid until {paid:%H:%M}, which is too soon for a new server"
        )
    return Reason(Code.HOUR_PAID, f"paid until {paid:%H:%M}, goes from {leaves:%H:%M} UTC")


def _pods(candidate: Candidate) -> str:
    return f"{len(candidate.pods)} pods need it"
