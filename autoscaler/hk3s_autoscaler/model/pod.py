"""Pods and what they ask of a node."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from hk3s_autoscaler.model.relations import INDIFFERENT, UNRELATED, Preferences, Relations
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm

Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True, slots=True, order=True)
class PodKey:
    """A pod's namespace and name; prints as `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str = ""
    effect: Effect = "NoSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A toleration; no key with `Exists` tolerates everything, no effect means every effect."""

    key: str = ""
    operator: Literal["Exists", "Equal", "Lt", "Gt"] = "Equal"
    value: str = ""
    effect: Effect | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The controller that made a pod."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    """What decides where a pod may run: equal specs are interchangeable to the planner.

    `requests` is the effective request of the pod: the larger of its init phase and its running
    containers (sidecars in both), plus overhead, plus one pod.
    `affinity_terms` are the required node affinity: alternatives, any of which is enough; `None`
    means that there is no such rule, an empty tuple that no node can ever match.
    `volume_terms` are the nodes that reach its volumes, in the same form; unlike node affinity they
    do not narrow the domains of a topology spread.
    `relations` must hold between the pod and others; `preferences` are wishes.
    `claims` are the volumes that are claimed, as (volume, claim), with no claim's name for a
    generic ephemeral volume.
    `unsupported` names scheduling rules that the planner does not judge (`resourceClaims`):
    such a pod is reported, never guessed at.
    """

    requests: Resources
    node_selector: tuple[tuple[str, str], ...] = ()
    affinity_terms: tuple[NodeTerm, ...] | None = None
    volume_terms: tuple[NodeTerm, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    host_ports: tuple[tuple[str, str, int], ...] = ()
    priority: int = 0
    relations: Relations = UNRELATED
    preferences: Preferences = INDIFFERENT
    claims: tuple[tuple[str, str], ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that has not ended.

    `unschedulable_since` is set when kube-scheduler said so (PodScheduled=False, reason
    Unschedulable). `node` is empty until the pod is bound. `nominated_node` is where the scheduler
    wants to put it after a preemption, or where we planned it; `invited_to` are new nodes that let
    it in before they are open, by tolerations that we gave it.
    `mirror` marks static pods; `local_storage` names volumes that would be lost with the node;
    `safe_to_evict` and `do_not_disrupt` are the annotations users of cluster-autoscaler and
    Karpenter know; `evict_on_completion` is the third value of the former, `protected_until` the
    end of the latter when it was given as a duration. `grace` is how long the pod may take to end.
    """

    key: PodKey
    uid: str
    spec: PodSpec
    created_at: datetime
    labels: tuple[tuple[str, str], ...] = ()
    owner: Owner | None = None
    node: str = ""
    nominated_node: str = ""
    invited_to: tuple[str, ...] = ()
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"] = "Pending"
    unschedulable_since: datetime | None = None
    gated: bool = False
    deleted_at: datetime | None = None
    mirror: bool = False
    local_storage: tuple[str, ...] = ()
    safe_to_evict: bool | None = None
    evict_on_completion: bool = False
    do_not_disrupt: bool = False
    protected_until: datetime | None = None
    grace: timedelta = timedelta(seconds=30)

    @property
    def is_daemon(self) -> bool:
        """Whether a DaemonSet made the pod: it comes and goes with its node."""
        return self.owner is not None and self.owner.kind == "DaemonSet"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSet:
    """A DaemonSet: every node that its spec may run on carries one of its pods."""

    key: PodKey
    spec: PodSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DisruptionBudget:
    """A PodDisruptionBudget and the pods that it covers now."""

    key: PodKey
    disruptions_allowed: int
    pods: frozenset[PodKey] = frozenset()
