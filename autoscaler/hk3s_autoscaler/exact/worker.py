"""The exact pass, run as `python -m hk3s_autoscaler.exact.worker`: a problem in, a packing out.

A process of its own, so that a solver's memory, threads and crashes are not the planner's. Reads
one JSON document on stdin and writes one a line on stdout, each better than those before.

Column generation says what pods are worth and what no purchase undercuts; cheaper and cheaper sets
of servers that might do are then packed by exchanging pods; at last whole numbers of the columns
are mixed by HiGHS, which alone knows what to do where limits leave pods out.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import highspy
import numpy as np

from hk3s_autoscaler.exact import axes
from hk3s_autoscaler.exact.columns import Columns, greedy
from hk3s_autoscaler.exact.exchange import refit
from hk3s_autoscaler.exact.fleets import Fleet, Refuted, raised, roomiest
from hk3s_autoscaler.exact.joint import refute
from hk3s_autoscaler.exact.valuation import Valuation, solver
from hk3s_autoscaler.planning.cover import Batch, Packing
from hk3s_autoscaler.planning.exact import Answer, Request, read_request, write_answer
from hk3s_autoscaler.planning.packing import finish
from hk3s_autoscaler.planning.problem import Problem
from hk3s_autoscaler.planning.relaxation import relax

_WARM_UP = 1_000_000
_MISSED = 5
"""What it costs not to serve a pod, in prices of the dearest server."""
_PRICING_UNTIL = 0.3
_PROVING_UNTIL = 0.5
_EXCHANGE_UNTIL = 0.9
_PROVING_AGAIN_UNTIL = 0.97
_ATTEMPT = 0.3
"""What part of the time that is left may be spent on one set of servers."""
_REFUTATION = 0.5
"""What part of it may be spent on showing that they are too few, at the end."""
_FINE = 1e-4
_MIP_GAP = 2e-4


def solve(request: Request, clock: Callable[[], float] = time.monotonic) -> Iterator[Answer]:
    """Yield better and better packings, and prices that none undercuts."""
    problem, best = request.problem, request.packing
    begun = clock()

    def left(share: float) -> float:
        return begun + request.seconds * share - clock()

    unit = float(min(kind.price for kind in problem.kinds) or 1)
    penalty = _MISSED * max(kind.price for kind in problem.kinds) / unit
    columns = Columns(problem, [kind.price / unit for kind in problem.kinds], penalty)
    columns.add((batch.kind, batch.pattern) for batch in best.batches)
    relaxed = relax(problem, _WARM_UP, greedy(problem))
    columns.add((kind, pattern) for kind, pattern, _ in relaxed.columns)
    worth = [value / unit for value in relaxed.values]
    columns.value(worth, [due / unit for due in relaxed.dues], relaxed.bound / unit)
    columns.generate(lambda: left(_PRICING_UNTIL) > 0)
    bound = columns.bound * unit

    def proved(refuted: Refuted) -> float:
        return max(bound, raised(problem, columns.valuations, best.price, refuted))

    alone = partial(axes.refute, problem, running=lambda: left(_PROVING_UNTIL) > 0)
    whole_bound = proved(alone)
    yield Answer(packing=best, bound=bound, whole_bound=whole_bound)
    if not any(best.missed):
        until = partial(left, _EXCHANGE_UNTIL)
        for better in _squeeze(problem, best, columns, whole_bound, until):
            best = better
            yield Answer(packing=best, bound=bound, whole_bound=whole_bound)
        jointly = partial(_reasons, problem, columns, partial(left, _PROVING_AGAIN_UNTIL))
        whole_bound = max(whole_bound, proved(jointly))
        yield Answer(packing=best, bound=bound, whole_bound=whole_bound)
    if best.price > whole_bound * (1 + _FINE) or any(best.missed):
        mixed = finish(problem, _mix(problem, columns, left(1.0), best), columns.values)
        best = min(best, mixed, key=Packing.rank)
        yield Answer(packing=best, bound=bound, whole_bound=whole_bound)


@dataclass(frozen=True, slots=True)
class _Span:
    """Runs until no more than so many seconds are left."""

    left: Callable[[], float]
    end: float

    def __call__(self) -> bool:
        return self.left() > self.end


def _reasons(
    problem: Problem, columns: Columns, left: Callable[[], float], fleet: Fleet
) -> Sequence[Valuation]:
    """Look for reasons why a set of servers is too small, for a part of the time that is left."""
    running = _Span(left, left() * (1 - _REFUTATION))
    return refute(problem, fleet, tuple(columns.loads), running)


def _squeeze(
    problem: Problem, best: Packing, columns: Columns, low: float, left: Callable[[], float]
) -> Iterator[Packing]:
    """Pack into less and less money, halving the distance to what cannot be done."""
    chance = random.Random(0)  # noqa: S311 - the same answer for the same facts
    hopeless, tried = low, set[Fleet]()
    while left() > 0 and best.price > low * (1 + _FINE):
        budget = (hopeless + best.price) / 2
        fleet = roomiest(problem, columns.valuations, budget)
        if fleet is None and hopeless == low:
            low = budget
        found = None
        if fleet is not None and fleet not in tried:
            if reasons := axes.refute(problem, fleet, lambda: left() > 0):
                columns.valuations += reasons
                tried.add(fleet)
                continue
            attempt = _Span(left, left() * (1 - _ATTEMPT))
            found = refit(problem, best.batches, fleet, chance, attempt)
            tried.add(fleet)
        if found is not None:
            best = min(best, finish(problem, found, columns.values), key=Packing.rank)
            yield best
        else:
            hopeless = budget
        if best.price <= hopeless * (1 + _FINE):
            hopeless, tried = low, set()


def _mix(problem: Problem, columns: Columns, seconds: float, start: Packing) -> list[Batch]:
    """Mix whole numbers of the columns; what the packing at hand serves is not to be missed.

    HiGHS 1.16 rates a start solution without the presolve's offset and then stops at once, so it is
    not given one.
    """
    loads = list(columns.loads)
    model = solver(seconds)
    model.setOptionValue("mip_rel_gap", _MIP_GAP)
    unit = max(kind.price for kind in problem.kinds)
    rows: list[dict[int, float]] = [{} for _ in problem.counts + problem.limits]
    for column, (number, pattern) in enumerate(loads):
        kind = problem.kinds[number]
        model.addVar(0.0, highspy.kHighsInf)
        model.changeColCost(column, kind.price / unit)
        model.changeColIntegrality(column, highspy.HighsVarType.kInteger)
        for index, n in pattern:
            rows[index][column] = float(n)
        for limit, amount in kind.uses:
            rows[len(problem.counts) + limit][column] = float(amount)
    for index, missed in enumerate(start.missed):
        model.addVar(0.0, float(missed))
        model.changeColCost(len(loads) + index, float(_MISSED))
        rows[index][len(loads) + index] = 1.0
    low = [*map(float, problem.counts), *(-highspy.kHighsInf for _ in problem.limits)]
    high = [*(highspy.kHighsInf for _ in problem.counts), *map(float, problem.limits)]
    for row, lower, upper in zip(rows, low, high, strict=True):
        model.addRow(
            lower,
            upper,
            len(row),
            np.fromiter(row.keys(), dtype=np.int32, count=len(row)),
            np.fromiter(row.values(), dtype=np.float64, count=len(row)),
        )
    model.run()
    amounts = list(model.getSolution().col_value)[: len(loads)]
    return [
        Batch(kind, pattern, round(n))
        for (kind, pattern), n in zip(loads, amounts, strict=True)
        if round(n)
    ]


def main() -> None:
    """Answer the request on stdin."""
    for answer in solve(read_request(json.load(sys.stdin))):
        print(json.dumps(write_answer(answer)), flush=True)  # noqa: T201 - the way out


if __name__ == "__main__":
    main()
