"""How many servers of each kind: what may suffice for all pods, whoever shares one with whom.

However pods are valued, what is bought cannot be worth less than they are, and no server is worth
more than its best load. Any set of valuations so bounds what must be bought.
"""

import math
from collections.abc import Callable, Sequence

import highspy
import numpy as np

from hk3s_autoscaler.exact.valuation import Valuation, solver
from hk3s_autoscaler.planning.problem import Problem

_SECONDS = 3.0
_ROUNDING = 1e-6
_TINY = 1e-9
_ENOUGH = 0.05
"""More room than this to spare makes nothing easier."""


Fleet = tuple[int, ...]
"""How many servers of each kind."""
Refuted = Callable[[Fleet], Sequence[Valuation]]
"""Valuations by which a fleet is too small, if any are found."""


def raised(
    problem: Problem,
    valuations: list[Valuation],
    below: float,
    refute: Refuted,
) -> float:
    """Return a price that no whole servers undercut which serve all pods.

    The cheapest fleet that the valuations allow is refuted if it can be, which adds valuations, and
    so on until one stands, or none is cheaper than `below`.
    """
    low, tried = 0.0, set[Fleet]()
    while True:
        bound, fleet = cheapest(problem, valuations)
        low = max(low, bound)
        if fleet is None or fleet in tried or low >= below:
            return low
        tried.add(fleet)
        reasons = refute(fleet)
        if not reasons:
            return low
        valuations += reasons


def cheapest(problem: Problem, valuations: Sequence[Valuation]) -> tuple[float, Fleet | None]:
    """Return a price that no whole servers undercut which serve all pods, and the cheapest fleet.

    What whole servers cost is a multiple of what all prices are multiples of.
    """
    model = _model(problem, valuations, prices=True)
    model.run()
    bound = max(0.0, float(model.getInfo().mip_dual_bound)) * (1 - _ROUNDING)
    coin = math.gcd(*(kind.price for kind in problem.kinds)) or 1
    bound = float(math.ceil(bound / coin) * coin) if math.isfinite(bound) else 0.0
    return bound, _fleet(model, problem)


def roomiest(problem: Problem, valuations: Sequence[Valuation], price: float) -> Fleet | None:
    """Return how many of each kind have most to spare at no more than a price, if any suffice."""
    model = _model(problem, valuations, prices=False)
    numbers = np.arange(len(problem.kinds), dtype=np.int32)
    prices = np.array([kind.price / price for kind in problem.kinds])
    model.addRow(-highspy.kHighsInf, 1.0, len(numbers), numbers, prices)
    model.run()
    return _fleet(model, problem)


def _fleet(model: highspy.Highs, problem: Problem) -> Fleet | None:
    amounts = list(model.getSolution().col_value)[: len(problem.kinds)]
    solved = model.getInfo().primal_solution_status == highspy.kSolutionStatusFeasible
    return tuple(round(amount) for amount in amounts) if solved and any(amounts) else None


def most_pods(problem: Problem, valuations: Sequence[Valuation]) -> float:
    """Return how many pods no whole servers within the limits exceed."""
    model = solver(_SECONDS)
    kinds = len(problem.kinds)
    for number in range(kinds):
        model.addVar(0.0, highspy.kHighsInf)
        model.changeColIntegrality(number, highspy.HighsVarType.kInteger)
    for index, count in enumerate(problem.counts):
        model.addVar(0.0, float(count))
        model.changeColCost(kinds + index, -1.0)
        model.changeColIntegrality(kinds + index, highspy.HighsVarType.kInteger)
    numbers = np.arange(kinds + len(problem.counts), dtype=np.int32)
    for valuation in valuations:
        scale = 1 / max(_worth(problem, valuation), _TINY)
        row = np.array([*(m for m in valuation.most), *(-value for value in valuation.values)])
        model.addRow(-_TINY, highspy.kHighsInf, len(numbers), numbers, row * scale)
    _add_limits(model, problem)
    model.run()
    return float(-model.getInfo().mip_dual_bound) * (1 + _ROUNDING)


def _worth(problem: Problem, valuation: Valuation) -> float:
    return sum(v * n for v, n in zip(valuation.values, problem.counts, strict=True))


def _add_limits(model: highspy.Highs, problem: Problem) -> None:
    numbers = np.arange(len(problem.kinds), dtype=np.int32)
    for limit, left in enumerate(problem.limits):
        amounts = np.array([float(dict(kind.uses).get(limit, 0)) for kind in problem.kinds])
        model.addRow(-highspy.kHighsInf, float(left), len(numbers), numbers, amounts)


def _model(problem: Problem, valuations: Sequence[Valuation], *, prices: bool) -> highspy.Highs:
    """Least price, or most to spare in the valuation that is scarcest."""
    model = solver(_SECONDS)
    model.setOptionValue("mip_rel_gap", 0.0)
    kinds = problem.kinds
    for number, kind in enumerate(kinds):
        model.addVar(0.0, highspy.kHighsInf)
        model.changeColCost(number, float(kind.price) if prices else 0.0)
        model.changeColIntegrality(number, highspy.HighsVarType.kInteger)
    model.addVar(0.0, 0.0 if prices else _ENOUGH)
    model.changeColCost(len(kinds), -1.0)
    numbers = np.arange(len(kinds) + 1, dtype=np.int32)
    for valuation in valuations:
        worth = _worth(problem, valuation)
        if not worth:
            continue
        row = np.array([*(most / worth for most in valuation.most), -1.0])
        model.addRow(1.0 - _TINY, highspy.kHighsInf, len(numbers), numbers, row)
    _add_limits(model, problem)
    return model
