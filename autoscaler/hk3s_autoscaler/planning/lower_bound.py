"""A price that no purchase can undercut: the yardstick for plans."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.demand import Demand
from hk3s_autoscaler.planning.filling import RULES
from hk3s_autoscaler.planning.limits import Limit
from hk3s_autoscaler.planning.packing import greedy_loads
from hk3s_autoscaler.planning.problem import Kind, Problem
from hk3s_autoscaler.planning.relaxation import relax
from hk3s_autoscaler.planning.supply import Offer
from hk3s_autoscaler.planning.tighten import simplified
from hk3s_autoscaler.scheduling.classes import classify

WORK = 1_000_000
"""About a second at worst; the bound is valid, if weaker, with less."""

_ROUNDING = 1e-7


def lower_bound(
    pods: Iterable[Pod],
    offers: Sequence[Offer],
    *,
    ceilings: Sequence[Limit] = (),
    work: int = WORK,
) -> int:
    """Return micro-euro per hour below which no set of servers of these offers holds the pods.

    Offers count whatever hinders them and all at once, in any number that the `ceilings` allow:
    leave out those that cannot be had. Pods that fit none of them count nothing. The bound is that
    of the relaxation, rounded down.
    """
    wanted = tuple(pods)
    if not wanted or not offers:
        return 0
    problem = unbound(wanted, offers, ceilings)
    rough = relax(problem, 1)
    loads = [load for rule in RULES for load in greedy_loads(problem, rough.values, rule)]
    relaxed = relax(problem, work, loads)
    return math.floor(relaxed.bound * (1 - _ROUNDING))


def unbound(pods: Iterable[Pod], offers: Sequence[Offer], ceilings: Sequence[Limit]) -> Problem:
    """Pods and offers as numbers; rules between pods are left aside, which keeps a bound one."""
    wanted = Demand(classes=classify(pods))
    kinds = {
        Kind(
            room=wanted.vector(offer.place.room),
            price=offer.offering.micro_eur_per_hour,
            classes=wanted.suited(offer.place),
            uses=tuple(
                (number, amount)
                for number, limit in enumerate(ceilings)
                if (amount := limit.takes(offer.pool.name, offer.offering))
            ),
        )
        for offer in offers
    }
    ordered = tuple(sorted((k for k in kinds if k.classes), key=lambda k: (k.price, k.room)))
    limits = tuple(limit.left for limit in ceilings)
    problem, _ = simplified(replace(wanted.problem, kinds=ordered, limits=limits))
    return problem
