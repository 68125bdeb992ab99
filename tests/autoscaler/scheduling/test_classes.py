"""Equivalence classes of pods."""

from datetime import timedelta

from autoscaler.builders import NOW, pod
from hk3s_autoscaler.scheduling.classes import classify


def test_pods_that_ask_for_the_same_are_one_class_longest_waiting_first() -> None:
    old = pod("old", waiting_since=NOW - timedelta(minutes=1))
    new = pod("new")

    (only,) = classify([new, old])

    assert [p.key.name for p in only.pods] == ["old", "new"]


def test_the_important_and_the_large_come_first() -> None:
    small, large, important = pod(cpu="1"), pod(cpu="2"), pod(cpu="100m", priority=5)

    classes = classify([small, large, important])

    assert [c.pods[0] for c in classes] == [important, large, small]


def test_overdue_pods_are_a_class_of_their_own() -> None:
    late, fresh = pod("late"), pod("fresh")

    assert [c.overdue for c in classify([late, fresh], overdue=[late])] == [False, True]
