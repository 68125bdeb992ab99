"""Why given servers cannot hold all pods: by each resource alone, then by all together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hk3s_autoscaler.exact import axes
from hk3s_autoscaler.exact.columns import Columns
from hk3s_autoscaler.exact.valuation import Valuation
from hk3s_autoscaler.planning.problem import Problem
from hk3s_autoscaler.planning.relaxation import Load

_SURE = 2e-6
"""By what part pods must be worth more than servers hold: more than a solver lets pass."""


def refute(
    problem: Problem,
    fleet: Sequence[int],
    loads: Iterable[Load],
    running: Callable[[], bool],
) -> tuple[Valuation, ...]:
    """Return valuations by which so many servers of each kind hold less than all pods are worth.

    They hold for any servers. None is returned where the pods seem to fit, if only in fractions of
    `loads` and of others that are found while it may run.
    """
    return axes.refute(problem, fleet, running) or _refute_jointly(problem, fleet, loads, running)


def denies(valuation: Valuation, problem: Problem, fleet: Sequence[int]) -> bool:
    """Whether pods are worth more than so many servers can hold."""
    worth = sum(v * n for v, n in zip(valuation.values, problem.counts, strict=True))
    held = sum(m * n for m, n in zip(valuation.most, fleet, strict=True))
    return worth > held * (1 + _SURE)


def _refute_jointly(
    problem: Problem,
    fleet: Sequence[int],
    loads: Iterable[Load],
    running: Callable[[], bool],
) -> tuple[Valuation, ...]:
    """Place pods on servers that cost nothing and are so many: what must one miss, and why?"""
    kinds = tuple(replace(k, uses=((number, 1),)) for number, k in enumerate(problem.kinds))
    given = replace(problem, kinds=kinds, limits=tuple(fleet))
    columns = Columns(given, [0.0] * len(kinds), 1.0)
    columns.add((kind, pattern) for kind, pattern in loads if fleet[kind])
    columns.generate(lambda: running() and not denies(columns.valuations[-1], problem, fleet))
    newest = columns.valuations[-1]
    return (newest,) if denies(newest, problem, fleet) else ()
