"""The exact pass, run as `python -m hk3s_autoscaler.exact.worker`: a problem in, a packing out.

A process of its own, so that a solver's memory, threads and crashes are not the planner's. Reads
one JSON document on stdin and writes one on stdout. The columns are those that the heuristics and
column generation find; HiGHS mixes whole numbers of them. Needs the extra `exact`.
"""

import json
import sys
import time
from collections.abc import Iterable, Sequence

import highspy
import numpy as np

from hk3s_autoscaler.exact.knapsack import best_load
from hk3s_autoscaler.planning.exact import Answer, Request, read_request, write_answer
from hk3s_autoscaler.planning.knapsack import Knapsack
from hk3s_autoscaler.planning.packing import Batch, Packing, finish
from hk3s_autoscaler.planning.problem import Problem
from hk3s_autoscaler.planning.relaxation import Load, relax

_RELAX_WORK = 400_000
_KNAPSACK_NODES = 400
_GAP = 5e-4
_MIP_GAP = 2e-4
_SHARE_OF_PRICING = 0.45
_MISSED = 5
_WORK_A_SECOND = 150_000
"""For each of two rounds of local search; about a quarter of the time together."""
_MOST_CUTS = 40
_WHOLE_SECONDS = 3.0


Cut = tuple[float, list[float]]
"""A valuation of the pods: what all of them are worth, and at most one server of each kind."""


