"""What to buy for pods that no room is left for, over all pools, in strict tiers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from hk3s_autoscaler.model.offering import OfferingKey
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.resources import total
from hk3s_autoscaler.planning.capacity import Slot
from hk3s_autoscaler.planning.demand import Demand
from hk3s_autoscaler.planning.limits import Limit
from hk3s_autoscaler.planning.placing import place
from hk3s_autoscaler.planning.problem import Kind, Pattern, Problem, Vector
from hk3s_autoscaler.planning.spots import Spot, fresh
from hk3s_autoscaler.planning.supply import Offer, generation, tier
from hk3s_autoscaler.planning.wishes import Company, discourages, meets, pack_apart, steps
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import Place

_MOST_FALLBACKS = 24
"""More would not be tried before the next loop plans anew."""

_FALLBACK_PERCENT = 175
"""What a fallback may cost of the first choice. What is dearer is not taken in its stead: the next
plan, seconds later, knows what is sold out and often finds several smaller servers for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """One server to buy, what it is bought for, and what may be taken in its stead.

    `for_minimum`: its pool needs it, whoever may run there.
    """

    offer: Offer
    load: Pattern
    fallbacks: tuple[OfferingKey, ...] = ()
    for_minimum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A kind of server, and the offers that are of this kind: they differ in location only."""

    kind: Kind
    offers: tuple[Offer, ...]


class Shop:
    """Buys within the limits; `left` is what they still allow, `counts` who still waits."""

    def __init__(
        self, world: World, wanted: Demand, offers: Sequence[Offer], limits: Sequence[Limit]
    ) -> None:
        self._world = world
        self._wanted = wanted
        self._offers = offers
        self._limits = limits
        self._spread = Counter(
            (w.pool, w.server.offering.location) for w in world.workers if w.server is not None
        )
        self._wishing = any(c.spec.preferences.nodes for c in wanted.classes)
        self._company = Company(world=world, classes=wanted.classes)
        self.left = [limit.left for limit in limits]
        self.bought: list[Bought] = []
        self._known_stand_ins: dict[str, list[tuple[Offer, Vector, frozenset[int]]]] = {}
        self._known_holders: dict[tuple[str, Pattern], tuple[Offer, ...]] = {}
        self._known_uses: dict[tuple[str, OfferingKey], tuple[tuple[int, int], ...]] = {}

    def serve(self, counts: Sequence[int]) -> tuple[int, ...]:
        """Buy for as many pods as can be served, and return how many of each class are not.

        Wishes about nodes decide before weight, and weight before price. What Hetzner publishes as
        sold out is tried last of all.
        """
        waiting = tuple(counts)
        asked = [c for c, n in zip(self._wanted.classes, waiting, strict=True) if n]
        for step in range(steps(asked, (offer.place for offer in self._offers))):
            for same in _tiers(self._offers):
                if any(waiting):
                    waiting = self._serve_from(self._models(same, waiting, step), waiting)
        return waiting

    def add(self, pool: str) -> Bought | None:
        """Buy the cheapest server of a pool for no pod in particular."""
        own = [o for o in self._offers if o.pool.name == pool and o.hindrance is None]
        for same in _tiers(own):
            for _, offers in groupby(same, key=lambda o: o.offering.micro_eur_per_hour):
                group = [offer for offer in offers if self.affords(offer)]
                if group:
                    newest = max(generation(offer.offering) for offer in group)
                    self._buy([o for o in group if generation(o.offering) == newest], ())
                    self.bought[-1] = replace(self.bought[-1], for_minimum=True)
                    return self.bought[-1]
        return None

    def spot(self, number: int, pods: Sequence[Pod]) -> Spot:
        """A server that is bought as a place to settle on."""
        offer, name = self.bought[number].offer, f"new-{number}"
        return Spot(name=name, place=fresh(offer.place, name), bought=number, pods=list(pods))

    def on_sale(self) -> Iterator[Offer]:
        """What may be bought one more of now, tier after tier, cheapest first."""
        if self._world.no_growth is None:
            for same in _tiers(self._offers):
                yield from (offer for offer in same if self.affords(offer))

    def buy(self, offer: Offer) -> Spot:
        """Buy one server that is on sale."""
        self._buy([offer], ())
        return self.spot(len(self.bought) - 1, ())

    def receipts(self, spots: Iterable[Spot]) -> Iterator[tuple[Spot, Bought]]:
        """Servers with what may be taken in their stead, once it is settled who goes where.

        What was bought for pods that have all been refused is not bought.
        """
        settled = [spot for spot in spots if spot.bought is not None]
        kept: list[tuple[Spot, Bought]] = []
        for spot in settled:
            bought = self.bought[spot.bought or 0]
            if not (spot.pods or bought.for_minimum):
                for number, amount in self._uses(bought.offer):
                    self.left[number] += amount
                continue
            load = Counter(self._wanted.class_of[pod.key] for pod in spot.pods)
            kept.append((spot, replace(bought, load=tuple(sorted(load.items())))))
        left = list(self.left)
        for spot, bought in kept:
            yield spot, bought if spot.bound else self._with_fallbacks(bought, left)

    def _serve_from(self, models: Sequence[_Model], counts: tuple[int, ...]) -> tuple[int, ...]:
        reachable = {index for model in models for index in model.kind.classes}
        here = tuple(n if index in reachable else 0 for index, n in enumerate(counts))
        if not any(here):
            return counts
        kinds = tuple(model.kind for model in models)
        problem = replace(self._wanted.problem, counts=here, kinds=kinds, limits=tuple(self.left))
        packing = pack_apart(
            problem, self._wanted.classes, self._world.packer, self._world.packer(problem)
        )
        if not any(packing.missed) or len(self._priorities()) == 1:
            for batch in packing.batches:
                for _ in range(batch.number):
                    self._buy(models[batch.kind].offers, batch.pattern)
            missed = packing.missed
        else:
            missed = self._serve_in_order(models, problem)
        return tuple(missed[index] if index in reachable else n for index, n in enumerate(counts))

    def _serve_in_order(self, models: Sequence[_Model], problem: Problem) -> tuple[int, ...]:
        """Not all can be served: the important first, the others in the room that they leave."""
        missed = [0] * len(problem.counts)
        first = len(self.bought)
        for priority in self._priorities():
            level = tuple(
                n if self._wanted.classes[index].spec.priority == priority else 0
                for index, n in enumerate(problem.counts)
            )
            level = self._share(level, first)
            packing = self._world.packer(replace(problem, counts=level, limits=tuple(self.left)))
            for batch in packing.batches:
                for _ in range(batch.number):
                    self._buy(models[batch.kind].offers, batch.pattern)
            missed = [a + b for a, b in zip(missed, packing.missed, strict=True)]
        return tuple(missed)

    def _share(self, counts: tuple[int, ...], first: int) -> tuple[int, ...]:
        """Put pods beside those that servers were bought for just now."""
        slots = {
            str(number): Slot(name=str(number), place=self._rest(bought))
            for number, bought in enumerate(self.bought)
            if number >= first
        }
        loads = {name: self.bought[int(name)].load for name in slots}
        placed = place(self._wanted, counts, tuple(slots.values()), loads)
        for slot, pattern in placed.loads:
            bought = self.bought[int(slot.name)]
            load = Counter(dict(bought.load)) + Counter(dict(pattern))
            self.bought[int(slot.name)] = replace(bought, load=tuple(sorted(load.items())))
        return placed.left

    def _rest(self, bought: Bought) -> Place:
        used = total(self._wanted.classes[i].spec.requests * n for i, n in bought.load)
        ports = {p for i, _ in bought.load for p in self._wanted.classes[i].spec.host_ports}
        room = bought.offer.place.room - used
        return replace(bought.offer.place, room=room, ports=bought.offer.place.ports | ports)

    def _priorities(self) -> list[int]:
        return sorted({c.spec.priority for c in self._wanted.classes}, reverse=True)

    def _models(self, sale: Iterable[Offer], counts: Sequence[int], step: int) -> list[_Model]:
        """Fold offers that differ in location only into one kind."""
        folded: dict[tuple[str, Kind], list[Offer]] = {}
        for offer in sale:
            classes = self._suited(offer.place, counts, step)
            if classes:
                kind = Kind(
                    room=self._wanted.vector(offer.place.room),
                    price=offer.offering.micro_eur_per_hour,
                    classes=classes,
                    uses=self._uses(offer),
                )
                folded.setdefault((offer.pool.name, kind), []).append(offer)
        return [_Model(kind=kind, offers=tuple(same)) for (_, kind), same in folded.items()]

    def _suited(self, place: Place, counts: Sequence[int], step: int) -> tuple[int, ...]:
        """Classes of which pods are wanted and that like a place well enough."""
        found = (i for i in self._wanted.suited(place) if counts[i])
        if not (self._wishing or any(map(discourages, place.taints))):
            return tuple(found)
        return tuple(i for i in found if meets(self._wanted.classes[i].spec, place, step))

    def _uses(self, offer: Offer) -> tuple[tuple[int, int], ...]:
        at = (offer.pool.name, offer.key)
        known = self._known_uses.get(at)
        if known is None:
            takes = (limit.takes(offer.pool.name, offer.offering) for limit in self._limits)
            known = tuple((number, amount) for number, amount in enumerate(takes) if amount)
            self._known_uses[at] = known
        return known

    def affords(self, offer: Offer) -> bool:
        """Whether the limits still allow one."""
        return all(self.left[number] >= amount for number, amount in self._uses(offer))

    def _buy(self, offers: Sequence[Offer], load: Pattern) -> None:
        offer = min(
            offers,
            key=lambda o: (
                -self._company.welcome(o.place, load),
                self._spread[o.pool.name, o.key.location],
                -generation(o.offering),
                o.key,
            ),
        )
        self._spread[offer.pool.name, offer.key.location] += 1
        for number, amount in self._uses(offer):
            self.left[number] -= amount
        self._company.join(offer.place, load)
        self.bought.append(Bought(offer=offer, load=load))

    def _with_fallbacks(self, bought: Bought, left: list[int]) -> Bought:
        own = dict(self._uses(bought.offer))
        extra: dict[int, int] = {}
        keys = []
        most = bought.offer.offering.micro_eur_per_hour * _FALLBACK_PERCENT // 100
        for offer in self._holders(bought.offer.pool.name, bought.load):
            more = {n: amount - own.get(n, 0) for n, amount in self._uses(offer)}
            affordable = all(left[number] >= amount for number, amount in more.items())
            dear = offer.offering.micro_eur_per_hour > most
            if affordable and not dear and offer.key != bought.offer.key:
                keys.append(offer.key)
                extra = {n: max(extra.get(n, 0), more.get(n, 0)) for n in extra | more}
        for number, amount in extra.items():
            left[number] -= max(0, amount)
        return replace(bought, fallbacks=tuple(keys))

    def _holders(self, pool: str, load: Pattern) -> tuple[Offer, ...]:
        """Offers of a pool that hold a load: by price, those published as sold out last."""
        known = self._known_holders.get((pool, load))
        if known is None:
            wanted = {index for index, _ in load}
            asked = self._wanted.problem.load(load) if load else ()
            # Who is beside whom stays the same, whatever server it is.
            holding = (
                offer
                for offer, room, classes in self._stand_ins(pool)
                if wanted <= classes
                and not any(
                    want > max(0, have) for want, have in zip(asked, room, strict=bool(load))
                )
            )
            known = tuple(islice(holding, _MOST_FALLBACKS))
            self._known_holders[pool, load] = known
        return known

    def _stand_ins(self, pool: str) -> list[tuple[Offer, Vector, frozenset[int]]]:
        """Offers of a pool with room and classes: by price, those published as sold out last."""
        known = self._known_stand_ins.get(pool)
        if known is None:
            tried = [o for o in self._offers if o.pool.name == pool and o.hindrance is None]
            tried.sort(key=lambda offer: not offer.offering.published_available)
            known = self._known_stand_ins[pool] = [
                (o, self._wanted.vector(o.place.room), frozenset(self._wanted.suited(o.place)))
                for o in tried
            ]
        return known


def _tiers(offers: Iterable[Offer]) -> Iterator[tuple[Offer, ...]]:
    """Offers that may be bought now, in groups that are tried one after another."""
    free = sorted((o for o in offers if o.hindrance is None), key=tier)
    for _, same in groupby(free, key=tier):
        yield tuple(same)
