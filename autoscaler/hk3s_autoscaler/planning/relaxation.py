"""The packing without whole numbers: column generation (Gilmore and Gomory, 1961).

A column is what one server of a kind may hold; the columns at hand are mixed in fractions so that
every pod is covered at the lowest price, and the resulting value of each class of pods shows which
column is missing. Scaling those values until no server of any kind is worth more than its price
gives a lower bound for every possible purchase (Farley, 1990), however early the search stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hk3s_autoscaler.planning.knapsack import Knapsack
from hk3s_autoscaler.planning.problem import Pattern, Problem
from hk3s_autoscaler.planning.simplex import Column, Covering

_GAP = 0.001
_FIRST_NODES = 50
_MORE_NODES = 6
_TRUST = 0.7
"""How much the values with the best bound so far weigh against the newest: it calms the search."""

_Load = tuple[int, Pattern]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """`bound` is a price per hour that no purchase can undercut; `values` are those of the classes.

    `columns` are the mix found: kind, what one server holds, and how many (in fractions).
    """

    bound: float
    values: tuple[float, ...]
    columns: tuple[tuple[int, Pattern, float], ...]


def relax(problem: Problem, work: int) -> Relaxation:
    """Solve the relaxation within about `work` units (a unit is a microsecond or so).

    Limits are left out: they could only make a purchase dearer. Classes that no kind can hold, or
    of which there are no pods, have no part in it.
    """
    sacks = [Knapsack(problem, kind) for kind in problem.kinds]
    served = sorted({index for sack in sacks for index, _, _ in sack.items})
    if not served:
        return Relaxation(bound=0.0, values=(0.0,) * len(problem.counts), columns=())
    rows = {index: row for row, index in enumerate(served)}
    master = Covering([problem.counts[i] for i in served], _alone(problem, served, sacks))
    centre = _area_values(problem, served, sacks)
    bound, trust, nodes = 0.0, 1.0, _FIRST_NODES
    while True:
        newest = _spread(master.values, served, len(problem.counts))
        values = [trust * c + (1 - trust) * v for c, v in zip(centre, newest, strict=True)]
        for sack in sacks:
            sack.work = 0
        loads = [(*sack.solve(values, nodes), number) for number, sack in enumerate(sacks)]
        dearest = max(upper / problem.kinds[number].price for _, _, upper, number in loads)
        candidate = sum(values[i] * problem.counts[i] for i in served) / dearest
        if candidate > bound:
            bound, centre = candidate, [value / dearest for value in values]
        price = sum(newest[i] * problem.counts[i] for i in served)
        work -= sum(12 * len(sack.items) + 4 * sack.work for sack in sacks)
        if bound >= price * (1 - _GAP) or work <= 0:
            break
        entered = 0
        for _, pattern, _, number in sorted(loads, key=lambda load: -load[0]):
            entries = tuple((rows[i], float(n)) for i, n in pattern)
            column = Column((number, pattern), problem.kinds[number].price, entries)
            entered += bool(entries) and master.enter(column)
        work -= entered * len(served) ** 2 // 8
        trust = min(trust, _TRUST)
        if not entered and trust:
            trust = trust / 2 if trust > 0.1 else 0.0  # noqa: PLR2004 - then the newest alone count
        elif not entered:
            nodes *= _MORE_NODES
    columns = tuple((number, pattern, n) for (number, pattern), n in master.mix())
    return Relaxation(bound=bound, values=tuple(centre), columns=columns)


def _alone(problem: Problem, served: list[int], sacks: list[Knapsack]) -> list[Column[_Load]]:
    """For each class the server that holds it, and nothing else, at the lowest price a pod."""
    cheapest: dict[int, tuple[float, int, int]] = {}
    for number, sack in enumerate(sacks):
        for index, most, _ in sack.items:
            offer = (sack.kind.price / most, number, most)
            cheapest[index] = min(cheapest.get(index, offer), offer)
    return [
        Column((number, ((index, most),)), problem.kinds[number].price, ((row, float(most)),))
        for row, index in enumerate(served)
        for _, number, most in [cheapest[index]]
    ]


def _area_values(problem: Problem, served: list[int], sacks: list[Knapsack]) -> list[float]:
    """Value the classes by what their resources cost if servers could be bought in slices."""
    size = len(problem.demands[0])
    asked = [sum(problem.counts[i] * problem.demands[i][d] for i in served) for d in range(size)]
    axes = [d for d in range(size) if asked[d]]
    kinds = [sack.kind for sack in sacks if sack.items]
    unit = [max(kind.room[d] for kind in kinds) for d in range(size)]
    first = [
        min(
            (kind.price * unit[d] / kind.room[d], n) for n, kind in enumerate(kinds) if kind.room[d]
        )
        for d in axes
    ]
    slices: Covering[int] = Covering(
        [asked[d] / unit[d] for d in axes],
        [Column(n, price, ((row, 1.0),)) for row, (price, n) in enumerate(first)],
    )
    columns = [
        Column(n, kind.price, tuple((row, kind.room[d] / unit[d]) for row, d in enumerate(axes)))
        for n, kind in enumerate(kinds)
    ]
    for _ in range(20):
        entered = [slices.enter(column) for column in columns]
        if not any(entered):
            break
    prices = {d: slices.values[row] / unit[d] for row, d in enumerate(axes)}
    values = [0.0] * len(problem.counts)
    for index in served:
        demand = problem.demands[index]
        values[index] = sum(max(0.0, price) * demand[d] for d, price in prices.items())
    for sack in sacks:
        sack.weigh([max(0.0, prices.get(d, 0.0)) for d in range(size)])
    return values


def _spread(values: Sequence[float], served: list[int], size: int) -> list[float]:
    spread = [0.0] * size
    for row, index in enumerate(served):
        spread[index] = max(0.0, values[row])
    return spread
