"""What the newest servers teach about the next ones, so that what goes wrong is not repeated."""

from collections.abc import Iterable
from datetime import timedelta

from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod, PodKey, Taint
from hk3s_autoscaler.planning.capacity import Slot, is_starting
from hk3s_autoscaler.planning.lifecycle import Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import CORDON_TAINT, fits

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


def refused(world: World, pods: Iterable[Pod], slots: Iterable[Slot]) -> dict[PodKey, Reason]:
    """Pods that kube-scheduler keeps off several new and empty nodes that would hold them.

    It knows a rule that is not judged here: the next server would stay as empty. Rules about other
    pods and volumes may well forbid an empty node, and are judged elsewhere.
    """
    last = world.now - world.config.unfit_after
    late = [
        pod
        for pod in pods
        if pod.unschedulable_since is not None
        and pod.unschedulable_since <= last
        and not (pod.spec.relations.any or pod.spec.claims)
    ]
    if not late:
        return {}
    young = {node.name for node in _young(world) if not world.occupants(node.name)}
    empty = [slot for slot in slots if slot.tried and slot.name in young]
    found = {}
    for pod in late:
        holding = [slot.name for slot in empty if fits(pod.spec, slot.place)]
        if len(holding) >= _LESSONS:
            words = f"kube-scheduler keeps it off {', '.join(holding[:3])}, which would hold it"
            found[pod.key] = Reason(Code.UNSUPPORTED_CONSTRAINT, words)
    return found


def _young(world: World) -> list[Node]:
    """Nodes of ours that went into service within the hour, by name."""
    since = world.now - _YOUNG
    return [
        worker.node
        for worker in world.workers
        if worker.node is not None
        and worker.node.created_at > since
        and worker.phase in (Phase.READY, Phase.UNNEEDED)
        and not any(is_starting(taint.key) for taint in worker.node.taints)
    ]
