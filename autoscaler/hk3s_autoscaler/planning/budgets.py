"""How many nodes of a pool may be leaving at once."""

from datetime import datetime

from hk3s_autoscaler.model.nodepool import Budget, DisruptionReason, NodePool
from hk3s_autoscaler.planning.reasons import Code

KIND: dict[Code, DisruptionReason] = {
    Code.EMPTY: "Empty",
    Code.UNDERUTILIZED: "Underutilized",
    Code.DRIFTED: "Drifted",
    Code.EXPIRED: "Expired",
}
"""What a budget calls the reason of a removal."""


def allowed(pool: NodePool, code: Code, nodes: int, now: datetime) -> int:
    """Return how many of a pool's `nodes` may be leaving at once for a reason.

    The strictest budget that counts now decides; without any, all may.
    """
    kind = KIND[code]
    bounds = [
        _bound(budget, nodes)
        for budget in pool.disruption.budgets
        if (not budget.reasons or kind in budget.reasons) and counts(budget, now)
    ]
    return min(bounds, default=nodes)


def counts(budget: Budget, now: datetime) -> bool:
    """Whether a budget is in force: always, or for its duration from each time it names."""
    if budget.schedule is None:
        return True
    return budget.schedule.last(now, within=budget.duration) is not None


def _bound(budget: Budget, nodes: int) -> int:
    if budget.percent is None:
        return budget.number or 0
    if not budget.percent:
        return 0
    # Rounded up, as Karpenter does: a pool of three may still change.
    return max(1, -(-nodes * budget.percent // 100))
