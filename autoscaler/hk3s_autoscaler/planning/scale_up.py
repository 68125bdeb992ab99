"""Growth: pending pods go to room that is there, then to servers on their way, then buy more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.bonds import bonds
from hk3s_autoscaler.planning.capacity import Slot, capacity
from hk3s_autoscaler.planning.claims import FIRST_GUESS, Guess
from hk3s_autoscaler.planning.demand import Demand, demand, pending
from hk3s_autoscaler.planning.experience import refused
from hk3s_autoscaler.planning.limits import Limit, limits
from hk3s_autoscaler.planning.narrowing import narrow
from hk3s_autoscaler.planning.placing import place
from hk3s_autoscaler.planning.problem import Kind
from hk3s_autoscaler.planning.purchase import Bought, Shop
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import PodReport
from hk3s_autoscaler.planning.settling import Settling
from hk3s_autoscaler.planning.spots import Spot
from hk3s_autoscaler.planning.storage import Attachments
from hk3s_autoscaler.planning.supply import Offer, offers, pause
from hk3s_autoscaler.planning.unserved import explain
from hk3s_autoscaler.planning.world import World

_NAMED_PODS = 3
_GUESSES = 6
_NO_ROOM = Reason(Code.NO_PLACE, "it finds no room in what is there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What is bought, what becomes of each pending pod, and what that counts on.

    `used` names the nodes and servers that pending pods are counted onto, `taken_back` those of
    them that were being drained. `blocked` says what holds each pool's growth back.
    `order`: pods that rules about others bear on, in an order in which each may be bound, with the
    node or server they go to, or the number of the purchase.
    """

    creates: tuple[CreateServer, ...] = ()
    pods: tuple[PodReport, ...] = ()
    used: frozenset[str] = frozenset()
    taken_back: frozenset[str] = frozenset()
    blocked: tuple[tuple[str, Reason], ...] = ()
    order: tuple[tuple[PodKey, str | int], ...] = ()


def plan_scale_up(world: World, *, doomed: Iterable[str], buy: bool = True) -> Growth:
    """Serve the pending pods; `doomed` names workers that this plan deletes.

    Without `buy` nothing is for sale: is what is there enough?
    Which volumes pods share or compete for will get is guessed; if pods are not served for it, a
    few other guesses are tried, and the plan that serves most is taken.
    """
    gone = frozenset(doomed)
    guess: Guess | None = FIRST_GUESS
    plans: list[Growth] = []
    while guess is not None and len(plans) < _GUESSES:
        growth, volumes = _grow(world, gone, guess, buy=buy)
        plans.append(growth)
        guess = volumes.revised(guess, _served(growth))
    return max(plans, key=lambda found: len(_served(found)))


def _served(growth: Growth) -> frozenset[PodKey]:
    return frozenset(report.pod for report in growth.pods if report.target)


