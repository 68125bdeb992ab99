"""Column generation with a solver: the loads that are worth buying, and what none undercuts.

As `planning.relaxation`, to the end: a linear program mixes the loads so far, knapsacks find new
ones, and where those give up a grid does. The bound holds however early it stops.
"""

from collections.abc import Callable, Iterable, Sequence

import highspy
import numpy as np

from hk3s_autoscaler.exact.knapsack import best_load
from hk3s_autoscaler.exact.valuation import Valuation, solver
from hk3s_autoscaler.planning.filling import RULES
from hk3s_autoscaler.planning.knapsack import Knapsack
from hk3s_autoscaler.planning.packing import greedy_loads
from hk3s_autoscaler.planning.problem import Problem
from hk3s_autoscaler.planning.relaxation import Load, area_values

GAP = 1e-3
"""Where bound and mix are so close, the search ends."""
_NODES = (400, 20_000, 20_000)
"""How deep a knapsack is searched; the last time a grid helps out."""
_TINY = 1e-9
_TRUST = 0.5
"""How much the values with the best bound so far weigh against the newest: it calms the search."""
_NEAR = 0.9
"""Values whose bound is worse than this part of the mix are not worth to go by."""
_MOST_CUTS = 40


def greedy(problem: Problem) -> list[Load]:
    """Return loads that greedy covers buy, to begin with."""
    values = area_values(problem)
    return [load for rule in RULES for load in greedy_loads(problem, values, rule)]


class Columns:
    """Loads of servers under a price of their own; to miss a pod costs the penalty.

    `bound` is the least that any purchase costs, penalties included, in the unit of `costs`;
    `values` is what a pod of each class is worth.
    """

    def __init__(self, problem: Problem, costs: Sequence[float], penalty: float) -> None:
        self._problem, self._costs = problem, costs
        self._sacks = [Knapsack(problem, kind) for kind in problem.kinds]
        self._classes = len(problem.counts)
        self.loads: dict[Load, None] = {}
        self.bound = 0.0
        self.values: tuple[float, ...] = (0.0,) * self._classes
        self._centre = [0.0] * (self._classes + len(problem.limits))
        self.valuations = list(_areas(problem))
        self._areas = len(self.valuations)
        self._master = solver()
        empty = np.array([], dtype=np.int32), np.array([], dtype=np.float64)
        for count in problem.counts:
            self._master.addRow(float(count), highspy.kHighsInf, 0, *empty)
        for left in problem.limits:
            self._master.addRow(-highspy.kHighsInf, float(left), 0, *empty)
        for row, count in enumerate(problem.counts):
            one = np.array([row], dtype=np.int32), np.array([1.0], dtype=np.float64)
            self._master.addCol(penalty, 0.0, float(count), 1, *one)
        for number, kind in enumerate(problem.kinds):
            for index in kind.classes:
                most = problem.most(index, kind.room)
                if most:
                    self.add([(number, ((index, most),))])

    def add(self, loads: Iterable[Load]) -> int:
        """Take loads in, and return how many of them are new."""
        before = len(self.loads)
        for load in loads:
            if load[1] and load not in self.loads:
                self.loads[load] = None
                self._enter(load)
        return len(self.loads) - before

    def value(self, values: Sequence[float], dues: Sequence[float], bound: float) -> None:
        """Begin with what pods and limits seem to be worth, and a bound that holds."""
        mixed = [*values, *dues]
        self._rate(mixed, self._price(mixed, 1)[0])
        self.bound = max(self.bound, bound)

    def generate(self, running: Callable[[], bool]) -> None:
        """Add loads until none is worth more than its cost, or while it may run.

        Values halfway to those of the best bound so far calm the search; where they find nothing
        new the newest alone do, and at last a grid does.
        """
        depth, trust = 0, _TRUST if self.bound else 0.0
        while running():
            self._master.run()
            price = self._master.getInfo().objective_function_value
            newest = [abs(dual) for dual in self._master.getSolution().row_dual]
            mixed = [trust * c + (1 - trust) * v for c, v in zip(self._centre, newest, strict=True)]
            dearest, added = self._price(mixed, depth)
            self._rate(mixed, dearest)
            if self.bound >= price * (1 - GAP) - _TINY:
                return
            if added:
                trust = _TRUST if self.bound > price * _NEAR else 0.0
            elif trust:
                trust = 0.0
            elif depth == len(_NODES) - 1:
                return
            else:
                depth += 1

    def _rate(self, mixed: Sequence[float], dearest: float) -> None:
        """Keep values that, scaled until no load is worth more than it costs, bound better."""
        values, dues = mixed[: self._classes], mixed[self._classes :]
        owed = sum(due * left for due, left in zip(dues, self._problem.limits, strict=True))
        worth = sum(v * n for v, n in zip(values, self._problem.counts, strict=True))
        if worth / dearest - owed > self.bound:
            self.bound = worth / dearest - owed
            self.values = tuple(value / dearest for value in values)
            self._centre = [*self.values, *dues]

    def _price(self, mixed: Sequence[float], depth: int) -> tuple[float, int]:
        """The worst ratio of worth to cost of any load, and how many loads are new."""
        problem = self._problem
        values, dues = mixed[: self._classes], mixed[self._classes :]
        dearest, added, most = 1.0, 0, []
        for number, sack in enumerate(self._sacks):
            kind = sack.kind
            cost = self._costs[number] + sum(dues[limit] * n for limit, n in kind.uses)
            worth, pattern, upper = sack.solve(values, _NODES[depth], cost)
            if pattern and worth > cost * (1 + 1e-7):
                added += self.add([(number, pattern)])
            if depth == len(_NODES) - 1 and upper > cost * (1 + GAP / 4):
                sharper, loads = best_load(problem, kind, values)
                upper = min(upper, sharper)
                added += self.add((number, load) for load in loads)
            dearest = max(dearest, upper / max(cost, _TINY))
            most.append(upper)
        del self.valuations[self._areas : -_MOST_CUTS]
        self.valuations.append(Valuation(tuple(values), tuple(most)))
        return dearest, added

    def _enter(self, load: Load) -> None:
        number, pattern = load
        kind = self._problem.kinds[number]
        rows = [*(index for index, _ in pattern), *(self._classes + n for n, _ in kind.uses)]
        amounts = [*(float(n) for _, n in pattern), *(float(n) for _, n in kind.uses)]
        self._master.addCol(
            self._costs[number],
            0.0,
            highspy.kHighsInf,
            len(rows),
            np.array(rows, dtype=np.int32),
            np.array(amounts, dtype=np.float64),
        )


def _areas(problem: Problem) -> Iterable[Valuation]:
    """What the servers offer of each resource must suffice."""
    for axis in range(len(problem.demands[0])):
        values = tuple(float(demand[axis]) for demand in problem.demands)
        yield Valuation(values, tuple(float(kind.room[axis]) for kind in problem.kinds))
