"""Growth: pending pods go to room that is there, then to servers on their way, then buy more."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.capacity import capacity
from hk3s_autoscaler.planning.demand import Demand, demand, pending, place
from hk3s_autoscaler.planning.limits import Limit, limits
from hk3s_autoscaler.planning.purchase import Bought, Shop
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import PodReport
from hk3s_autoscaler.planning.supply import Offer, offers, pause
from hk3s_autoscaler.planning.unserved import explain
from hk3s_autoscaler.planning.world import World

_NAMED_PODS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What is bought, what becomes of each pending pod, and what that counts on.

    `used` names the nodes and servers that pending pods are counted onto, `taken_back` those of
    them that were being drained. `blocked` says what holds each pool's growth back.
    """

    creates: tuple[CreateServer, ...] = ()
    pods: tuple[PodReport, ...] = ()
    used: frozenset[str] = frozenset()
    taken_back: frozenset[str] = frozenset()
    blocked: tuple[tuple[str, Reason], ...] = ()


def plan_scale_up(world: World, *, doomed: Iterable[str]) -> Growth:
    """Serve the pending pods; `doomed` names workers that this plan deletes."""
    gone = frozenset(doomed)
    waiting = pending(world)
    wanted = demand(world, [pod for pod in waiting if not pod.spec.unsupported])
    hand_out = _HandOut(wanted)
    room = capacity(world, gone)
    left = wanted.problem.counts
    reports = [_unsupported(pod) for pod in waiting if pod.spec.unsupported]
    used: set[str] = set()
    taken_back: set[str] = set()
    coming = frozenset(slot.name for slot in room.coming)
    # Room that is there and servers on their way are one question: a node that has just joined,
    # filled to the brim by itself, would take the pods that another one's load needs to fit.
    for slots in ((*room.ready, *room.coming), room.leaving):
        placed = place(wanted, left, slots)
        left = placed.left
        for slot, load in placed.loads:
            used.add(slot.name)
            reason = _counted_on(slot.name, coming=coming, leaving=slots is room.leaving)
            reports += [_waits(pod, reason, slot.name) for pod in hand_out.take(load)]
        if slots is room.leaving:
            taken_back.update(slot.name for slot, _ in placed.loads)
    sale, ceilings = offers(world), limits(world)
    shop = Shop(world, wanted, sale, ceilings)
    if world.no_growth is None:
        left = shop.serve(left)
        short_of = list(_add_missing(world, shop, gone))
    else:
        short_of = []
    creates = [_create(bought, hand_out) for bought in shop.with_fallbacks()]
    for create in creates:
        reason = Reason(Code.WAITING_FOR_SERVER, f"{create.offering} is bought for it")
        reports += [
            PodReport(pod=k, reason=reason, target=str(create.offering)) for k in create.pods
        ]
    for index, missed in enumerate(left):
        spec = wanted.classes[index].spec
        if missed:
            reason = explain(spec, world, sale, ceilings, shop.left)
            reports += [_waits(pod, reason, "") for pod in hand_out.take(((index, missed),))]
    return Growth(
        creates=tuple(creates),
        pods=tuple(sorted(reports, key=lambda report: report.pod)),
        used=frozenset(used),
        taken_back=frozenset(taken_back),
        blocked=(*_hindered(world, sale), *short_of, *_at_limit(world, sale, ceilings, shop.left)),
    )


def _counted_on(name: str, *, coming: frozenset[str], leaving: bool) -> Reason:
    if leaving:
        return Reason(Code.WAITING_FOR_SCHEDULER, f"its removal is taken back: {name}")
    if name in coming:
        return Reason(Code.WAITING_FOR_SERVER, f"counts on {name}")
    return Reason(Code.WAITING_FOR_SCHEDULER, f"there is room on {name}")


class _HandOut:
    """Turns numbers of a class back into its pods, longest waiting first."""

    def __init__(self, wanted: Demand) -> None:
        self._pods = [iter(c.pods) for c in wanted.classes]

    def take(self, load: Iterable[tuple[int, int]]) -> list[Pod]:
        return [next(self._pods[index]) for index, number in load for _ in range(number)]


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


def _create(bought: Bought, hand_out: _HandOut) -> CreateServer:
    keys = tuple(pod.key for pod in hand_out.take(bought.load))
    pool = bought.offer.pool
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
