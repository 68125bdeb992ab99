"""What a pod demands, or would like, of the pods around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hk3s_autoscaler.model.selectors import LabelSelector, NodeTerm


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTerm:
    """Pods to be near to, or far from, within a domain of `topology_key`.

    A pod is meant when its labels match `selector` and its namespace is named or matched; no
    selector means no pod. `matchLabelKeys` and `mismatchLabelKeys` are part of the selector.
    """

    topology_key: str
    selector: LabelSelector | None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None

    def selects(
        self, namespace: str, labels: Mapping[str, str], namespace_labels: Mapping[str, str]
    ) -> bool:
        """Whether a pod of a namespace with those labels is meant."""
        if self.selector is None or not self.selector.matches(labels):
            return False
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and chosen.matches(namespace_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How unevenly pods of one namespace may spread over the domains of `topology_key`.

    Domains are those of nodes that the pod may run on by its node affinity (`honors_affinity`)
    and its tolerations (`honors_taints`).
    """

    topology_key: str
    max_skew: int
    selector: LabelSelector | None
    min_domains: int = 1
    honors_affinity: bool = True
    honors_taints: bool = False


@dataclass(frozen=True, kw_only=True)
class Relations:
    """What must hold between a pod and others."""

    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    spread: tuple[Spread, ...] = ()

    @cached_property
    def any(self) -> bool:
        """Whether there is any such rule."""
        return bool(self.affinity or self.anti_affinity or self.spread)

    @cached_property
    def _hash(self) -> int:
        return hash((self.affinity, self.anti_affinity, self.spread))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What a pod would like, with weights; no pod waits for a wish.

    `pods` with a negative weight are to be kept away from.
    """

    nodes: tuple[tuple[int, NodeTerm], ...] = ()
    pods: tuple[tuple[int, PodTerm], ...] = ()
    spread: tuple[Spread, ...] = ()


UNRELATED = Relations()
INDIFFERENT = Preferences()
