"""The packing without whole numbers: column generation (Gilmore and Gomory, 1961).

A column is what one server of a kind may hold; the columns at hand are mixed in fractions so that
every pod is covered at the lowest price within the limits, and the resulting value of each class of
pods shows which column is missing. Scaling those values until no server of any kind is worth more
than its price gives a lower bound for every possible purchase (Farley, 1990), however early the
search stops.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hk3s_autoscaler.planning.knapsack import Knapsack
from hk3s_autoscaler.planning.problem import Pattern, Problem
from hk3s_autoscaler.planning.simplex import Column, Covering
from hk3s_autoscaler.planning.tighten import undominated

_GAP = 0.001
_FIRST_NODES = 50
_MORE_NODES = 6
_MOST_NODES = 20_000
_TRUST = 0.5
"""How much the values with the best bound so far weigh against the newest: it calms the search."""
_MISSED = 20
"""What it costs not to serve a pod, in prices of serving it alone."""

Load = tuple[int, Pattern]
"""A kind, and what one server of it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """`bound` is a price per hour that no purchase can undercut that misses no pod.

    `values` are those of the classes, `dues` what each limit adds to the price of what it takes.
    `columns` are the mix found: kind, what one server holds, and how many (in fractions); `price`
    is what the mix costs, missed pods included.
    """

    bound: float
    values: tuple[float, ...]
    columns: tuple[tuple[int, Pattern, float], ...]
    dues: tuple[float, ...]
    price: float = 0.0


def relax(problem: Problem, work: int, loads: Iterable[Load] = ()) -> Relaxation:
    """Solve the relaxation within about `work` units (a unit is a microsecond or so).

    `loads` are columns to start from. Classes that no kind can hold, or of which there are no pods,
    have no part in it.
    """
    search = _Generation(problem)
    if not search.served:
        nothing = (0.0,) * len(problem.counts)
        free = (0.0,) * len(problem.limits)
        return Relaxation(bound=0.0, values=nothing, columns=(), dues=free)
    search.start(loads)
    search.run(work)
    return search.result()


def area_values(problem: Problem) -> Sequence[float]:
    """Value classes by what their resources cost alone: rough, and quick for any number."""
    search = _Generation(problem)
    if not search.served:
        return [0.0] * len(problem.counts)
    return search.by_area()


