"""Prices that no purchase undercuts, as sharp as a solver makes them (needs the extra `exact`).

The planner's own bound is quick; where pools or architectures split the pods it is loose. This one
generates columns with HiGHS until the gap is a thousandth; it is valid however early it stops.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import highspy
import numpy as np

from hk3s_autoscaler.exact.knapsack import best_load
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.knapsack import Knapsack
from hk3s_autoscaler.planning.limits import Limit
from hk3s_autoscaler.planning.lower_bound import unbound
from hk3s_autoscaler.planning.problem import Pattern, Problem
from hk3s_autoscaler.planning.relaxation import relax
from hk3s_autoscaler.planning.supply import Offer

SECONDS = 40.0
_GAP = 1e-3
_NODES = 500
_UNIT = 10_000.0
"""Micro-euro to numbers that a solver likes."""
_MUST = 1_000.0
"""What a missed pod costs where all must be served, in those numbers."""
_TINY = 1e-9
_WARM_UP = 300_000
_TRUST = 0.5


def least_price(
    pods: Sequence[Pod],
    sale: Sequence[Offer],
    *,
    ceilings: Sequence[Limit] = (),
    seconds: float = SECONDS,
) -> float:
    """Micro-euro per hour below which no set of these offers holds all the pods."""
    problem = unbound(pods, sale, ceilings)
    return _Search(problem, [k.price / _UNIT for k in problem.kinds], _MUST).run(seconds) * _UNIT


def most_served(
    pods: Sequence[Pod], sale: Sequence[Offer], budget: int, *, seconds: float = SECONDS
) -> float:
    """How many pods no purchase within a budget (micro-euro per hour) can exceed."""
    problem = unbound(pods, sale, ())
    limit = len(problem.limits)
    kinds = tuple(replace(k, uses=((limit, k.price),)) for k in problem.kinds)
    capped = replace(problem, kinds=kinds, limits=(budget,))
    missed = _Search(capped, [0.0] * len(kinds), 1.0).run(seconds)
    return sum(problem.counts) - missed


class _Search:
    """Column generation: a linear program of the loads so far, and knapsacks for new ones."""

    def __init__(self, problem: Problem, costs: Sequence[float], penalty: float) -> None:
        self._problem, self._costs = problem, costs
        self._sacks = [Knapsack(problem, kind) for kind in problem.kinds]
        self._known: set[tuple[int, Pattern]] = set()
        self._classes = len(problem.counts)
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        empty = np.array([], dtype=np.int32), np.array([], dtype=np.float64)
        for count in problem.counts:
            solver.addRow(float(count), highspy.kHighsInf, 0, *empty)
        for left in problem.limits:
            solver.addRow(-highspy.kHighsInf, float(left), 0, *empty)
        for row, count in enumerate(problem.counts):
            one = np.array([row], dtype=np.int32), np.array([1.0], dtype=np.float64)
            solver.addCol(penalty, 0.0, float(count), 1, *one)
        self._solver = solver
        for number, kind in enumerate(problem.kinds):
            for index in kind.classes:
                most = problem.most(index, kind.room)
                if most:
                    self._add(number, ((index, most),))
        if all(kind.price for kind in problem.kinds):
            for number, pattern, _ in relax(problem, _WARM_UP).columns:
                self._add(number, pattern)

    def run(self, seconds: float) -> float:
        """Return the best dual bound within the CPU time.

        Values halfway to those of the best bound so far calm the search; where they find nothing
        new the newest alone do, and at last knapsacks are solved exactly.
        """
        begun, bound, exact, trust = time.process_time(), 0.0, False, 0.0
        centre = [0.0] * (self._classes + len(self._problem.limits))
        while time.process_time() - begun < seconds:
            self._solver.run()
            price = self._solver.getInfo().objective_function_value
            duals = self._solver.getSolution().row_dual
            newest = [abs(dual) for dual in duals]
            mixed = [trust * c + (1 - trust) * v for c, v in zip(centre, newest, strict=True)]
            values, dues = mixed[: self._classes], mixed[self._classes :]
            dearest, added = self._price(values, dues, exact=exact)
            owed = sum(d * left for d, left in zip(dues, self._problem.limits, strict=True))
            worth = sum(v * n for v, n in zip(values, self._problem.counts, strict=True))
            if worth / dearest - owed > bound:
                bound = worth / dearest - owed
                centre = [*(value / dearest for value in values), *dues]
            if bound >= price * (1 - _GAP) - _TINY:
                return bound
            if added:
                trust = _TRUST
            elif trust:
                trust = 0.0
            elif exact:
                return bound
            else:
                exact, trust = True, _TRUST
        return bound

    def _price(
        self, values: Sequence[float], dues: Sequence[float], *, exact: bool
    ) -> tuple[float, int]:
        """The worst ratio of worth to cost of any load, and how many loads are new."""
        dearest, added = 1.0, 0
        for number, sack in enumerate(self._sacks):
            kind = sack.kind
            cost = self._costs[number] + sum(dues[limit] * n for limit, n in kind.uses)
            worth, pattern, upper = sack.solve(values, _NODES, cost)
            if pattern and worth > cost * (1 + 1e-7):
                added += self._add(number, pattern)
            if exact and upper > cost * (1 + _GAP / 4):
                sharper, loads = best_load(self._problem, kind, values)
                upper = min(upper, sharper)
                added += sum(self._add(number, load) for load in loads)
            dearest = max(dearest, upper / max(cost, _TINY))
        return dearest, added

    def _add(self, number: int, pattern: Pattern) -> bool:
        if not pattern or (number, pattern) in self._known:
            return False
        self._known.add((number, pattern))
        kind = self._problem.kinds[number]
        rows = [*(index for index, _ in pattern), *(self._classes + n for n, _ in kind.uses)]
        amounts = [*(float(n) for _, n in pattern), *(float(n) for _, n in kind.uses)]
        self._solver.addCol(
            self._costs[number],
            0.0,
            highspy.kHighsInf,
            len(rows),
            np.array(rows, dtype=np.int32),
            np.array(amounts, dtype=np.float64),
        )
        return True
