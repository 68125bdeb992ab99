"""May this pod be moved? Rules in order, of which the first that decides is the answer.

They are cluster-autoscaler's (simulator/drainability/rules), with Karpenter's annotation, and with
these differences on purpose:
- a pod that is safe to evict still has its PodDisruptionBudgets: the Eviction API asks them anyway;
- a kube-system pod of more than an hour is not movable at once, but goes on to the other rules;
- whether a pod's controller exists is not asked: when it is deleted, so are its pods, or they lose
  their owner and are no longer replicated.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import cached_property

from hk3s_autoscaler.model.pod import DisruptionBudget, Pod, PodKey
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.world import ENDED, World

REPLICATING = frozenset({"ReplicationController", "ReplicaSet", "StatefulSet", "Job"})
"""Controllers that make a new pod elsewhere."""

SYSTEM_NAMESPACE = "kube-system"
SYSTEM_WAIT = timedelta(hours=1)
"""Pods of the system are not moved while young: something may depend on where they just went."""
END_DELAY = timedelta(seconds=30)
"""A pod that has not ended so long after its grace is the kubelet's to clear away."""


class Move(Enum):
    """What becomes of a pod when its node goes."""

    FORGET = auto()
    """Nothing: it ends with the node."""
    REPLACE = auto()
    """It needs another place."""


class Guard:
    """What the rules look at besides the pod."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now

    @cached_property
    def _budgets(self) -> dict[PodKey, list[DisruptionBudget]]:
        found: dict[PodKey, list[DisruptionBudget]] = {}
        for budget in self.world.snapshot.budgets:
            for key in budget.pods:
                found.setdefault(key, []).append(budget)
        return found

    def budgets_of(self, pod: Pod) -> list[DisruptionBudget]:
        """The PodDisruptionBudgets that cover a pod."""
        return self._budgets.get(pod.key, [])

    def verdict(self, pod: Pod) -> Move | Reason:
        """Return what becomes of a pod, or why its node must stay."""
        for rule in RULES:
            decided = rule(pod, self)
            if decided is not None:
                return decided
        return Move.REPLACE

    def movable(self, pods: Iterable[Pod]) -> tuple[tuple[Pod, ...], Reason | None]:
        """Return the pods of a node that need another place, and the first that may not move."""
        found, blocker = [], None
        for pod in pods:
            match self.verdict(pod):
                case Move.FORGET:
                    continue
                case Reason() as reason:
                    blocker = blocker or reason
            found.append(pod)
        return tuple(found), blocker


Rule = Callable[[Pod, Guard], Move | Reason | None]


def mirror(pod: Pod, _: Guard) -> Move | None:
    """A static pod belongs to its node."""
    return Move.FORGET if pod.mirror else None


def long_terminating(pod: Pod, guard: Guard) -> Move | None:
    """A pod that should have ended long ago waits for nothing that we could give."""
    if pod.deleted_at is None:
        return None
    # One that is ending in time may have a successor of the same name, which needs a place.
    return Move.FORGET if has_outstayed(pod, guard.now) else Move.REPLACE


def has_outstayed(pod: Pod, now: datetime) -> bool:
    """Whether a pod should have ended long ago: its kubelet, or a finalizer, holds it up."""
    return pod.deleted_at is not None and pod.deleted_at + pod.grace + END_DELAY < now


def daemon(pod: Pod, _: Guard) -> Move | None:
    """A DaemonSet has its pods elsewhere already."""
    return Move.FORGET if pod.is_daemon else None


def terminal(pod: Pod, _: Guard) -> Move | None:
    """A pod that has ended needs nothing."""
    return Move.FORGET if pod.phase in ENDED else None


def do_not_disrupt(pod: Pod, guard: Guard) -> Reason | None:
    """Karpenter's annotation, for good or for a time."""
    if pod.do_not_disrupt:
        return Reason(Code.DO_NOT_DISRUPT, f"{pod.key} is annotated do-not-disrupt")
    until = pod.protected_until
    if until is not None and guard.now < until:
        return Reason(Code.DO_NOT_DISRUPT, f"{pod.key} is protected until {until:%H:%M} UTC")
    return None


def safe_to_evict(pod: Pod, guard: Guard) -> Move | Reason | None:
    """The owner says that it may go, whatever else speaks against it but its budgets."""
    if pod.safe_to_evict is not True:
        return None
    return disruption_budget(pod, guard) or Move.REPLACE


def on_completion(pod: Pod, _: Guard) -> Reason | None:
    """It may go once it has ended by itself."""
    if pod.evict_on_completion:
        return Reason(Code.ON_COMPLETION, f"{pod.key} is to end by itself first")
    return None


def replicated(pod: Pod, _: Guard) -> Reason | None:
    """Somebody would make it anew."""
    if pod.owner is None:
        return Reason(Code.NOT_REPLICATED, f"{pod.key} has no controller that would make it anew")
    if pod.owner.kind not in REPLICATING:
        words = f"{pod.key} belongs to a {pod.owner.kind}, which may not make it anew"
        return Reason(Code.NOT_REPLICATED, words)
    return None


def system(pod: Pod, guard: Guard) -> Reason | None:
    """A young pod of the system, which no budget speaks for."""
    if pod.key.namespace != SYSTEM_NAMESPACE or guard.budgets_of(pod):
        return None
    until = pod.created_at + SYSTEM_WAIT
    if guard.now <= until:
        return Reason(Code.SYSTEM_POD, f"{pod.key} is left alone until {until:%H:%M} UTC")
    return None


def not_safe_to_evict(pod: Pod, _: Guard) -> Reason | None:
    """cluster-autoscaler's annotation."""
    if pod.safe_to_evict is False:
        return Reason(Code.NOT_SAFE_TO_EVICT, f"{pod.key} is annotated safe-to-evict=false")
    return None


def local_storage(pod: Pod, _: Guard) -> Reason | None:
    """Its data would be lost."""
    if pod.local_storage:
        names = ", ".join(pod.local_storage)
        return Reason(Code.LOCAL_STORAGE, f"{pod.key} keeps data on the node: volume {names}")
    return None


def disruption_budget(pod: Pod, guard: Guard) -> Reason | None:
    """Its PodDisruptionBudgets; with more than one the Eviction API refuses in any case."""
    budgets = guard.budgets_of(pod)
    if len(budgets) > 1:
        names = " and ".join(str(budget.key) for budget in budgets)
        return Reason(Code.BLOCKED_BY_PDB, f"{names} both cover {pod.key}: no eviction is possible")
    for budget in budgets:
        if budget.disruptions_allowed < 1:
            return Reason(Code.BLOCKED_BY_PDB, f"{budget.key} allows no eviction of {pod.key} now")
    return None


RULES: tuple[Rule, ...] = (
    mirror,
    long_terminating,
    daemon,
    terminal,
    do_not_disrupt,
    safe_to_evict,
    on_completion,
    replicated,
    system,
    not_safe_to_evict,
    local_storage,
    disruption_budget,
)
