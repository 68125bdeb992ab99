"""Selectors of nodes and of pods, with the meaning that kube-scheduler gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
LabelOperator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One expression over a label (or a node field)."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the expression.

        A missing label satisfies `NotIn` and `DoesNotExist` only; `Gt` and `Lt` compare integers
        and fail on anything else (k8s.io/apimachinery, labels.Requirement.Matches).
        """
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or len(self.values) != 1:
            return False
        try:
            have, bound = int(value), int(self.values[0])
        except ValueError:
            return False
        return have > bound if self.operator == "Gt" else have < bound


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeTerm:
    """A node selector term: all of it must match; an empty term matches no node."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node of that name with those labels satisfies the term."""
        if not self.expressions and not self.fields:
            return False
        node_fields = {"metadata.name": name}
        return all(e.matches(labels) for e in self.expressions) and all(
            f.matches(node_fields) for f in self.fields
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector:
    """A selector of pods or namespaces: all of it must match; an empty one matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels satisfy the selector."""
        return all(requirement.matches(labels) for requirement in self.requirements)