def _grow(
    world: World, gone: frozenset[str], guess: Guess, *, buy: bool
) -> tuple[Growth, Attachments]:
    on_sale = offers(world) if buy else ()
    volumes = Attachments(world, pending(world), capacity(world, gone), on_sale, guess)
    waiting, room, sale = volumes.pods, volumes.room, volumes.sale
    kept_off = refused(world, waiting, room.ready)
    judged = [p for p in waiting if not (p.spec.unsupported or p.key in kept_off)]
    ceilings = limits(world)
    slots = (*room.ready, *room.coming)
    ties = bonds(world, judged, gone)
    shapes = narrow(ties, judged, (*slots, *room.leaving), sale)
    wanted = demand(world, judged, bonds=ties, shapes=shapes)
    hand_out, left = _HandOut(wanted, (*slots, *room.leaving)), wanted.packable
    kinds = cache(lambda: _kinds(wanted, sale) if world.no_growth is None else ())
    spots: list[Spot] = []
    # Room that is there and servers on their way are one question: a node that has just joined,
    # filled to the brim by itself, would take the pods that another one's load needs to fit.
    for part in (slots, room.leaving):
        placed = place(wanted, left, part, sale=kinds, only_all=not buy)
        left = placed.left
        loads = {slot.name: load for slot, load in placed.loads}
        spots += [
            _spot(slot, hand_out.take(loads.get(slot.name, ()), slot.expected)) for slot in part
        ]
    shop = Shop(world, wanted, sale, ceilings)
    short_of: list[tuple[str, Reason]] = []
    if buy and world.no_growth is None:
        left = shop.serve(left)
        short_of = list(_add_missing(world, shop, gone))
    spots += [shop.spot(number, hand_out.take(b.load)) for number, b in enumerate(shop.bought)]
    homeless = [*hand_out.take(enumerate(left)), *hand_out.unpackable()]
    order: tuple[tuple[Pod, str], ...] = ()
    rules: Mapping[PodKey, str] = {}
    if ties.roles:
        settling = Settling(bonds=ties, spots=spots, is_overdue=wanted.is_overdue, shop=shop)
        settled = settling.run(homeless)
        homeless, order, rules = list(settled.left), settled.order, settled.rules
    creates = [
        (spot.name, _create(bought, [pod.key for pod in spot.pods]))
        for spot, bought in shop.receipts(spots)
    ]
    coming, leaving = _names(room.coming), _names(room.leaving)
    reports = [_unsupported(pod) for pod in waiting if pod.spec.unsupported]
    reports += [_waits(p, kept_off[p.key], "") for p in waiting if p.key in kept_off]
    for spot in spots:
        reason = _counted_on(spot.name, coming=coming, leaving=leaving)
        if spot.bought is None:
            reports += [_waits(pod, reason, spot.name) for pod in spot.pods]
    for _, create in creates:
        reason = Reason(Code.WAITING_FOR_SERVER, f"{create.offering} is bought for it")
        reports += [
            PodReport(pod=k, reason=reason, target=str(create.offering)) for k in create.pods
        ]
    told: dict[PodSpec, Reason] = {}
    for pod in homeless:
        if pod.spec not in told:
            told[pod.spec] = (
                explain(pod.spec, world, sale, ceilings, shop.left) if buy else _NO_ROOM
            )
        rule = Reason(Code.POD_RULES, rules[pod.key]) if pod.key in rules else None
        reports.append(_waits(pod, rule or told[pod.spec], ""))
    used = frozenset(spot.name for spot in spots if spot.pods and spot.bought is None)
    numbers = {name: number for number, (name, _) in enumerate(creates)}
    growth = Growth(
        creates=tuple(create for _, create in creates),
        pods=tuple(sorted(reports, key=lambda report: report.pod)),
        used=used,
        taken_back=used & leaving,
        blocked=(*_hindered(world, sale), *short_of, *_at_limit(world, sale, ceilings, shop.left)),
        order=tuple((pod.key, numbers.get(name, name)) for pod, name in order),
    )
    return growth, volumes


def _kinds(wanted: Demand, sale: Sequence[Offer]) -> tuple[Kind, ...]:
    """What may be bought now, as numbers."""
    found = {
        Kind(
            room=wanted.vector(offer.place.room),
            price=offer.offering.micro_eur_per_hour,
            classes=wanted.suited(offer.place),
        )
        for offer in sale
        if offer.hindrance is None
    }
    return tuple(sorted((k for k in found if k.classes), key=lambda k: (k.price, k.room)))


def _spot(slot: Slot, pods: list[Pod]) -> Spot:
    return Spot(name=slot.name, place=slot.place, tried=slot.tried, pods=pods)


def _names(slots: Iterable[Slot]) -> frozenset[str]:
    return frozenset(slot.name for slot in slots)


def _counted_on(name: str, *, coming: frozenset[str], leaving: frozenset[str]) -> Reason:
    if name in leaving:
        return Reason(Code.WAITING_FOR_SCHEDULER, f"its removal is taken back: {name}")
    if name in coming:
        return Reason(Code.WAITING_FOR_SERVER, f"counts on {name}")
    return Reason(Code.WAITING_FOR_SCHEDULER, f"there is room on {name}")


