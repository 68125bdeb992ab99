"""Removals that have begun: what each of them needs next, or what takes it back."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.actions import DeleteServer, DrainNode, UncordonNode
from hk3s_autoscaler.planning.drainability import Guard, do_not_disrupt, has_outstayed
from hk3s_autoscaler.planning.lifecycle import Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.rehearsal import homeless
from hk3s_autoscaler.planning.world import GOING, Worker, World

RemovalStep = UncordonNode | DrainNode | DeleteServer

PATIENCE = timedelta(minutes=20)
"""A drain that pods or budgets hold up for so long is taken back, unless the pool sets a limit."""

CRITICAL = 2_000_000_000
"""Priority of system-cluster-critical: such pods are evicted when the others are gone."""

_Next = tuple[RemovalStep | None, Reason]


def removals(
    world: World, taken_back: frozenset[str], doomed: frozenset[str]
) -> Iterator[tuple[Worker, RemovalStep | None, Reason]]:
    """For each worker that is being removed its next step, if it is not just waiting, and why.

    `taken_back` names those that pending pods want, `doomed` those that go in another way.
    """
    draining = [w for w in world.workers if w.phase is Phase.DRAINING and w.name not in doomed]
    without_place = homeless(world) if draining else frozenset()
    for worker in draining:
        node, server = worker.node, worker.server
        if node is None or server is None:
            continue
        pool = world.pools.get(worker.pool)
        pods = _leftovers(world, node)
        back = _back(world, node, pods, wanted=worker.name in taken_back)
        if back is None and any(pod.key in without_place for pod in pods):
            back = _uncordon(node, Code.NO_LONGER_UNNEEDED, "its pods fit nowhere else any more")
        step, reason = back or _on(world, pool, node, server, pods)
        yield worker, step, reason


def _leftovers(world: World, node: Node) -> tuple[Pod, ...]:
    """Pods that must be gone before the server may go; what a finalizer holds goes with it."""
    found = (*world.occupants(node.name), *world.expendable_by_node.get(node.name, ()))
    return tuple(pod for pod in found if not has_outstayed(pod, world.now))


def _back(world: World, node: Node, pods: Sequence[Pod], *, wanted: bool) -> _Next | None:
    """Take the removal of an empty node back when it turns out to be needed."""
    if wanted:
        return _uncordon(node, Code.NO_LONGER_UNNEEDED, "pending pods fit on it")
    arrived = [p for p in pods if p.deleted_at is None and not world.is_expendable(p)]
    if arrived and node.draining_reason == Code.EMPTY:
        words = f"{arrived[0].key} came before it was cordoned"
        return _uncordon(node, Code.NO_LONGER_UNNEEDED, words)
    return None


def _on(
    world: World, pool: NodePool | None, node: Node, server: Server, pods: Sequence[Pod]
) -> _Next:
    """Evict what is left, wait for pods to end and volumes to be detached, delete the server."""
    why = _reason(node, "its removal is under way")
    if world.frozen_for:
        return None, Reason(Code.FROZEN, world.frozen_for)
    if server.status in GOING:
        return None, why
    since = node.draining_since or world.now
    limit = pool.termination_grace_period if pool is not None else None
    if limit is not None and since + limit <= world.now and (pods or node.attached_volumes):
        words = f"its drain reached the limit of {limit} with {len(pods)} pods left"
        return _delete(node, server, Reason(Code.DRAIN_DEADLINE, words))
    if pods:
        stuck = limit is None and since + PATIENCE <= world.now
        return _empty_out(world, node, pods, why, stuck=stuck)
    if node.attached_volumes:
        return None, Reason(Code.IN_USE, f"{node.attached_volumes} volumes are still attached")
    return _delete(node, server, _reason(node, "nothing is left on it"))


def _empty_out(world: World, node: Node, pods: Sequence[Pod], why: Reason, *, stuck: bool) -> _Next:
    """Evict, wait, or give up after a drain that has taken too long."""
    first, later = _order(world, pods)
    alive = (*first, *later)
    if alive and stuck:
        patience = PATIENCE // timedelta(minutes=1)
        words = f"{alive[0].key} could not be evicted within {patience} minutes"
        return _uncordon(node, Code.DRAIN_STUCK, words)
    if first:
        keys, rest = tuple(p.key for p in first), tuple(p.key for p in later)
        return DrainNode(node=node.name, pods=keys, later=rest, reason=why), why
    if later:
        return None, Reason(Code.DO_NOT_DISRUPT, f"{later[0].key} is waited for")
    return None, Reason(Code.IN_USE, f"{len(pods)} pods are ending")


def _order(world: World, pods: Sequence[Pod]) -> tuple[list[Pod], list[Pod]]:
    """Who is evicted now, least important first, and who waits.

    Critical pods wait for the others to be gone, as others may need them to end in good order.
    Protected ones wait for their own end, or for the drain's.
    """
    guard = Guard(world)
    alive = sorted(
        (pod for pod in pods if pod.deleted_at is None), key=lambda p: (p.spec.priority, p.key)
    )
    protected = [pod for pod in alive if do_not_disrupt(pod, guard) is not None]
    free = [pod for pod in alive if pod not in protected]
    ordinary = [pod for pod in free if pod.spec.priority < CRITICAL]
    if ordinary or any(pod.spec.priority < CRITICAL for pod in pods):
        return ordinary, [p for p in alive if p not in ordinary]
    return free, protected


def _uncordon(node: Node, code: Code, words: str) -> _Next:
    reason = Reason(code, words)
    return UncordonNode(node=node.name, reason=reason), reason


def _delete(node: Node, server: Server, reason: Reason) -> _Next:
    step = DeleteServer(
        server_id=server.server_id,
        name=server.name,
        pool=server.pool,
        node=node.name,
        reason=reason,
    )
    return step, reason


def _reason(node: Node, words: str) -> Reason:
    known = [code for code in Code if code == node.draining_reason]
    return Reason(known[0] if known else Code.EMPTY, words)
