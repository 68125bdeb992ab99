"""What makes pods, and what protects them."""

from hk3s_kube.kinds.base import Fields, KubeObject, LabelSelector, ObjectMeta
from hk3s_kube.kinds.pods import PodSpec


class PodTemplate(Fields, frozen=True):
    """The pod that a controller makes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class DaemonSetSpec(Fields, frozen=True):
    """A daemon's pods."""

    template: PodTemplate
    selector: LabelSelector | None = None


class DaemonSet(KubeObject, frozen=True):
    """A pod on each node that admits it."""

    spec: DaemonSetSpec


class DisruptionBudgetSpec(Fields, frozen=True):
    """Which pods must stay, and how many."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class DisruptionBudgetStatus(Fields, frozen=True):
    """How many evictions are allowed now."""

    disruptions_allowed: int = 0
    observed_generation: int = 0


class PodDisruptionBudget(KubeObject, frozen=True):
    """A limit to evictions."""

    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()
    status: DisruptionBudgetStatus = DisruptionBudgetStatus()
