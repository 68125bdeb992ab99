"""Node selector terms."""

import pytest

from hk3s_autoscaler.model.selectors import NodeTerm, Operator, Requirement

LABELS = {"zone": "fsn1", "cores": "4"}


@pytest.mark.parametrize(
    ("key", "operator", "values", "expected"),
    [
        ("zone", "In", ("fsn1", "nbg1"), True),
        ("zone", "In", ("nbg1",), False),
        ("none", "In", ("x",), False),
        ("zone", "NotIn", ("nbg1",), True),
        ("zone", "NotIn", ("fsn1",), False),
        ("none", "NotIn", ("x",), True),
        ("zone", "Exists", (), True),
        ("none", "Exists", (), False),
        ("none", "DoesNotExist", (), True),
        ("zone", "DoesNotExist", (), False),
        ("cores", "Gt", ("3",), True),
        ("cores", "Gt", ("4",), False),
        ("cores", "Lt", ("5",), True),
        ("cores", "Lt", ("4",), False),
        ("zone", "Gt", ("3",), False),
    ],
)
def test_an_expression_matches_as_in_kubernetes(
    key: str, operator: Operator, values: tuple[str, ...], *, expected: bool
) -> None:
    requirement = Requirement(key=key, operator=operator, values=values)

    assert requirement.matches(LABELS) is expected


def test_all_of_a_term_must_match_and_an_empty_term_matches_nothing() -> None:
    zone = Requirement(key="zone", operator="In", values=("fsn1",))
    name = Requirement(key="metadata.name", operator="In", values=("a",))

    assert NodeTerm(expressions=(zone,), fields=(name,)).matches("a", LABELS)
    assert not NodeTerm(expressions=(zone,), fields=(name,)).matches("b", LABELS)
    assert not NodeTerm().matches("a", LABELS)
