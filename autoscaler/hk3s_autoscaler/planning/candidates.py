"""Workers that might be given back, and what is known of the others while deciding."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.drainability import Guard
from hk3s_autoscaler.planning.lifecycle import ON_THE_WAY, Phase
from hk3s_autoscaler.planning.reasons import Reason
from hk3s_autoscaler.planning.world import GOING, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A worker that is in service.

    `pods` would need another place; `blocker` is why one of them may not be moved, if so.
    """

    pool: NodePool
    server: Server
    node: Node
    pods: tuple[Pod, ...]
    blocker: Reason | None = None

    @property
    def name(self) -> str:
        """Its Node's name."""
        return self.node.name

    @property
    def price(self) -> int:
        """Micro-euro an hour, as recorded when it was bought."""
        return self.server.micro_eur_per_hour

    @property
    def is_empty(self) -> bool:
        """Whether nobody's pod keeps it."""
        return not self.pods and self.blocker is None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the checks look at: the world, what growth counts on, and who is leaving already."""

    world: World
    used: frozenset[str]
    staying: Counter[str]
    leaving: Counter[str]

    def without(self, candidate: Candidate) -> "Outlook":
        """The outlook once a candidate leaves as well."""
        pool = candidate.pool.name
        return replace(
            self,
            staying=self.staying - Counter([pool]),
            leaving=self.leaving + Counter([pool]),
        )


def candidates(world: World, doomed: Iterable[str]) -> tuple[Candidate, ...]:
    """Workers in service, those first that would be given back first: dearest, longest unneeded."""
    gone, guard = frozenset(doomed), Guard(world)
    found = []
    for worker in world.workers:
        pool, server, node = world.pools.get(worker.pool), worker.server, worker.node
        if pool is None or server is None or node is None or worker.name in gone:
            continue
        if worker.phase in (Phase.READY, Phase.UNNEEDED) and server.status not in GOING:
            pods, blocker = guard.movable(world.pods_on(node.name))
            priced = replace(server, micro_eur_per_hour=world.price_of(server))
            found.append(Candidate(pool=pool, server=priced, node=node, pods=pods, blocker=blocker))
    return tuple(
        sorted(found, key=lambda c: (-c.price, c.node.unneeded_since or world.now, c.name))
    )


def outlook(
    world: World, used: frozenset[str], taken_back: frozenset[str], doomed: Iterable[str]
) -> Outlook:
    """Count who stays and who is leaving; `taken_back` are removals that end in this plan."""
    gone = frozenset(doomed)
    staying = Counter(
        worker.pool
        for worker in world.workers
        if worker.server is not None
        and worker.name not in gone
        and worker.server.status not in GOING
        and (worker.phase is not Phase.DRAINING or worker.name in taken_back)
        # A server on its way may still fail to join: it does not stand in for one that works.
        and worker.phase not in (*ON_THE_WAY, Phase.LOST)
    )
    leaving = Counter(
        worker.pool
        for worker in world.workers
        if worker.phase is Phase.DRAINING and worker.name not in taken_back
    )
    return Outlook(world=world, used=used, staying=staying, leaving=leaving)
