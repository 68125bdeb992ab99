"""What the newest servers teach about the next ones, so that what goes wrong is not repeated."""

from datetime import timedelta

from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.planning.capacity import is_starting
from hk3s_autoscaler.planning.lifecycle import Phase
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import CORDON_TAINT

_YOUNG = timedelta(hours=1)
"""Servers count for as long as their first hour is paid; then another try is due."""
_LESSONS = 2
"""One server can have bad luck."""
_KUBERNETES = "node.kubernetes.io/"
"""Taints that tell of a node's own state, not of what is done to all of them."""


def learnt_taints(world: World, pool: NodePool) -> tuple[Taint, ...]:
    """Taints that somebody puts on every new node of a pool, and that the pool does not name.

    Pods that do not tolerate them would find no place on the next one either.
    """
    nodes = [node for node in _young(world) if node.pool == pool.name]
    if len(nodes) < _LESSONS:
        return ()
    known = {(t.key, t.effect) for t in (*pool.taints, *pool.startup_taints)}
    return tuple(
        taint
        for taint in nodes[0].taints
        if taint.effect != "PreferNoSchedule"
        and (taint.key, taint.effect) not in known
        and not (is_starting(taint.key) or taint.key == CORDON_TAINT)
        and not taint.key.startswith(_KUBERNETES)
        and all(taint in node.taints for node in nodes)
    )


def _young(world: World) -> list[Node]:
    """Nodes of ours that went into service within the hour, by name."""
    return [
        worker.node
        for worker in world.workers
        if worker.node is not None
        and worker.phase in (Phase.READY, Phase.UNNEEDED)
        and world.now < worker.node.created_at + _YOUNG
        and not any(is_starting(taint.key) for taint in worker.node.taints)
    ]
