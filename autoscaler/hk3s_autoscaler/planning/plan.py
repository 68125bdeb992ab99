"""One loop's decision: repair, grow, shrink."""

from datetime import datetime

from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import Action, CreateServer, DeleteServer
from hk3s_autoscaler.planning.lifecycle import ON_THE_WAY, Phase
from hk3s_autoscaler.planning.limits import limits
from hk3s_autoscaler.planning.no_offers import no_offers
from hk3s_autoscaler.planning.opening import plan_openings
from hk3s_autoscaler.planning.packing import Packer, pack
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.repair import join_deadline, plan_repair
from hk3s_autoscaler.planning.result import NodeReport, Plan, PoolReport
from hk3s_autoscaler.planning.scale_down import plan_scale_down
from hk3s_autoscaler.planning.scale_up import Growth, plan_scale_up
from hk3s_autoscaler.planning.world import GOING, Worker, World


class PlanError(AssertionError):
    """The plan would break a limit: a bug of the planner, never a state of the world."""


def plan(snapshot: Snapshot, config: PlanConfig, now: datetime, *, packer: Packer = pack) -> Plan:
    """Return the actions for one loop, and the reason for all that they leave as it is.

    Nodes that the growth counts on are not shrunk; servers that the repair gives up do not count.
    `packer` decides which servers hold the pods that no room is left for.
    """
    world = World(snapshot=snapshot, config=config, now=now, packer=packer)
    repair = plan_repair(world)
    growth = plan_scale_up(world, doomed=repair.doomed)
    shrink = plan_scale_down(world, growth, doomed=repair.doomed)
    openings = plan_openings(world, growth.pods)
    actions = (*repair.finishes, *repair.deletes, *openings, *growth.creates, *shrink.steps)
    return Plan(
        actions=_within_limits(world, actions),
        pods=growth.pods,
        nodes=_one_each((*repair.nodes, *shrink.nodes, *_others(world, repair.doomed))),
        pools=tuple(_pool(world, growth, actions, pool.name) for pool in snapshot.pools),
    )


def _within_limits(world: World, actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Assert what the packing has made sure of, fallbacks included."""
    creates = [action for action in actions if isinstance(action, CreateServer)]
    for limit in limits(world):
        worst = sum(
            max(
                limit.takes(create.pool, world.offerings[key])
                for key in (create.offering, *create.fallbacks)
            )
            for create in creates
        )
        if worst > limit.left:
            raise PlanError(f"a plan takes {worst} of {limit.left} left: {limit.reason(0)}")
    return actions


def _others(world: World, doomed: frozenset[str]) -> tuple[NodeReport, ...]:
    """Why workers stay that are not in service, or that nobody looks at now."""
    return tuple(
        NodeReport(node=worker.name, pool=worker.pool, reason=_why_it_stays(world, worker))
        for worker in world.workers
        if worker.name not in doomed
        and not (worker.server is not None and worker.server.status in GOING)
    )


def _why_it_stays(world: World, worker: Worker) -> Reason:
    server, node, now = worker.server, worker.node, world.now
    if server is not None and worker.phase in ON_THE_WAY:
        deadline = join_deadline(world, server)
        return Reason(Code.JOINING, f"it is on its way, and has until {deadline:%H:%M:%S} UTC")
    if world.config.paused:
        return Reason(Code.PAUSED, "the autoscaler is paused")
    if worker.pool not in world.pools:
        return Reason(Code.POOL_INVALID, f"there is no NodePool {worker.pool}: nobody manages it")
    if server is None:
        return Reason(Code.NOT_READY, "no server is known for it")
    if node is not None and not node.ready:
        since = node.not_ready_since or now
        return Reason(Code.NOT_READY, f"it is not Ready since {since:%H:%M:%S} UTC")
    return Reason(Code.IN_USE, "it is in service")


def _one_each(reports: tuple[NodeReport, ...]) -> tuple[NodeReport, ...]:
    """Keep the first report of each node: what repair says of it comes before the rest."""
    first: dict[str, NodeReport] = {}
    for report in reports:
        first.setdefault(report.node, report)
    return tuple(first[name] for name in sorted(first))


def _pool(world: World, growth: Growth, actions: tuple[Action, ...], pool: str) -> PoolReport:
    """The pool as it is once the actions are done."""
    gone = {a.name for a in actions if isinstance(a, DeleteServer)}
    stay = [w for w in world.workers if w.pool == pool and w.name not in gone]
    bought = [a for a in actions if isinstance(a, CreateServer) and a.pool == pool]
    never = no_offers(world, world.pools[pool])
    held = [reason for name, reason in growth.blocked if name == pool]
    spent = sum(world.price_of(w.server) for w in stay if w.server is not None)
    return PoolReport(
        pool=pool,
        servers=sum(w.server is not None for w in stay) + len(bought),
        ready=sum(w.phase in (Phase.READY, Phase.UNNEEDED) for w in stay),
        micro_eur_per_hour=spent + sum(create.micro_eur_per_hour for create in bought),
        blocked=tuple(dict.fromkeys([never, *held] if never is not None else held)),
    )
