"""Which servers to exchange for fewer or cheaper ones: the best of some sets, by rehearsal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.resources import total
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.capacity import free_rooms
from hk3s_autoscaler.planning.packing import sketch
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.rehearsal import Rehearsal, rehearse
from hk3s_autoscaler.planning.savings import BOOT, HOUR, hours_spared, monthly
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World

_SETS_TRIED = 16
_PODS_SKETCHED = 2_000
"""No further set is looked at once so many pods have been moved in thought."""
_SINGLES_TRIED = 6
_SETS_PLANNED = 3
"""Of the sets that promise most so many are planned as thoroughly as a purchase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Several servers for fewer or cheaper ones; `saving` is in micro-euro a month."""

    removed: tuple[Candidate, ...]
    creates: tuple[CreateServer, ...]
    saving: int

    @property
    def score(self) -> int:
        """What is saved beyond what a change has to be worth."""
        return self.saving - min_savings(self.removed)


def best_exchange(world: World, rest: Sequence[Candidate]) -> Exchange | None:
    """Return the best of some sets of servers to give back against a purchase."""
    marked = tuple(c for c in rest if c.node.unneeded_since is not None)
    if marked:
        again = _exchange_of(world, marked)
        if again is not None:
            return again
    tried: set[frozenset[str]] = set()
    pods = 0
    sketched: list[tuple[bool, int, tuple[Candidate, ...]]] = []
    roughly = replace(world, packer=sketch)
    for removed in _sets(world, rest):
        names = frozenset(c.name for c in removed)
        if not names or names in tried:
            continue
        tried.add(names)
        promise = _sketched(roughly, removed)
        if promise is not None:
            sketched.append((*promise, removed))
        pods += sum(len(c.pods) for c in removed)
        if len(tried) >= _SETS_TRIED or pods >= _PODS_SKETCHED:
            break
    # Sets that hold servers for which the same would be bought are hardly ever worth the plan.
    sketched.sort(key=lambda entry: (entry[0], -entry[1]))
    found = (_exchange_of(world, removed) for _, _, removed in sketched[:_SETS_PLANNED])
    return max((e for e in found if e is not None), key=lambda e: e.score, default=None)


def _sketched(world: World, removed: Sequence[Candidate]) -> tuple[bool, int] | None:
    """Whether an exchange buys some of the same, and what it might save beyond what it has to.

    `None` if it cannot pay.
    """
    if not _may_pay(world, removed):
        return None
    outcome = rehearse(world, removed)
    if outcome.unserved is not None or not outcome.creates:
        return None
    # A purchase that is thought over is a few per cent cheaper than a sketched one.
    bought = [create.micro_eur_per_hour * 19 // 20 for create in outcome.creates]
    score = _saving(world, removed, bought) - min_savings(removed)
    return (_buys_the_same(removed, outcome), score) if score >= 0 else None


def _sets(world: World, rest: Sequence[Candidate]) -> Iterable[tuple[Candidate, ...]]:
    """Single servers for which something cheaper might do, then growing groups of the emptiest."""
    yield from _dear_ones(world, rest)
    by_waste = sorted(rest, key=lambda c: (-_waste(c), c.name))
    for group in (by_waste, *_by_pool(by_waste)):
        size, step = 2, 1
        while size < len(group):
            yield tuple(group[:size])
            size, step = size + step, size
        yield tuple(group)


def _by_pool(order: Sequence[Candidate]) -> list[list[Candidate]]:
    pools = list(dict.fromkeys(c.pool.name for c in order))
    if len(pools) < 2:  # noqa: PLR2004 - one pool is the whole
        return []
    return [[c for c in order if c.pool.name == pool] for pool in pools]


def _dear_ones(world: World, rest: Sequence[Candidate]) -> Iterable[tuple[Candidate, ...]]:
    sale = [offer for offer in offers(world) if offer.hindrance is None]
    found = []
    for candidate in rest:
        wanted = total(pod.spec.requests for pod in candidate.pods)
        cheapest = next((o for o in sale if wanted.fits(o.place.room)), None)
        if cheapest is not None and cheapest.offering.micro_eur_per_hour < candidate.price:
            found.append((cheapest.offering.micro_eur_per_hour - candidate.price, candidate))
    found.sort(key=lambda entry: (entry[0], entry[1].name))
    yield from ((candidate,) for _, candidate in found[:_SINGLES_TRIED])


def _waste(candidate: Candidate) -> int:
    """The price of what is not asked for, by the resource of which most is."""
    have = candidate.node.allocatable
    used = total(pod.spec.requests for pod in candidate.pods)
    share = max(
        used.cpu_milli / max(1, have.cpu_milli), used.memory_bytes / max(1, have.memory_bytes)
    )
    return round(candidate.price * max(0.0, 1 - share))


def _exchange_of(world: World, removed: Sequence[Candidate]) -> Exchange | None:
    outcome = rehearse(world, removed)
    if outcome.unserved is not None or not outcome.creates:
        return None
    saving = _saving(world, removed, [create.micro_eur_per_hour for create in outcome.creates])
    if saving < min_savings(removed) or _buys_the_same(removed, outcome):
        return None
    return Exchange(
        removed=tuple(removed), creates=_trimmed(world, removed, outcome), saving=saving
    )


def _saving(world: World, removed: Sequence[Candidate], bought: Iterable[int]) -> int:
    """Micro-euro a month that servers of these prices in place of some save."""
    spared = [
        (c.price, _hours(world, c, wave)) for wave, c in enumerate(sorted(removed, key=_phase))
    ]
    return monthly(spared, bought)


def _may_pay(world: World, removed: Sequence[Candidate]) -> bool:
    """Tell without rehearsal what cannot pay: the cheapest CPU or memory on sale costs too much.

    What is free on the other nodes comes for nothing.
    """
    gone = {c.name for c in removed}
    free = total(room for name, room in free_rooms(world).items() if name not in gone)
    short = total(pod.spec.requests for c in removed for pod in c.pods) - free
    rooms = [
        (o.place.room, o.offering.micro_eur_per_hour) for o in offers(world) if not o.hindrance
    ]
    least = max(
        _least(short.cpu_milli, [(room.cpu_milli, price) for room, price in rooms]),
        _least(short.memory_bytes, [(room.memory_bytes, price) for room, price in rooms]),
    )
    return monthly([(sum(c.price for c in removed), 24)], [least]) >= min_savings(removed)


def _least(wanted: int, sold: Sequence[tuple[int, int]]) -> int:
    """The price of so much of a resource where it is cheapest, whole servers or not."""
    if wanted <= 0:
        return 0
    return min((wanted * price // room for room, price in sold if room > 0), default=1 << 62)


def _buys_the_same(removed: Sequence[Candidate], outcome: Rehearsal) -> bool:
    """Whether a server would take over from one of its own kind: moving fewer does the same."""
    prices = {c.server.offering.server_type: c.price for c in removed}
    return any(
        create.micro_eur_per_hour >= prices.get(create.offering.server_type, 1 << 62)
        for create in outcome.creates
    )


def _phase(candidate: Candidate) -> tuple[int, str]:
    return candidate.server.created_at.minute, candidate.name


def _hours(world: World, candidate: Candidate, wave: int) -> int:
    """Hours spared when it is the turn of a server; a tenth of a pool at once is usual."""
    ready = world.now + BOOT
    keep = candidate.pool.disruption.keep_until_hour_end
    return hours_spared(candidate.server, world.now, ready + (wave // 4) * HOUR, keep_hour=keep)


def _trimmed(
    world: World, removed: Sequence[Candidate], outcome: Rehearsal
) -> tuple[CreateServer, ...]:
    """Take out fallbacks that would eat the savings: then nothing is bought rather."""
    spare = sum(c.price for c in removed) - outcome.price
    spare -= -(-min_savings(removed) // (24 * 26))
    each = max(0, spare) // len(outcome.creates)
    trimmed = []
    for create in outcome.creates:
        most = create.micro_eur_per_hour + each
        kept = tuple(
            key for key in create.fallbacks if world.offerings[key].micro_eur_per_hour <= most
        )
        trimmed.append(stand_in(replace(create, fallbacks=kept), removed))
    return tuple(trimmed)


def stand_in(create: CreateServer, removed: Sequence[Candidate]) -> CreateServer:
    """Name what a server takes over from; its pods still run, so it is not bought for them."""
    names = ", ".join(c.name for c in removed)
    reason = Reason(Code.REPLACEMENT, f"to take over from {names}")
    return replace(create, pods=(), reason=reason)


def min_savings(removed: Iterable[Candidate]) -> int:
    """What one change that moves the pods of these must save: the most that their pools ask for."""
    asked = (c.pool.disruption.min_savings_micro_eur_per_month for c in removed)
    return max(asked, default=0)
