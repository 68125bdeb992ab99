"""New nodes go into service: the pods counted onto a node first, then everybody."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from hk3s_autoscaler.model.node import STARTING_TAINT, Node
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.planning.actions import InvitePods, OpenNode
from hk3s_autoscaler.planning.capacity import is_starting
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import PodReport
from hk3s_autoscaler.planning.world import World

FIRST_TURN = timedelta(seconds=30)
"""So long a new node is kept for the pods that were let in first.

A binding takes milliseconds. kube-scheduler's longest pause before it looks at a pod again is ten
seconds; who has not come after three of those has a reason that the planner does not see.
"""


def plan_openings(world: World, pods: Iterable[PodReport]) -> tuple[InvitePods | OpenNode, ...]:
    """Open every node of ours that is Ready and waits for nothing but us.

    `pods` are the reports of the growth: their targets say who is counted onto which node.
    """
    waiting = [
        worker.node
        for worker in world.workers
        if worker.node is not None and worker.server is not None and _is_waiting(worker.node)
    ]
    if not waiting:
        return ()
    expected = _expected(world, pods, {node.name for node in waiting})
    steps = (_next_step(world, node, expected[node.name]) for node in waiting)
    return tuple(step for step in steps if step is not None)


def _expected(
    world: World, pods: Iterable[PodReport], names: Collection[str]
) -> dict[str, set[PodKey]]:
    """Pods that are counted onto a node or nominated to it, and not there yet."""
    found: dict[str, set[PodKey]] = {name: set() for name in names}
    for report in pods:
        if report.target in found:
            found[report.target].add(report.pod)
    for pod in world.snapshot.pods:
        if pod.nominated_node in found and not pod.node and pod.deleted_at is None:
            found[pod.nominated_node].add(pod.key)
    return found


def _next_step(world: World, node: Node, expected: set[PodKey]) -> InvitePods | OpenNode | None:
    if not expected:
        return OpenNode(node=node.name, reason=Reason(Code.JOINED, f"{node.name} is Ready"))
    if node.opening_since is None:
        words = f"{node.name} is Ready, {len(expected)} pods are let in first"
        keys = tuple(sorted(expected))
        return InvitePods(node=node.name, pods=keys, reason=Reason(Code.JOINED, words))
    late = [p for p in world.snapshot.pods if p.key in expected and node.name in p.invited_to]
    if late and world.now < node.opening_since + FIRST_TURN:
        return None
    words = f"{node.name} is Ready, {len(late)} pods that were let in first have not come"
    return OpenNode(node=node.name, reason=Reason(Code.JOINED, words))


def _is_waiting(node: Node) -> bool:
    keys = {taint.key for taint in node.taints}
    others = any(is_starting(key) for key in keys - {STARTING_TAINT})
    return node.ready and STARTING_TAINT in keys and not others
