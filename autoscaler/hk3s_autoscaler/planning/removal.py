"""Removals that have begun: what each of them needs next, or what takes it back."""

from collections.abc import Iterator

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.planning.actions import DeleteServer, DrainNode, UncordonNode
from hk3s_autoscaler.planning.lifecycle import Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.world import GOING, Worker, World

RemovalStep = UncordonNode | DrainNode | DeleteServer

_Next = tuple[RemovalStep | None, Reason]


def removals(
    world: World, taken_back: frozenset[str], doomed: frozenset[str]
) -> Iterator[tuple[Worker, RemovalStep | None, Reason]]:
    """For each worker that is being removed its next step, if it is not just waiting, and why.

    `taken_back` names those that pending pods want, `doomed` those that go in another way.
    """
    for worker in world.workers:
        node, server = worker.node, worker.server
        if worker.phase is not Phase.DRAINING or node is None or server is None:
            continue
        if worker.name not in doomed:
            wanted = worker.name in taken_back
            step, reason = _back(world, node, wanted=wanted) or _on(world, node, server)
            yield worker, step, reason


def _back(world: World, node: Node, *, wanted: bool) -> _Next | None:
    """Take the removal of an empty node back when it turns out to be needed."""
    arrived = [pod for pod in world.occupants(node.name) if pod.deleted_at is None]
    if wanted:
        reason = Reason(Code.NO_LONGER_UNNEEDED, "pending pods fit on it")
    elif arrived and node.draining_reason == Code.EMPTY:
        reason = Reason(Code.NO_LONGER_UNNEEDED, f"{arrived[0].key} came before it was cordoned")
    else:
        return None
    return UncordonNode(node=node.name, reason=reason), reason


def _on(world: World, node: Node, server: Server) -> _Next:
    """Evict what is left, wait for pods to end and volumes to be detached, delete the server."""
    why = _reason(node, "its removal is under way")
    if world.frozen_for:
        return None, Reason(Code.FROZEN, world.frozen_for)
    pods = (*world.occupants(node.name), *world.expendable_by_node.get(node.name, ()))
    evictable = tuple(pod.key for pod in pods if pod.deleted_at is None)
    if evictable:
        return DrainNode(node=node.name, pods=evictable, reason=why), why
    if pods:
        return None, Reason(Code.IN_USE, f"{len(pods)} pods are ending")
    if node.attached_volumes:
        return None, Reason(Code.IN_USE, f"{node.attached_volumes} volumes are still attached")
    if server.status in GOING:
        return None, why
    gone = _reason(node, "nothing is left on it")
    step = DeleteServer(
        server_id=server.server_id,
        name=server.name,
        pool=server.pool,
        node=node.name,
        reason=gone,
    )
    return step, gone


def _reason(node: Node, words: str) -> Reason:
    known = [code for code in Code if code == node.draining_reason]
    return Reason(known[0] if known else Code.EMPTY, words)
