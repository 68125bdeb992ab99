"""Purchases under constraints, each with a bound of its own.

A case plans, pays, and says what nobody could have paid less than. Where a purchase meets empty
shelves the plan is carried out as the daemon does it, and made again until nothing is missing.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bench.bounds import Unhurried, least_price, most_served
from bench.workloads import (
    AGENT,
    CONFIG,
    MIB,
    NOW,
    diverse,
    pod,
    pods_of,
    pool,
    price_list,
    world,
)

from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import TypeFilter
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import Pod, Taint, Toleration
from hk3s_autoscaler.model.relations import Relations, Spread
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.limits import Limit, limits
from hk3s_autoscaler.planning.lower_bound import unbound
from hk3s_autoscaler.planning.packing import Packer, pack
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.supply import Offer, offers
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import ZONE_LABEL
from hk3s_autoscaler.simulation.cluster import Cluster
from hk3s_autoscaler.simulation.trace import Market, Trace

_ZONES = ("fsn1", "nbg1", "hel1")
_FREE = "free"
_MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a case paid or served, against what is possible at best.

    `ratio` is price / bound, or, where the budget is short, best / served: 1 is perfect. `exact` is
    the same for the exact pass, where it was asked for and applies, and `proved` the ratio that is
    proved to be out of reach with whole servers.
    """

    ratio: float
    exact: float | None = None
    proved: float = 1.0
    servers: int
    served: int
    pods: int
    rounds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How many pods, which seed, how many seconds for the exact pass (none: 0)."""

    pods: int
    seed: int
    exact: float = 0.0


Case = Callable[[Ask], Outcome]


def creates_of(given: World, packer: Packer = pack) -> list[CreateServer]:
    """Plan once: what is bought."""
    found = plan(given.snapshot, given.config, given.now, packer=packer)
    return [action for action in found.actions if isinstance(action, CreateServer)]


def scarce_stock(ask: Ask) -> Outcome:
    """Few of each type are left in the location, which nobody announces."""
    return _scarce(ask.pods, ask.seed, fallbacks=True)


def scarce_stock_replanned(ask: Ask) -> Outcome:
    """The same when a refused purchase is planned anew, instead of taking its next fallback."""
    return _scarce(ask.pods, ask.seed, fallbacks=False)


def _scarce(number: int, seed: int, *, fallbacks: bool) -> Outcome:
    left = 4 + number // 100
    pods = pods_of(diverse, number, seed)
    given = world(pods, offerings=price_list())
    ceilings = [_ceiling(o.key, left) for o in given.snapshot.offerings if _is_in(o, "fsn1")]
    bound, whole = least_price(pods, offers(given), ceilings=ceilings)
    cluster = Cluster(
        trace=Trace(start=NOW, duration=timedelta(days=1), workloads=(), daemonsets=(AGENT,)),
        market=Market(
            pools=given.snapshot.pools, offerings=given.snapshot.offerings, config=CONFIG
        ),
        chance=random.Random(seed),
    )
    cluster.pods = {waiting.key: waiting for waiting in pods}
    cluster.left = dict.fromkeys(cluster.left, left)
    now, rounds = NOW, 0
    while True:
        now += timedelta(seconds=1)
        found = plan(cluster.snapshot(now), CONFIG, now)
        creates = [action for action in found.actions if isinstance(action, CreateServer)]
        if not creates or rounds == _MOST_ROUNDS:
            break
        kept = creates if fallbacks else [replace(create, fallbacks=()) for create in creates]
        cluster.carry_out(kept, now)
        rounds += 1
    paid = sum(server.micro_eur_per_hour for server in cluster.servers.values())
    return Outcome(
        ratio=paid / bound,
        proved=whole / bound,
        servers=len(cluster.servers),
        served=sum(bool(report.target) for report in found.pods),
        pods=number,
        rounds=rounds,
    )


def max_nodes(ask: Ask) -> Outcome:
    """The pool may have three quarters of the nodes that the cheapest purchase takes."""
    pods = pods_of(diverse, ask.pods, ask.seed)
    free = len(creates_of(world(pods, offerings=price_list())))
    few = pool(max_nodes=max(1, free * 3 // 4))
    return _priced(world(pods, offerings=price_list(), pools=(few,)), ask.exact, bounded=True)


def euro_limit_that_suffices(ask: Ask) -> Outcome:
    """The budget is 2 % (at 100 pods 6 %) above the bound: who packs worse cannot serve all."""
    pods = pods_of(diverse, ask.pods, ask.seed)
    given = world(pods, offerings=price_list())
    spare = 1.02 if ask.pods >= 500 else 1.06
    budget = round(least_price(pods, offers(given))[0] * spare)
    creates = creates_of(replace(given, config=replace(CONFIG, max_micro_eur_per_hour=budget)))
    served = sum(len(create.pods) for create in creates)
    return Outcome(ratio=ask.pods / served, servers=len(creates), served=served, pods=ask.pods)


def euro_limit_that_is_short(ask: Ask) -> Outcome:
    """The budget is 70 % of the bound: as many pods as possible are to be served."""
    pods = pods_of(diverse, ask.pods, ask.seed)
    given = world(pods, offerings=price_list())
    sale = offers(given)
    budget = round(least_price(pods, sale)[0] * 0.7)
    creates = creates_of(replace(given, config=replace(CONFIG, max_micro_eur_per_hour=budget)))
    keys = {key for create in creates for key in create.pods}
    served = [waiting for waiting in pods if waiting.key in keys]
    best, whole = most_served(pods, sale, budget)
    return Outcome(
        ratio=best / max(1, len(served)),
        proved=best / whole,
        servers=len(creates),
        served=len(served),
        pods=ask.pods,
    )


def existing_nodes(ask: Ask) -> Outcome:
    """A third of the room that is needed is free on nodes that are there, half full."""
    sold = {o.key: o for o in price_list() if _is_in(o, "fsn1")}
    have = [sold[OfferingKey(kind, "fsn1")] for kind in ("cx33", "cx43", "cpx32")]
    nodes = [
        Node(
            name=f"{offering.key.server_type}-{n}",
            uid=f"{offering.key}-{n}",
            created_at=NOW - timedelta(days=1),
            labels=(("kubernetes.io/arch", "amd64"), (ZONE_LABEL, "fsn1")),
            allocatable=_half(offering.allocatable),
            ready_since=NOW - timedelta(seconds=1),
        )
        for offering in have
        for n in range(ask.pods // 30)
    ]
    pods = pods_of(diverse, ask.pods, ask.seed)
    given = world(pods, offerings=price_list(), nodes=tuple(nodes))
    sale = offers(given)
    # A node that is there is an offering for next to nothing, of which there are so many.
    free = tuple(_free(sale, offering) for offering in have)
    ceilings = [_ceiling(offer.key, ask.pods // 30) for offer in free]
    bound, whole = least_price(pods, (*sale, *free), ceilings=ceilings)
    bound, whole = bound - len(nodes), whole - len(nodes)
    found = plan(given.snapshot, given.config, given.now)
    creates = [action for action in found.actions if isinstance(action, CreateServer)]
    paid = sum(create.micro_eur_per_hour for create in creates)
    joint = unbound(pods, (*sale, *free), ceilings)
    return Outcome(
        ratio=paid / bound,
        exact=(Unhurried(ask.exact)(joint).price - len(nodes)) / bound if ask.exact else None,
        proved=whole / bound,
        servers=len(creates),
        served=sum(bool(report.target) for report in found.pods),
        pods=ask.pods,
    )


def tainted_pools(ask: Ask) -> Outcome:
    """Two pools, one tainted and of dedicated types: a third of the pods must go there, one may."""
    taint = Taint(key="dedicated", value="batch")
    may = (Toleration(key="dedicated", value="batch", effect="NoSchedule"),)
    batch = pool(
        "batch",
        taints=(taint,),
        types=TypeFilter(cpu_types=("dedicated",)),
        labels=(("kind", "batch"),),
    )
    rules: tuple[dict[str, Any], ...] = (
        {"tolerations": may, "node_selector": (("kind", "batch"),)},
        {"tolerations": may},
        {},
    )
    draw = diverse(random.Random(ask.seed))
    pods = [pod(f"p{n:05}", draw(), **rules[n % 3]) for n in range(ask.pods)]
    return _priced(world(pods, offerings=price_list(), pools=(pool(), batch)), ask.exact)


def two_architectures(ask: Ask) -> Outcome:
    """Arm and x86: a third of the pods runs on either, a third on each; CX is sold out."""
    arch = "kubernetes.io/arch"
    rules: tuple[dict[str, Any], ...] = (
        {},
        {"node_selector": ((arch, "amd64"),)},
        {"node_selector": ((arch, "arm64"),)},
    )
    draw = diverse(random.Random(ask.seed))
    pods = [pod(f"p{n:05}", draw(), **rules[n % 3]) for n in range(ask.pods)]
    both = pool(types=TypeFilter(architectures=("x86", "arm")))
    return _priced(world(pods, offerings=price_list(cx=False, arm=True), pools=(both,)), ask.exact)


def zone_spread(ask: Ask) -> Outcome:
    """Deployments spread over three locations (maxSkew 1, minDomains 3); a third of each a bound.

    The numbers are multiples of three, so that each location holds exactly a third of each.
    """
    draw = diverse(random.Random(ask.seed))
    pods: list[Pod] = []
    thirds: list[Pod] = []
    for app in range(10):
        label = (("app", f"a{app}"),)
        selector = LabelSelector(
            requirements=(Requirement(key="app", operator="In", values=(f"a{app}",)),)
        )
        spread = Spread(topology_key=ZONE_LABEL, max_skew=1, selector=selector, min_domains=3)
        shape = draw()
        many = 3 * (ask.pods // 30)
        made = [
            replace(
                pod(f"a{app}-{n:04}", shape, relations=Relations(spread=(spread,))), labels=label
            )
            for n in range(many)
        ]
        pods += made
        thirds += [pod(f"t{app}-{n:04}", shape) for n in range(many // 3)]
    wide = pool(locations=_ZONES)
    given = world(pods, offerings=price_list(), pools=(wide,))
    bound = whole = 0.0
    for zone in _ZONES:
        there = world(thirds, offerings=price_list(), pools=(pool(locations=(zone,)),))
        least = least_price(thirds, offers(there))
        bound, whole = bound + least[0], whole + least[1]
    creates = creates_of(given)
    paid = sum(create.micro_eur_per_hour for create in creates)
    served = sum(len(create.pods) for create in creates)
    return Outcome(
        ratio=paid / bound,
        exact=_exact_price(given, ask.exact) / bound if ask.exact else None,
        proved=whole / bound,
        servers=len(creates),
        served=served,
        pods=len(pods),
    )


CASES: tuple[Case, ...] = (
    scarce_stock,
    scarce_stock_replanned,
    max_nodes,
    euro_limit_that_suffices,
    euro_limit_that_is_short,
    existing_nodes,
    tainted_pools,
    two_architectures,
    zone_spread,
)


def _priced(given: World, exact: float, *, bounded: bool = False) -> Outcome:
    """Price against the bound, within the ceilings of the cluster and its pools if they bind."""
    pods = given.snapshot.pods
    ceilings = limits(given) if bounded else ()
    bound, whole = least_price(pods, offers(given), ceilings=ceilings)
    creates = creates_of(given)
    paid = sum(create.micro_eur_per_hour for create in creates)
    served = sum(len(create.pods) for create in creates)
    return Outcome(
        ratio=paid / bound,
        exact=_exact_price(given, exact) / bound if exact else None,
        proved=whole / bound,
        servers=len(creates),
        served=served,
        pods=len(pods),
    )


def _exact_price(given: World, seconds: float) -> int:
    creates = creates_of(given, Unhurried(seconds))
    return sum(create.micro_eur_per_hour for create in creates)


def _ceiling(key: OfferingKey, left: int) -> Limit:
    return Limit(
        code=Code.OUT_OF_STOCK,
        ceiling=left,
        used=0,
        left=left,
        words="",
        pool="",
        amount=lambda offering: int(offering.key == key),
        write=str,
    )


def _free(sale: Sequence[Offer], offering: Offering) -> Offer:
    """A node that is there, as an offer for a millionth of a euro."""
    like = next(offer for offer in sale if offer.key == offering.key)
    agent = AGENT.spec.requests
    room = _half(offering.allocatable) - agent
    return replace(
        like,
        offering=replace(
            offering,
            key=OfferingKey(f"{_FREE}-{offering.key.server_type}", offering.key.location),
            micro_eur_per_hour=1,
        ),
        place=replace(like.place, room=room),
    )


def _half(room: Resources) -> Resources:
    return Resources(
        cpu_milli=room.cpu_milli // 2,
        memory_bytes=room.memory_bytes // 2 // MIB * MIB,
        ephemeral_bytes=room.ephemeral_bytes,
        pods=room.pods // 2,
    )


def _is_in(offering: Offering, location: str) -> bool:
    return offering.key.location == location
