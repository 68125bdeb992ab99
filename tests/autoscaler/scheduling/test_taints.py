"""Taints and tolerations."""

import pytest

from hk3s_autoscaler.model.pod import Effect, Taint, Toleration
from hk3s_autoscaler.scheduling.taints import tolerates, untolerated

BATCH = Taint(key="dedicated", value="batch", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(key="dedicated", value="batch"), True),
        (Toleration(key="dedicated", value="web"), False),
        (Toleration(key="dedicated", operator="Exists"), True),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(operator="Exists"), True),
        (Toleration(value="batch"), False),
        (Toleration(key="dedicated", value="batch", effect="NoSchedule"), True),
        (Toleration(key="dedicated", value="batch", effect="NoExecute"), False),
    ],
)
def test_a_toleration_covers_a_taint_as_in_kubernetes(
    toleration: Toleration, *, expected: bool
) -> None:
    assert tolerates(toleration, BATCH) is expected


@pytest.mark.parametrize(
    ("operator", "bound", "expected"),
    [
        ("Gt", "4", True),
        ("Gt", "5", False),
        ("Lt", "6", True),
        ("Lt", "5", False),
        ("Lt", "x", False),
    ],
)
def test_numbers_are_compared(operator: str, bound: str, *, expected: bool) -> None:
    taint = Taint(key="tier", value="5")
    toleration = Toleration(key="tier", operator="Gt" if operator == "Gt" else "Lt", value=bound)

    assert tolerates(toleration, taint) is expected


@pytest.mark.parametrize(
    ("effect", "blocked"), [("NoSchedule", True), ("NoExecute", True), ("PreferNoSchedule", False)]
)
def test_only_hard_effects_keep_pods_away(effect: Effect, *, blocked: bool) -> None:
    taint = Taint(key="a", effect=effect)

    assert (untolerated((), (taint,)) is not None) is blocked


def test_each_taint_needs_a_toleration() -> None:
    other = Taint(key="other")
    holds = (Toleration(key="dedicated", operator="Exists"),)

    assert untolerated(holds, (BATCH,)) is None
    assert untolerated(holds, (BATCH, other)) is other
