"""PodDisruptionBudgets as their controller keeps them, from the pods that there are."""

from collections.abc import Iterable, Mapping

from hk3s_autoscaler.model.pod import DisruptionBudget, Pod, PodKey
from hk3s_autoscaler.simulation.trace import Disruptions, Workload


def budgets(
    workloads: Iterable[Workload], pods: Mapping[PodKey, Pod], workload_of: Mapping[PodKey, str]
) -> tuple[DisruptionBudget, ...]:
    """Return a PodDisruptionBudget for each workload that asks for one."""
    limited = {one.name: one for one in workloads if one.disruptions is not None}
    own: dict[str, list[Pod]] = {name: [] for name in limited}
    if limited:
        for key, pod in pods.items():
            if workload_of[key] in own:
                own[workload_of[key]].append(pod)
    return tuple(
        DisruptionBudget(
            key=PodKey(one.pod.key.namespace, name),
            disruptions_allowed=allowed(
                one.disruptions, len(own[name]), sum(bool(pod.node) for pod in own[name])
            ),
            pods=frozenset(pod.key for pod in own[name]),
        )
        for name, one in limited.items()
        if one.disruptions is not None
    )


def allowed(asked: Disruptions, pods: int, running: int) -> int:
    """How many of `pods`, of which some run, may be evicted now; shares are rounded up."""
    if asked.min_available is not None:
        needed = _share(asked, asked.min_available, pods)
    else:
        needed = pods - _share(asked, asked.max_unavailable or 0, pods)
    return max(0, running - max(0, needed))


def _share(asked: Disruptions, number: int, pods: int) -> int:
    return -(-number * pods // 100) if asked.percent else number
