"""Nominations that kube-scheduler does not follow must not make a pod invisible for ever."""

from collections.abc import Iterable
from dataclasses import replace

from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import Pod, PodKey

BELIEVED = 60.0
"""Seconds for which a pending pod counts onto the Ready node that it is nominated to.

A binding takes milliseconds once a node is open; what lasts longer was taken by another pod, or
the scheduler sees a reason that we do not.
"""


class Nominations:
    """Notes since when a nomination could have been followed. A cache: a restart waits anew."""

    def __init__(self) -> None:
        self._since: dict[PodKey, tuple[str, float]] = {}

    def believable(
        self, pods: Iterable[Pod], nodes: Iterable[Node], monotonic: float
    ) -> tuple[Pod, ...]:
        """Return the pods, without those nominations that came to nothing.

        A nomination waits for the node to take pods, and for pods that make way for this one.
        """
        pods = tuple(pods)
        leaving = {pod.node for pod in pods if pod.node and pod.deleted_at is not None}
        open_ = {n.name for n in nodes if n.ready and not n.unschedulable} - leaving
        known = {node.name for node in nodes}
        waiting = {pod.key: pod for pod in pods if pod.nominated_node and not pod.node}
        self._since = {
            key: noted
            for key, noted in self._since.items()
            if key in waiting and noted[0] == waiting[key].nominated_node and noted[0] in open_
        }
        for key, pod in waiting.items():
            if pod.nominated_node in open_:
                self._since.setdefault(key, (pod.nominated_node, monotonic))
        return tuple(
            replace(pod, nominated_node="") if self._is_void(pod, known, monotonic) else pod
            for pod in pods
        )

    def _is_void(self, pod: Pod, known: set[str], monotonic: float) -> bool:
        if not pod.nominated_node or pod.node:
            return False
        noted = self._since.get(pod.key)
        late = noted is not None and monotonic - noted[1] >= BELIEVED
        return late or pod.nominated_node not in known