class _Generation:
    """Column generation under way."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._limits = _binding(problem)
        buyable = [k for k, kind in enumerate(problem.kinds) if _affordable(problem, k)]
        kept = undominated([problem.kinds[k] for k in buyable], limited=bool(self._limits))
        self._sacks = {
            buyable[k]: Knapsack(problem, problem.kinds[buyable[k]]) for k in sorted(kept)
        }
        self._sacks = {k: sack for k, sack in self._sacks.items() if sack.items}
        self.served = sorted({i for sack in self._sacks.values() for i, _, _ in sack.items})
        self._rows = {index: row for row, index in enumerate(self.served)}
        self._limit_rows = {limit: len(self.served) + row for row, limit in enumerate(self._limits)}
        self._bound = 0.0
        self._centre: list[float] = []
        self._dues = [0.0] * len(problem.limits)
        self._master: Covering[Load] | None = None

    def start(self, loads: Iterable[Load]) -> None:
        """Enter what serves each class alone, then the loads at hand."""
        problem = self._problem
        alone = self._alone()
        self._master = Covering(
            [problem.counts[i] for i in self.served],
            [_MISSED * problem.kinds[k].price / n for k, ((_, n),) in alone],
            [problem.limits[limit] for limit in self._limits],
        )
        for load in (*alone, *loads):
            self._offer(load)
        self._master.settle()
        self._centre = self.by_area()

    def by_area(self) -> list[float]:
        """Values as if servers could be bought in slices.

        Kinds are of a family where one serves what the other does, and more. A class that several
        families serve has the least of its values, so that no load is worth more than it costs.
        """
        families: dict[frozenset[int], list[Knapsack]] = {}
        for sack in sorted(self._sacks.values(), key=lambda sack: -len(sack.kind.classes)):
            own = frozenset(sack.kind.classes)
            family = next((each for each in families if own <= each), own)
            families.setdefault(family, []).append(sack)
        least = [math.inf] * len(self._problem.counts)
        for sacks in families.values():
            served = sorted({index for sack in sacks for index, _, _ in sack.items})
            values = _area_values(self._problem, served, sacks)
            for index in served:
                least[index] = min(least[index], values[index])
        return [value if value < math.inf else 0.0 for value in least]

    def run(self, work: int) -> None:
        """Price columns until the bound is close to the mix, or the work is done."""
        master = self._master
        assert master is not None  # noqa: S101 - start() comes first
        problem, trust, nodes = self._problem, 1.0, _FIRST_NODES
        size = len(master.values)
        while work > 0:
            newest = self._spread(master.values)
            dues = [
                -min(0.0, master.values[self._limit_rows[n]]) if n in self._limit_rows else 0.0
                for n in range(len(problem.limits))
            ]
            values = [
                trust * c + (1 - trust) * v for c, v in zip(self._centre, newest, strict=True)
            ]
            dues = [trust * c + (1 - trust) * v for c, v in zip(self._dues, dues, strict=True)]
            found, dearest, visits = self._price(values, dues, nodes)
            owed = sum(d * have for d, have in zip(dues, problem.limits, strict=True))
            candidate = sum(values[i] * problem.counts[i] for i in self.served) / dearest - owed
            if candidate > self._bound:
                self._bound = candidate
                self._centre, self._dues = [value / dearest for value in values], dues
            pivots = master.pivots
            entered = sum([self._offer(load) for load in found])
            visits += master.settle()
            work -= visits + (master.pivots - pivots) * size * size // 12
            if self._bound >= master.price * (1 - _GAP):
                return
            if entered:
                trust = min(trust, _TRUST)
            elif trust:
                trust = trust / 2 if trust > 0.2 else 0.0  # noqa: PLR2004 - then the newest alone
            elif nodes >= _MOST_NODES:
                return
            else:
                nodes *= _MORE_NODES

    def result(self) -> Relaxation:
        """The bound and the mix so far."""
        master = self._master
        assert master is not None  # noqa: S101 - start() comes first
        return Relaxation(
            bound=self._bound,
            values=tuple(self._centre),
            columns=tuple((kind, pattern, n) for (kind, pattern), n in master.mix()),
            price=master.price,
            dues=tuple(self._dues),
        )

    def _price(
        self, values: Sequence[float], dues: Sequence[float], nodes: int
    ) -> tuple[list[Load], float, int]:
        """Fill each kind: the loads, the worst ratio of worth to price, and the work done."""
        found, dearest, visits = [], 1e-12, 0
        for number, sack in self._sacks.items():
            price = sack.kind.price + sum([dues[n] * amount for n, amount in sack.kind.uses])
            sack.work = 0
            worth, pattern, upper = sack.solve(values, nodes, price)
            dearest = max(dearest, upper / max(price, 1e-9))
            visits += 12 * len(sack.items) + 4 * sack.work
            if pattern:
                found.append((worth / max(price, 1e-9), (number, pattern)))
        found.sort(key=lambda load: -load[0])
        return [load for _, load in found], dearest, visits

    def _offer(self, load: Load) -> bool:
        number, pattern = load
        kind = self._problem.kinds[number]
        entries = [(self._rows[i], float(n)) for i, n in pattern if i in self._rows]
        for limit, amount in kind.uses:
            if limit in self._limit_rows:
                entries.append((self._limit_rows[limit], float(amount)))
        assert self._master is not None  # noqa: S101 - start() comes first
        return self._master.offer(Column(load, kind.price, tuple(entries)))

    def _alone(self) -> list[Load]:
        """For each class the server that holds it, and nothing else, at the lowest price a pod."""
        cheapest: dict[int, tuple[float, int, int]] = {}
        for number, sack in self._sacks.items():
            for index, most, _ in sack.items:
                offer = (sack.kind.price / most, number, most)
                cheapest[index] = min(cheapest.get(index, offer), offer)
        return [(cheapest[i][1], ((i, cheapest[i][2]),)) for i in self.served]

    def _spread(self, values: Sequence[float]) -> list[float]:
        spread = [0.0] * len(self._problem.counts)
        for row, index in enumerate(self.served):
            spread[index] = max(0.0, values[row])
        return spread


def _binding(problem: Problem) -> list[int]:
    """The limits that a purchase could reach: no server is bought for less than one pod."""
    pods = sum(problem.counts)
    most = [0] * len(problem.limits)
    for kind in problem.kinds:
        for limit, amount in kind.uses:
            most[limit] = max(most[limit], amount)
    return [n for n, left in enumerate(problem.limits) if most[n] and left < most[n] * pods]


def _affordable(problem: Problem, number: int) -> bool:
    return all(problem.limits[limit] >= amount for limit, amount in problem.kinds[number].uses)


def _area_values(problem: Problem, served: list[int], sacks: list[Knapsack]) -> list[float]:
    """Value the classes by what their resources cost if servers could be bought in slices."""
    size = len(problem.demands[0])
    asked = [sum(problem.counts[i] * problem.demands[i][d] for i in served) for d in range(size)]
    axes = [d for d in range(size) if asked[d]]
    kinds = [sack.kind for sack in sacks]
    unit = [max(kind.room[d] for kind in kinds) for d in range(size)]
    dearest = max(kind.price for kind in kinds)
    slices: Covering[int] = Covering(
        [asked[d] / unit[d] for d in axes], [float(_MISSED * dearest) for _ in axes]
    )
    columns = [
        Column(n, kind.price, tuple((row, kind.room[d] / unit[d]) for row, d in enumerate(axes)))
        for n, kind in enumerate(kinds)
    ]
    for column in columns:
        slices.offer(column)
    slices.settle()
    prices = {d: slices.values[row] / unit[d] for row, d in enumerate(axes)}
    values = [0.0] * len(problem.counts)
    for index in served:
        demand = problem.demands[index]
        values[index] = sum(max(0.0, price) * demand[d] for d, price in prices.items())
    for sack in sacks:
        sack.weigh([max(0.0, prices.get(d, 0.0)) for d in range(size)])
    return values
