"""New nodes go into service: the pods counted onto a node are nominated to it first."""

from collections.abc import Iterable

from hk3s_autoscaler.model.node import STARTING_TAINT, Node
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.planning.actions import OpenNode
from hk3s_autoscaler.planning.capacity import is_starting
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import PodReport
from hk3s_autoscaler.planning.world import World


def plan_openings(world: World, pods: Iterable[PodReport]) -> tuple[OpenNode, ...]:
    """Open every node of ours that is Ready and waits for nothing but us.

    `pods` are the reports of the growth: their targets say who is counted onto which node.
    """
    counted: dict[str, list[PodKey]] = {}
    for report in pods:
        counted.setdefault(report.target, []).append(report.pod)
    return tuple(
        _open(worker.node, counted.get(worker.name, ()))
        for worker in world.workers
        if worker.node is not None and worker.server is not None and _is_waiting(worker.node)
    )


def _open(node: Node, pods: Iterable[PodKey]) -> OpenNode:
    keys = tuple(sorted(pods))
    words = f"{node.name} is Ready, {len(keys)} pods are nominated to it"
    return OpenNode(node=node.name, pods=keys, reason=Reason(Code.JOINED, words))


def _is_waiting(node: Node) -> bool:
    keys = {taint.key for taint in node.taints}
    others = any(is_starting(key) for key in keys - {STARTING_TAINT})
    return node.ready and STARTING_TAINT in keys and not others
