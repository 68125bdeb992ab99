"""Prices that no purchase undercuts, and purchases, both as good as a solver makes them.

The planner's own bound is quick; where pools or architectures split the pods it is loose. This one
generates columns with HiGHS, and a second bound knows that servers are bought whole.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from hk3s_autoscaler.exact.columns import Columns, greedy
from hk3s_autoscaler.exact.fleets import most_pods, raised
from hk3s_autoscaler.exact.joint import refute
from hk3s_autoscaler.exact.packer import ExactPacker
from hk3s_autoscaler.exact.worker import solve
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.exact import Answer, Request
from hk3s_autoscaler.planning.limits import Limit
from hk3s_autoscaler.planning.lower_bound import unbound
from hk3s_autoscaler.planning.relaxation import relax
from hk3s_autoscaler.planning.supply import Offer

SECONDS = 20.0
_UNIT = 10_000.0
"""Micro-euro to numbers that a solver likes."""
_MUST = 1_000.0
"""What a missed pod costs where all must be served, in those numbers."""
_WARM_UP = 1_000_000


class Unhurried(ExactPacker):
    """The exact pass with seconds of processor time: a bench may share its machine."""

    def ask(self, request: Request) -> Answer | None:
        """Return the last answer of the worker, run in this process."""
        return list(solve(request, time.process_time))[-1]


def least_price(
    pods: Sequence[Pod],
    sale: Sequence[Offer],
    *,
    ceilings: Sequence[Limit] = (),
    seconds: float = SECONDS,
) -> tuple[float, float]:
    """Micro-euro per hour below which no set of these offers holds all the pods.

    First as if servers could be bought in fractions, then knowing that they are whole.
    """
    problem = unbound(pods, sale, ceilings)
    columns = Columns(problem, [kind.price / _UNIT for kind in problem.kinds], _MUST)
    relaxed = relax(problem, _WARM_UP, greedy(problem))
    columns.add((number, pattern) for number, pattern, _ in relaxed.columns)
    values = [value / _UNIT for value in relaxed.values]
    columns.value(values, [due / _UNIT for due in relaxed.dues], relaxed.bound / _UNIT)
    columns.generate(_for(seconds))
    bound = columns.bound * _UNIT
    loads, running = tuple(columns.loads), _for(seconds)
    whole = raised(
        problem, columns.valuations, math.inf, lambda fleet: refute(problem, fleet, loads, running)
    )
    return bound, max(bound, whole)


def most_served(
    pods: Sequence[Pod], sale: Sequence[Offer], budget: int, *, seconds: float = SECONDS
) -> tuple[float, float]:
    """How many pods no purchase within a budget (micro-euro per hour) can exceed.

    First in fractions of servers, then in whole ones.
    """
    problem = unbound(pods, sale, ())
    limit = len(problem.limits)
    kinds = tuple(replace(k, uses=((limit, k.price),)) for k in problem.kinds)
    capped = replace(problem, kinds=kinds, limits=(budget,))
    columns = Columns(capped, [0.0] * len(kinds), 1.0)
    columns.generate(_for(seconds))
    most = sum(problem.counts) - columns.bound
    return most, min(most, most_pods(capped, columns.valuations))


def _for(seconds: float) -> Callable[[], bool]:
    """Hold while this process has not used so much more of a CPU."""
    end = time.process_time() + seconds
    return lambda: time.process_time() < end
