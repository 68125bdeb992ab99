"""Why a pod is not served: the answer of the pool that comes closest to serving it, in numbers."""

from collections.abc import Iterator, Sequence
from enum import IntEnum

from hk3s_autoscaler.model.pod import PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.limits import Limit, gib
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.supply import Offer, pause
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import conflicts, mismatch


class _Near(IntEnum):
    """How far a pool comes; the reason of the one that comes furthest is told."""

    RULES = 0
    SIZE = 1
    STOCK = 2
    LIMIT = 3


def explain(
    spec: PodSpec,
    world: World,
    offers: Sequence[Offer],
    limits: Sequence[Limit],
    left: Sequence[int],
) -> Reason:
    """Say why pods of a spec are neither placed nor bought for; `left` is what limits leave."""
    if world.no_growth is not None:
        return world.no_growth
    if not world.snapshot.pools:
        return Reason(Code.NO_POOL_MATCHES, "there is no NodePool")
    answers = list(_answers(spec, world, offers, limits, left))
    furthest = max(near for near, _ in answers)
    reasons = [reason for near, reason in answers if near is furthest]
    codes = [reason.code for reason in reasons]
    code = codes[0]
    return Reason(code, "; ".join(dict.fromkeys(reason.message for reason in reasons)))


def _answers(
    spec: PodSpec,
    world: World,
    offers: Sequence[Offer],
    limits: Sequence[Limit],
    left: Sequence[int],
) -> Iterator[tuple[_Near, Reason]]:
    for pool in world.snapshot.pools:
        own = [offer for offer in offers if offer.pool.name == pool.name]
        yield (
            _answer(pool.name, spec, own, limits, left)
            if own
            else (
                _Near.RULES,
                pause(pool, world.now)
                or Reason(
                    Code.NO_POOL_MATCHES, f"pool {pool.name}: nothing that it takes is for sale"
                ),
            )
        )


def _answer(
    pool: str,
    spec: PodSpec,
    offers: Sequence[Offer],
    limits: Sequence[Limit],
    left: Sequence[int],
) -> tuple[_Near, Reason]:
    allowed = [offer for offer in offers if not mismatch(spec, offer.place)]
    if not allowed:
        rules = mismatch(spec, offers[0].place)
        return _Near.RULES, Reason(Code.NO_POOL_MATCHES, f"pool {pool}: {rules}")
    fitting = [
        offer
        for offer in allowed
        if spec.requests.fits(offer.place.room)
        and not conflicts(spec.host_ports, offer.place.ports)
    ]
    if not fitting:
        return _Near.SIZE, Reason(Code.NO_OFFERING_FITS, _size(spec, allowed))
    free = [offer for offer in fitting if offer.hindrance is None]
    if not free:
        hindrances = [offer.hindrance for offer in fitting if offer.hindrance is not None]
        words = ", ".join(dict.fromkeys(reason.message for reason in hindrances))
        return _Near.STOCK, Reason(hindrances[0].code, words)
    return _Near.LIMIT, _tightest(free[0], limits, left)


def _size(spec: PodSpec, offers: Sequence[Offer]) -> str:
    wanted = spec.requests
    rooms = [offer.place.room for offer in offers]
    short = [
        f"{name} {wanted_text} > largest {largest_text}"
        for name, wanted_text, largest_text, is_short in _compared(wanted, rooms)
        if is_short
    ]
    if short:
        return ", ".join(short)
    if any(wanted.fits(room) for room in rooms):
        ports = ", ".join(f"{protocol} {port}" for _, protocol, port in spec.host_ports)
        return f"host port {ports} is taken by a DaemonSet"
    asked = ", ".join(f"{name} {text}" for name, text, _, _ in _compared(wanted, rooms) if text)
    return f"no server has room for {asked} together"


def _compared(
    wanted: Resources, rooms: Sequence[Resources]
) -> Iterator[tuple[str, str, str, bool]]:
    cpu = max(room.cpu_milli for room in rooms)
    yield "cpu", _cores(wanted.cpu_milli), _cores(cpu), wanted.cpu_milli > cpu
    memory = max(room.memory_bytes for room in rooms)
    yield "memory", gib(wanted.memory_bytes), gib(memory), wanted.memory_bytes > memory
    disk = max(room.ephemeral_bytes for room in rooms)
    if wanted.ephemeral_bytes:
        short = wanted.ephemeral_bytes > disk
        yield "ephemeral-storage", gib(wanted.ephemeral_bytes), gib(disk), short
    for name, amount in wanted.extended:
        most = max(dict(room.extended).get(name, 0) for room in rooms)
        yield name, str(amount), str(most), amount > most


def _cores(milli: int) -> str:
    return f"{milli / 1000:g}" if milli % 100 == 0 else f"{milli}m"


def _tightest(offer: Offer, limits: Sequence[Limit], left: Sequence[int]) -> Reason:
    """The limit that leaves room for the fewest servers like the cheapest that would do."""
    uses = [
        (rest // amount, number)
        for number, (limit, rest) in enumerate(zip(limits, left, strict=True))
        if (amount := limit.takes(offer.pool.name, offer.offering))
    ]
    number = min(uses)[1]
    return limits[number].reason(left[number])
