"""What may be bought: offerings of pools, as the places that they would become."""

from dataclasses import dataclass, replace
from datetime import datetime

from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Offering, OfferingBlock, OfferingKey
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.planning.experience import learnt_taints
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import Place, new_place, with_daemons


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offering for a pool. `place` is the server once its DaemonSets run.

    `hindrance` says why it cannot be bought now: the pool is paused, or it was out of stock.
    """

    pool: NodePool
    offering: Offering
    place: Place
    hindrance: Reason | None = None

    @property
    def key(self) -> OfferingKey:
        """Server type and location."""
        return self.offering.key


def offers(world: World) -> tuple[Offer, ...]:
    """Return what the pools may be made of, cheapest first, also what cannot be bought now.

    Unusable pools have no offers. A block holds for every pool, since stock is
    Hetzner's and not the pool's.
    """
    blocks = _blocks(world)
    pools = [pool for pool in world.snapshot.pools if not pool.problem]
    learnt = {pool.name: learnt_taints(world, pool) for pool in pools}
    found = [
        _offer(world, pool, offering, blocks.get(offering.key), learnt[pool.name])
        for pool in pools
        for offering in world.snapshot.offerings
        if takes(pool, offering) and not is_withdrawn(offering, world.now)
    ]
    return tuple(sorted(found, key=_by_price))


def pause(pool: NodePool, now: datetime) -> Reason | None:
    """Why a pool may not grow at all."""
    if pool.problem:
        return Reason(Code.POOL_INVALID, f"pool {pool.name}: {pool.problem}")
    if pool.paused_until is not None and pool.paused_until > now:
        until = f"{pool.paused_until:%H:%M} UTC"
        return Reason(Code.POOL_PAUSED, f"pool {pool.name} is paused until {until}: joins failed")
    return None


def takes(pool: NodePool, offering: Offering) -> bool:
    """Whether a pool may be made of an offering; no locations means every location."""
    if pool.locations and offering.key.location not in pool.locations:
        return False
    return _matches(pool.types, offering)


def is_withdrawn(offering: Offering, now: datetime) -> bool:
    """Whether Hetzner has stopped selling an offering for good."""
    return offering.unavailable_after is not None and offering.unavailable_after <= now


def tier(offer: Offer) -> tuple[bool, int]:
    """Offers of a lower tier go first, whatever they cost: in stock before doubtful, by weight."""
    return (not offer.offering.published_available, -offer.pool.weight)


def generation(offering: Offering) -> int:
    """Hetzner numbers the generations of a type with the last digit: cpx22 follows cpx21."""
    last = offering.key.server_type[-1:]
    return int(last) if last.isdecimal() else 0


def _matches(types: TypeFilter, offering: Offering) -> bool:
    # A type that is named is wanted for its architecture, too.
    named = offering.key.server_type in types.names
    chosen = named if types.names else offering.architecture in types.architectures
    return (
        chosen
        and offering.cpu_type in types.cpu_types
        and types.min_cores <= offering.cores
        and (types.max_cores is None or offering.cores <= types.max_cores)
        and types.min_memory_bytes <= offering.memory_bytes
        and (types.max_memory_bytes is None or offering.memory_bytes <= types.max_memory_bytes)
    )


def _offer(
    world: World,
    pool: NodePool,
    offering: Offering,
    block: OfferingBlock | None,
    learnt: tuple[Taint, ...],
) -> Offer:
    place = new_place(
        pool,
        offering,
        name=f"new-{pool.name}-{offering.key}",
        allocatable=world.learnt_allocatable.get(offering.key.server_type, offering.allocatable),
    )
    hindrance = pause(pool, world.now)
    if hindrance is None and block is not None:
        hindrance = Reason(
            Code.OUT_OF_STOCK, f"{block.key} until {block.until:%H:%M} UTC ({block.reason})"
        )
    place = replace(place, taints=(*place.taints, *learnt)) if learnt else place
    daemons = with_daemons(place, world.snapshot.daemonsets)
    return Offer(pool=pool, offering=offering, place=daemons, hindrance=hindrance)


def _blocks(world: World) -> dict[OfferingKey, OfferingBlock]:
    """Blocks that hold now; of several for one offering, the longest."""
    active = [b for pool in world.snapshot.pools for b in pool.blocks if b.until > world.now]
    return {block.key: block for block in sorted(active, key=lambda block: block.until)}


def _by_price(offer: Offer) -> tuple[object, ...]:
    return (
        offer.offering.micro_eur_per_hour,
        -generation(offer.offering),
        offer.key,
        offer.pool.name,
    )
