"""Which pods do rules about pods mean? Answered once for all pods of equal namespace and labels.

A matcher is a question that rules ask of a pod; every rule that asks the same shares it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hk3s_autoscaler.model.pod import PodSpec
from hk3s_autoscaler.model.relations import PodTerm, Spread
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import LabelSelector

Marks = frozenset[int]
"""Numbers of the matchers that mean a pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRule:
    """A spread constraint of a role: `domains` is the number of its `DomainRule`."""

    domains: int
    topology_key: str
    max_skew: int
    min_domains: int
    counts_itself: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRule:
    """Whose pods count on which nodes: `keys` must all be there, the rest is checked if given."""

    topology_key: str
    matcher: int
    keys: tuple[str, ...]
    spec: PodSpec
    honors_affinity: bool
    honors_taints: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a pod is to others and demands of them; pods of one role are interchangeable.

    `affinity` is a matcher that all its terms share, with the keys of those terms.
    """

    marks: Marks = frozenset()
    affinity: tuple[int, tuple[str, ...]] | None = None
    anti_affinity: tuple[tuple[str, int], ...] = ()
    spread: tuple[SpreadRule, ...] = ()

    @property
    def is_related(self) -> bool:
        """Whether it matters at all what is around such a pod."""
        return bool(self.marks or self.affinity or self.anti_affinity or self.spread)

    @property
    def own_keys(self) -> frozenset[str]:
        """Topology keys of what it demands itself."""
        near = self.affinity[1] if self.affinity is not None else ()
        return frozenset(
            (*near, *(k for k, _ in self.anti_affinity), *(s.topology_key for s in self.spread))
        )


_Question = tuple[LabelSelector | None, tuple[str, ...], LabelSelector | None]
_Questions = tuple[bool, tuple[_Question, ...]]


@dataclass(kw_only=True)
class Matchers:
    """All questions of all rules. Every rule has to be added before the first pod is asked."""

    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    domains: list[DomainRule] = field(default_factory=list)
    _numbers: dict[_Questions, int] = field(default_factory=dict)
    _domain_numbers: dict[DomainRule, int] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    _known: dict[tuple[str, tuple[tuple[str, str], ...]], Marks] = field(default_factory=dict)
    _roles: dict[tuple[PodSpec, Marks], Role] = field(default_factory=dict)

    def add(self, spec: PodSpec, namespace: str) -> None:
        """Take the rules of a pod in."""
        relations = spec.relations
        if relations.affinity:
            self._number(relations.affinity)
        for term in relations.anti_affinity:
            self._number((term,))
        for constraint in relations.spread:
            self._spread_number(constraint, namespace)

    @property
    def any(self) -> bool:
        """Whether there is any rule."""
        return bool(self._numbers)

    def marks(
        self, namespace: str, labels: Iterable[tuple[str, str]], *, ending: bool = False
    ) -> Marks:
        """Return the matchers that mean a pod; spreads do not count pods that are ending."""
        asked = tuple(pair for pair in labels if pair[0] in self._keys)
        known = self._known.get((namespace, asked))
        if known is None:
            known = self._known[namespace, asked] = self._ask(namespace, dict(asked))
        if ending and known:
            return frozenset(m for m in known if not self._counts_living(m))
        return known

    def role(self, spec: PodSpec, namespace: str, labels: Iterable[tuple[str, str]]) -> Role:
        """Return the role of a pod."""
        marks = self.marks(namespace, labels)
        known = self._roles.get((spec, marks))
        if known is None:
            known = self._roles[spec, marks] = self._make_role(spec, namespace, marks, dict(labels))
        return known

    def anti_affinity(self, spec: PodSpec) -> tuple[tuple[str, int], ...]:
        """Return key and matcher of each term that keeps other pods away."""
        return tuple((t.topology_key, self._number((t,))) for t in spec.relations.anti_affinity)

    def _make_role(
        self, spec: PodSpec, namespace: str, marks: Marks, labels: Mapping[str, str]
    ) -> Role:
        relations = spec.relations
        near = relations.affinity
        keys = tuple(constraint.topology_key for constraint in relations.spread)
        spread = []
        for constraint in relations.spread:
            number = self._spread_number(constraint, namespace)
            rule = DomainRule(
                topology_key=constraint.topology_key,
                matcher=number,
                keys=keys,
                spec=_static(spec, constraint),
                honors_affinity=constraint.honors_affinity,
                honors_taints=constraint.honors_taints,
            )
            selector = constraint.selector
            spread.append(
                SpreadRule(
                    domains=self._domain_number(rule),
                    topology_key=constraint.topology_key,
                    max_skew=constraint.max_skew,
                    min_domains=constraint.min_domains,
                    counts_itself=selector is not None and selector.matches(labels),
                )
            )
        return Role(
            marks=marks,
            affinity=(self._number(near), tuple(t.topology_key for t in near)) if near else None,
            anti_affinity=self.anti_affinity(spec),
            spread=tuple(spread),
        )

    def _domain_number(self, rule: DomainRule) -> int:
        number = self._domain_numbers.setdefault(rule, len(self.domains))
        if number == len(self.domains):
            self.domains.append(rule)
        return number

    def _number(self, terms: tuple[PodTerm, ...]) -> int:
        return self._intern(
            (False, tuple((t.selector, t.namespaces, t.namespace_selector) for t in terms))
        )

    def _spread_number(self, constraint: Spread, namespace: str) -> int:
        selector = constraint.selector
        # An empty selector counts no pod at all (podtopologyspread.countPodsMatchSelector).
        counted = selector if selector is not None and selector.requirements else None
        return self._intern((True, ((counted, (namespace,), None),)))

    def _intern(self, questions: _Questions) -> int:
        number = self._numbers.get(questions)
        if number is None:
            number = self._numbers[questions] = len(self._numbers)
            for selector, _, _ in questions[1]:
                if selector is not None:
                    self._keys.update(r.key for r in selector.requirements)
            self._known.clear()
        return number

    def _counts_living(self, number: int) -> bool:
        return list(self._numbers)[number][0]

    def _ask(self, namespace: str, labels: Mapping[str, str]) -> Marks:
        around = self.namespaces.get(namespace, {"kubernetes.io/metadata.name": namespace})
        return frozenset(
            number
            for (_, questions), number in self._numbers.items()
            if all(
                PodTerm(
                    topology_key="", selector=sel, namespaces=named, namespace_selector=chosen
                ).selects(namespace, labels, around)
                for sel, named, chosen in questions
            )
        )


def _static(spec: PodSpec, constraint: Spread) -> PodSpec:
    """Keep just what decides which nodes count, so that more pods share one rule."""
    terms = spec.affinity_terms
    return PodSpec(
        requests=Resources(),
        node_selector=spec.node_selector if constraint.honors_affinity else (),
        affinity_terms=terms if constraint.honors_affinity else None,
        tolerations=spec.tolerations if constraint.honors_taints else (),
    )
