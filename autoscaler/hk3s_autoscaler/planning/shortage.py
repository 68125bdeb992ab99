"""Where limits bind: not every pod can be served by what is cheapest, so larger servers count."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hk3s_autoscaler.planning.cover import Batch, Packing, covered, even_values, right_size
from hk3s_autoscaler.planning.filling import RULES, by_density, by_match, by_size, by_value
from hk3s_autoscaler.planning.problem import Problem

_RUINED_SHARES = (2, 4, 8)
_RUIN_ROUNDS = 6


def race_for_room(problem: Problem, values: Sequence[float]) -> Iterable[Packing]:
    """Where limits bind, servers that hold more are worth more than their price says."""
    dearest = max((kind.price for kind in problem.kinds), default=0)
    for extra in (dearest // 8, dearest, 64 * dearest):
        yield covered(problem, values, RULES, problem.counts, extra=extra)
        yield covered(problem, [1.0] * len(problem.counts), RULES, problem.counts, extra=extra)


def rebuild(problem: Problem, values: Sequence[float], best: Packing) -> Packing:
    """Take the servers that earn least for their price out again and buy anew for their pods."""
    for _ in range(_RUIN_ROUNDS):
        better = best
        for share in _RUINED_SHARES:
            kept, counts, limits = _ruin(problem, values, best, share)
            if not any(counts):
                continue
            smaller = replace(problem, counts=counts, limits=limits)
            tries = (
                covered(smaller, values, RULES, counts),
                covered(smaller, values, (by_size,), counts),
                covered(smaller, even_values(problem), (by_match, by_density, by_value), counts),
            )
            again = min((right_size(smaller, t) for t in tries), key=Packing.rank)
            joined = Packing(
                batches=(*kept, *again.batches),
                price=again.price + sum(problem.kinds[b.kind].price * b.number for b in kept),
                missed=again.missed,
            )
            better = min(better, joined, key=Packing.rank)
        if better is best:
            break
        best = better
    return best


def _ruin(
    problem: Problem, values: Sequence[float], packing: Packing, share: int
) -> tuple[list[Batch], tuple[int, ...], tuple[int, ...]]:
    servers = sum(batch.number for batch in packing.batches)
    doomed = max(2, servers // share)

    def worth(batch: Batch) -> float:
        price = max(1, problem.kinds[batch.kind].price)
        return sum([values[i] * n for i, n in batch.pattern]) / price

    counts, left = list(packing.missed), list(problem.limits)
    kept = []
    for batch in sorted(packing.batches, key=worth):
        gone = min(doomed, batch.number)
        doomed -= gone
        for index, n in batch.pattern:
            counts[index] += n * gone
        if batch.number > gone:
            kept.append(replace(batch, number=batch.number - gone))
            for limit, amount in problem.kinds[batch.kind].uses:
                left[limit] -= amount * (batch.number - gone)
    return kept, tuple(counts), tuple(left)