class _HandOut:
    """Turns numbers of a class back into its pods, longest waiting first.

    A pod that a server was bought for goes to that server, if one of its class does: were it bound
    elsewhere, that server would be expected to have room to spare, and be filled up with others.
    """

    def __init__(self, wanted: Demand, slots: Iterable[Slot]) -> None:
        self._class_of = wanted.class_of
        expected = {key for slot in slots for key in slot.expected}
        self._expected = {p.key: p for c in wanted.classes for p in c.pods if p.key in expected}
        self._pods = [
            chain(
                (pod for pod in c.pods if pod.key not in expected),
                (pod for pod in c.pods if pod.key in self._expected),
            )
            for c in wanted.classes
        ]
        self._unpackable = [
            pod
            for c, number in zip(wanted.classes, wanted.packable, strict=True)
            for pod in (() if number else c.pods)
        ]

    def unpackable(self) -> list[Pod]:
        """Pods that packing does not judge."""
        return self._unpackable

    def take(self, load: Iterable[tuple[int, int]], expected: Sequence[PodKey] = ()) -> list[Pod]:
        found: list[Pod] = []
        for index, number in load:
            own = [k for k in expected if k in self._expected and self._class_of[k] == index]
            chosen = [self._expected.pop(key) for key in own[:number]]
            others = list(islice(self._pods[index], number - len(chosen)))
            for pod in others if self._expected else ():
                self._expected.pop(pod.key, None)
            found += chosen
            found += others
        return found


def _add_missing(world: World, shop: Shop, gone: frozenset[str]) -> Iterator[tuple[str, Reason]]:
    """Buy what pools need to reach their minimum."""
    for pool in world.snapshot.pools:
        if pause(pool, world.now) is not None:
            continue
        have = len(world.alive(pool.name, but=gone))
        have += sum(bought.offer.pool.name == pool.name for bought in shop.bought)
        for missing in range(pool.min_nodes - have, 0, -1):
            if shop.add(pool.name) is None:
                words = f"pool {pool.name} is {missing} short of its minimum {pool.min_nodes}"
                yield pool.name, Reason(Code.MIN_NODES, words)
                break


def _create(bought: Bought, pods: Sequence[PodKey]) -> CreateServer:
    keys, pool = tuple(pods), bought.offer.pool
    return CreateServer(
        pool=pool.name,
        offering=bought.offer.key,
        fallbacks=bought.fallbacks,
        micro_eur_per_hour=bought.offer.offering.micro_eur_per_hour,
        pods=keys,
        reason=_named(keys)
        if keys
        else Reason(Code.MIN_NODES, f"pool {pool.name} has a minimum of {pool.min_nodes} nodes"),
    )


def _named(keys: Sequence[PodKey]) -> Reason:
    names = ", ".join(str(key) for key in keys[:_NAMED_PODS])
    more = len(keys) - _NAMED_PODS
    rest = f" and {more} more" if more > 0 else ""
    return Reason(Code.PENDING_PODS, f"for {names}{rest}")


def _waits(pod: Pod, reason: Reason, target: str) -> PodReport:
    return PodReport(pod=pod.key, reason=reason, target=target)


def _unsupported(pod: Pod) -> PodReport:
    rules = ", ".join(pod.spec.unsupported)
    return _waits(pod, Reason(Code.UNSUPPORTED_CONSTRAINT, f"cannot be judged yet: {rules}"), "")


def _hindered(world: World, sale: Sequence[Offer]) -> Iterator[tuple[str, Reason]]:
    for pool in world.snapshot.pools:
        closed = world.no_growth or pause(pool, world.now)
        if closed is not None:
            yield pool.name, closed
            continue
        for offer in sale:
            if offer.pool is pool and offer.hindrance is not None:
                yield pool.name, offer.hindrance


def _at_limit(
    world: World, sale: Sequence[Offer], ceilings: Sequence[Limit], left: Sequence[int]
) -> Iterator[tuple[str, Reason]]:
    """The limits that keep a pool from buying even its cheapest server."""
    for pool in world.snapshot.pools:
        cheapest = next((o for o in sale if o.pool is pool and o.hindrance is None), None)
        if cheapest is None:
            continue
        for limit, rest in zip(ceilings, left, strict=True):
            if limit.takes(pool.name, cheapest.offering) > rest:
                yield pool.name, limit.reason(rest)
