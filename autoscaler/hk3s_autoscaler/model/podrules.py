"""A pod's rules about other pods, in Kubernetes' JSON form, reduced to facts."""

from collections.abc import Iterator, Mapping
from typing import cast

from hk3s_autoscaler.model.relations import INDIFFERENT, UNRELATED, PodTerm, Preferences, Relations
from hk3s_autoscaler.model.relations import Spread as SpreadRule
from hk3s_autoscaler.model.selectors import (
    LabelOperator,
    LabelSelector,
    NodeTerm,
    Operator,
    Requirement,
)
from hk3s_autoscaler.model.shapes import Json, PodSpecError, items, mapping, number, objects

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_LABEL_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class RuleReader:
    """Reads the rules of one pod; what it cannot judge it adds to `problems`."""

    def __init__(
        self, spec: Json, namespace: str, labels: Mapping[str, str], problems: list[str]
    ) -> None:
        self._affinity = mapping(spec, "affinity")
        self._spreads = objects(spec, "topologySpreadConstraints")
        self._namespace = namespace
        self._labels = labels
        self._problems = problems

    def node_terms(self) -> tuple[NodeTerm, ...] | None:
        """Required node affinity: alternatives, `None` without such a rule."""
        required = mapping(self._affinity, "nodeAffinity").get(_REQUIRED)
        if required is None:
            return None
        if not isinstance(required, Mapping):
            raise PodSpecError("nodeAffinity: the required rule must be an object")
        return tuple(self._node_term(term) for term in objects(required, "nodeSelectorTerms"))

    def relations(self) -> Relations:
        """What must hold between the pod and others."""
        near = objects(mapping(self._affinity, "podAffinity"), _REQUIRED)
        far = objects(mapping(self._affinity, "podAntiAffinity"), _REQUIRED)
        strict = [s for s in self._spreads if _is_strict(s)]
        if not (near or far or strict):
            return UNRELATED
        return Relations(
            affinity=tuple(self._pod_term(term) for term in near),
            anti_affinity=tuple(self._pod_term(term) for term in far),
            spread=tuple(self._spread(item) for item in strict),
        )

    def preferences(self) -> Preferences:
        """What the pod would like."""
        nodes = objects(mapping(self._affinity, "nodeAffinity"), _PREFERRED)
        near = objects(mapping(self._affinity, "podAffinity"), _PREFERRED)
        far = objects(mapping(self._affinity, "podAntiAffinity"), _PREFERRED)
        soft = [s for s in self._spreads if not _is_strict(s)]
        if not (nodes or near or far or soft):
            return INDIFFERENT
        # A wish that cannot be judged is dropped, not reported: no pod waits for a wish.
        reader = RuleReader({}, self._namespace, self._labels, [])
        wished = [
            (sign * number(term, "weight", 1), reader._pod_term(mapping(term, "podAffinityTerm")))
            for sign, terms in ((1, near), (-1, far))
            for term in terms
        ]
        return Preferences(
            nodes=tuple(
                (number(term, "weight", 1), reader._node_term(mapping(term, "preference")))
                for term in nodes
            ),
            pods=tuple(wished),
            spread=tuple(reader._spread(item) for item in soft),
        )

    def _node_term(self, term: Json) -> NodeTerm:
        return NodeTerm(
            expressions=tuple(self._requirements(term, "matchExpressions")),
            fields=tuple(self._requirements(term, "matchFields")),
        )

    def _requirements(self, term: Json, field: str) -> Iterator[Requirement]:
        for expression in objects(term, field):
            operator = expression.get("operator")
            if operator not in _NODE_OPERATORS:
                self._problems.append(f"node affinity operator {operator}")
                continue
            yield Requirement(
                key=str(expression.get("key", "")),
                operator=cast("Operator", operator),
                values=tuple(str(value) for value in items(expression, "values")),
            )

    def _pod_term(self, term: Json) -> PodTerm:
        selector = self._selector(term, "labelSelector")
        chosen = self._selector(term, "namespaceSelector")
        named = tuple(str(name) for name in items(term, "namespaces"))
        return PodTerm(
            topology_key=str(term.get("topologyKey") or ""),
            selector=self._with_own(
                selector, In=items(term, "matchLabelKeys"), NotIn=items(term, "mismatchLabelKeys")
            ),
            namespaces=named if named or chosen is not None else (self._namespace,),
            namespace_selector=chosen,
        )

    def _spread(self, item: Json) -> SpreadRule:
        selector = self._selector(item, "labelSelector")
        return SpreadRule(
            topology_key=str(item.get("topologyKey") or ""),
            max_skew=number(item, "maxSkew", 1),
            selector=self._with_own(selector, In=items(item, "matchLabelKeys"), NotIn=()),
            min_domains=number(item, "minDomains", 1),
            honors_affinity=item.get("nodeAffinityPolicy") != "Ignore",
            honors_taints=item.get("nodeTaintsPolicy") == "Honor",
        )

    def _selector(self, parent: Json, field: str) -> LabelSelector | None:
        value = parent.get(field)
        if value is None:
            return None
        whole = mapping(parent, field)
        wanted = [
            Requirement(key=str(key), operator="In", values=(str(label),))
            for key, label in sorted(mapping(whole, "matchLabels").items())
        ]
        for expression in objects(whole, "matchExpressions"):
            operator = expression.get("operator")
            if operator not in _LABEL_OPERATORS:
                self._problems.append(f"label selector operator {operator}")
                continue
            wanted.append(
                Requirement(
                    key=str(expression.get("key", "")),
                    operator=cast("LabelOperator", operator),
                    values=tuple(sorted(str(label) for label in items(expression, "values"))),
                )
            )
        return LabelSelector(requirements=tuple(dict.fromkeys(wanted)))

    def _with_own(
        self, selector: LabelSelector | None, **keys: tuple[object, ...]
    ) -> LabelSelector | None:
        """Merge the pod's own values of these labels in; keys that it lacks are skipped.

        The apiserver merges them too, so that what is read from it repeats them.
        """
        own = [
            Requirement(
                key=str(key),
                operator=cast("LabelOperator", operator),
                values=(self._labels[str(key)],),
            )
            for operator, named in keys.items()
            for key in named
            if str(key) in self._labels
        ]
        if selector is None or not own:
            return selector
        return LabelSelector(requirements=tuple(dict.fromkeys((*selector.requirements, *own))))


def _is_strict(spread: Json) -> bool:
    return bool(spread.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule")
