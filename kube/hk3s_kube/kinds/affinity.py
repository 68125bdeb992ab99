"""Where a pod must and would like to be, as it says itself; and the namespaces that it names."""

from msgspec import field

from hk3s_kube.kinds.base import Fields, KubeObject, LabelSelector, NodeSelector, NodeSelectorTerm


class PreferredSchedulingTerm(Fields, frozen=True):
    """A wish with a weight of 1 to 100."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(Fields, frozen=True):
    """Which nodes a pod needs and prefers."""

    required: NodeSelector | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[PreferredSchedulingTerm, ...] = field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Fields, frozen=True):
    """Pods to be near to, or far from, within a topology domain."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Fields, frozen=True):
    """A wish with a weight of 1 to 100."""

    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(Fields, frozen=True):
    """Affinity or anti-affinity to pods."""

    required: tuple[PodAffinityTerm, ...] = field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedPodAffinityTerm, ...] = field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Fields, frozen=True):
    """All of a pod's affinities."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class TopologySpreadConstraint(Fields, frozen=True):
    """How unevenly pods may spread over the domains of `topology_key`."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: str
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str = "Honor"
    node_taints_policy: str = "Ignore"
    match_label_keys: tuple[str, ...] = ()


class Namespace(KubeObject, frozen=True):
    """A namespace; affinity terms select them by label."""
