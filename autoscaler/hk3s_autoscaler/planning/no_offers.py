"""Pools that can never serve: nothing that is sold meets what they ask for."""

from collections.abc import Callable, Iterator, Sequence

from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.planning.limits import gib
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.supply import is_withdrawn
from hk3s_autoscaler.planning.world import World

_Test = Callable[[Offering], bool]


def no_offers(world: World, pool: NodePool) -> Reason | None:
    """Say what of a pool's spec leaves nothing to buy; `None` if something is left.

    Stock and blocks do not count here: they pass.
    """
    sold: Sequence[Offering] = [
        offering for offering in world.snapshot.offerings if not is_withdrawn(offering, world.now)
    ]
    if pool.problem or not sold:
        return None  # told as it is; nothing known of Hetzner's catalogue says nothing of the pool
    asked = []
    for words, meets in _criteria(pool):
        asked.append(words)
        sold = [offering for offering in sold if meets(offering)]
        if not sold:
            together = ", ".join(asked)
            return Reason(
                Code.POOL_INVALID, f"pool {pool.name}: no server is sold that meets {together}"
            )
    return None


def _criteria(pool: NodePool) -> Iterator[tuple[str, _Test]]:
    """What the pool asks for, in the words of its spec."""
    types, places = pool.types, pool.locations
    if types.names:
        yield f"serverTypes {' '.join(types.names)}", lambda o: o.key.server_type in types.names
    else:
        arch = " ".join({"x86": "amd64", "arm": "arm64"}[name] for name in types.architectures)
        yield f"arch {arch}", lambda o: o.architecture in types.architectures
    if places:
        yield f"locations {' '.join(places)}", lambda o: o.key.location in places
    yield f"cpuType {' '.join(types.cpu_types)}", lambda o: o.cpu_type in types.cpu_types
    yield f"minCores {types.min_cores}", lambda o: o.cores >= types.min_cores
    least = types.min_memory_bytes
    yield f"minMemory {gib(least)}", lambda o: o.memory_bytes >= least
    cores, most = types.max_cores, types.max_memory_bytes
    if cores is not None:
        yield f"maxCores {cores}", lambda o: o.cores <= cores
    if most is not None:
        yield f"maxMemory {gib(most)}", lambda o: o.memory_bytes <= most