class Mixer:
    """The columns so far, and what they cost best: in fractions, or in whole servers."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.loads: dict[Load, None] = {}
        self._unit = min(kind.price for kind in problem.kinds) or 1
        self._penalty = _MISSED * max(kind.price for kind in problem.kinds) / self._unit

    def add(self, loads: Iterable[Load]) -> bool:
        """Take loads in; false when all were known."""
        before = len(self.loads)
        for load in loads:
            if load[1]:
                self.loads.setdefault(load)
        return len(self.loads) > before

    def solve(
        self, *, whole: bool, seconds: float, start: Packing | None = None
    ) -> tuple[float, list[float], list[float]]:
        """Return price, amount of each load, and the rows' values (of fractions only).

        HiGHS 1.16 rates a start solution without the presolve's offset and then stops at once, so
        `start` only says which pods may be missed.
        """
        problem, loads = self._problem, list(self.loads)
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("time_limit", max(0.1, seconds))
        solver.setOptionValue("mip_rel_gap", _MIP_GAP)
        rows: list[dict[int, float]] = [{} for _ in problem.counts + problem.limits]
        for column, (number, pattern) in enumerate(loads):
            kind = problem.kinds[number]
            solver.addVar(0.0, highspy.kHighsInf)
            solver.changeColCost(column, kind.price / self._unit)
            if whole:
                solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            for index, n in pattern:
                rows[index][column] = float(n)
            for limit, amount in kind.uses:
                rows[len(problem.counts) + limit][column] = float(amount)
        for index in range(len(problem.counts)):
            # A mix of whole servers may miss what the packing at hand misses, and no more.
            solver.addVar(0.0, highspy.kHighsInf if start is None else float(start.missed[index]))
            solver.changeColCost(len(loads) + index, self._penalty)
            rows[index][len(loads) + index] = 1.0
        low = [*map(float, problem.counts), *(-highspy.kHighsInf for _ in problem.limits)]
        high = [*(highspy.kHighsInf for _ in problem.counts), *map(float, problem.limits)]
        for row, lower, upper in zip(rows, low, high, strict=True):
            solver.addRow(
                lower,
                upper,
                len(row),
                np.fromiter(row.keys(), dtype=np.int32, count=len(row)),
                np.fromiter(row.values(), dtype=np.float64, count=len(row)),
            )
        solver.run()
        solution = solver.getSolution()
        amounts = list(solution.col_value)[: len(loads)]
        price = solver.getInfo().objective_function_value * self._unit
        return price, amounts, [] if whole else [dual * self._unit for dual in solution.row_dual]


def solve(request: Request) -> Answer:
    """Return a packing that is no worse than the one given, and prices that none undercuts."""
    problem, best = request.problem, request.packing
    begun = time.monotonic()
    mixer = Mixer(problem)
    mixer.add((b.kind, b.pattern) for b in best.batches)
    mixer.add(_alone(problem))
    relaxed = relax(problem, _RELAX_WORK, list(mixer.loads))
    work = int(request.seconds * _WORK_A_SECOND)
    best = min(best, finish(problem, best.batches, relaxed.values, work), key=Packing.rank)
    mixer.add((b.kind, b.pattern) for b in best.batches)
    mixer.add((kind, pattern) for kind, pattern, _ in relaxed.columns)
    deadline = begun + request.seconds * _SHARE_OF_PRICING
    bound, cuts = _generate(problem, mixer, relaxed.bound, deadline)
    whole_bound = max(bound, _whole(problem, [*_area_cuts(problem), *cuts]))
    left = request.seconds - (time.monotonic() - begun)
    _, amounts, _ = mixer.solve(whole=True, seconds=left, start=best)
    batches = [
        Batch(kind, pattern, round(n))
        for (kind, pattern), n in zip(mixer.loads, amounts, strict=True)
        if round(n)
    ]
    found = finish(problem, batches, relaxed.values, work)
    packing = min(best, found, key=Packing.rank)
    return Answer(packing=packing, bound=bound, whole_bound=whole_bound)


def _generate(
    problem: Problem, mixer: Mixer, bound: float, deadline: float
) -> tuple[float, list[Cut]]:
    """Add columns until no load is worth more than its price; return the best bound and cuts."""
    cuts: list[Cut] = []
    sacks = {k: Knapsack(problem, kind) for k, kind in enumerate(problem.kinds)}
    exact = False
    while time.monotonic() < deadline:
        price, _, duals = mixer.solve(whole=False, seconds=deadline - time.monotonic())
        values = [max(0.0, dual) for dual in duals[: len(problem.counts)]]
        dues = [max(0.0, -dual) for dual in duals[len(problem.counts) :]]
        found: list[Load] = []
        dearest = 1.0
        most_worth = []
        for number, sack in sacks.items():
            kind = sack.kind
            cost = kind.price + sum(dues[limit] * amount for limit, amount in kind.uses)
            worth, pattern, upper = sack.solve(values, _KNAPSACK_NODES, cost)
            if pattern and worth > cost * (1 + 1e-7):
                found.append((number, pattern))
            if exact and upper > cost * (1 + _GAP / 4) and time.monotonic() < deadline:
                exact_upper, loads = best_load(problem, kind, values)
                upper = min(upper, exact_upper)
                found += [(number, load) for load in loads]
            dearest = max(dearest, upper / cost)
            most_worth.append(upper)
        owed = sum(due * left for due, left in zip(dues, problem.limits, strict=True))
        served = sum(v * n for v, n in zip(values, problem.counts, strict=True))
        bound = max(bound, served / dearest - owed)
        cuts = [*cuts[-_MOST_CUTS:], (served, most_worth)]
        if bound >= price * (1 - _GAP):
            return bound, cuts
        if not mixer.add(found):
            if exact:
                return bound, cuts
            exact = True
    return bound, cuts


def _area_cuts(problem: Problem) -> Iterable[Cut]:
    """What the servers offer of each resource must suffice."""
    for axis in range(len(problem.demands[0])):
        wanted = sum(d[axis] * n for d, n in zip(problem.demands, problem.counts, strict=True))
        if wanted:
            yield 1.0, [kind.room[axis] / wanted for kind in problem.kinds]


def _whole(problem: Problem, cuts: Sequence[Cut]) -> float:
    """The cheapest whole servers that are worth together what all pods are, in every valuation.

    However the pods are valued: what is bought cannot be worth less than they are, and no server is
    worth more than its best load.
    """
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", _WHOLE_SECONDS)
    for number, kind in enumerate(problem.kinds):
        solver.addVar(0.0, highspy.kHighsInf)
        solver.changeColCost(number, float(kind.price))
        solver.changeColIntegrality(number, highspy.HighsVarType.kInteger)
    numbers = np.arange(len(problem.kinds), dtype=np.int32)
    for wanted, most_worth in cuts:
        scale = 1 / max(wanted, 1e-9)
        row = np.array([worth * scale for worth in most_worth], dtype=np.float64)
        solver.addRow(1.0 - 1e-9, highspy.kHighsInf, len(numbers), numbers, row)
    for limit, left in enumerate(problem.limits):
        amounts = [float(dict(kind.uses).get(limit, 0)) for kind in problem.kinds]
        solver.addRow(-highspy.kHighsInf, float(left), len(numbers), numbers, np.array(amounts))
    solver.run()
    return max(0.0, solver.getInfo().mip_dual_bound) * (1 - _MIP_GAP / 100)


def _alone(problem: Problem) -> Iterable[Load]:
    for number, kind in enumerate(problem.kinds):
        for index in kind.classes:
            most = problem.most(index, kind.room)
            if most:
                yield number, ((index, most),)


def main() -> None:
    """Answer the request on stdin."""
    request = read_request(json.load(sys.stdin))
    json.dump(write_answer(solve(request)), sys.stdout)


if __name__ == "__main__":
    main()
