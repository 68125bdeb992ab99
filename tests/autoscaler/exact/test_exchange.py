"""Pods are exchanged until servers that seemed too few hold them all."""

import math
import random

import pytest

from hk3s_autoscaler.planning.cover import Batch, Packing
from hk3s_autoscaler.planning.exact import is_valid
from hk3s_autoscaler.planning.problem import ANYBODY, Kind, Neighbours, Pattern, Problem

pytest.importorskip("highspy")

from hk3s_autoscaler.exact.columns import Columns
from hk3s_autoscaler.exact.exchange import refit
from hk3s_autoscaler.exact.fleets import raised, roomiest

EACH = 10
SIZES = ((6, 2), (4, 8), (5, 5), (3, 1), (7, 9))
LARGE = Kind(room=(10, 10), price=100, classes=tuple(range(len(SIZES))))
SMALL = Kind(room=(5, 5), price=60, classes=(2, 3))
PROBLEM = Problem(demands=SIZES, counts=(EACH,) * len(SIZES), kinds=(LARGE, SMALL))
ALONE: tuple[Pattern, ...] = tuple(((index, 1),) for index in range(len(SIZES)))
WASTEFUL = [Batch(0, pattern, EACH) for pattern in ALONE]


def attempt(problem: Problem, wanted: tuple[int, ...], steps: int = 5000) -> list[Batch] | None:
    left = iter(range(steps))
    chance = random.Random(0)  # noqa: S311 - the same each time
    return refit(problem, WASTEFUL, wanted, chance, lambda: next(left, None) is not None)


def packing(problem: Problem, batches: list[Batch]) -> Packing:
    price = sum(problem.kinds[b.kind].price * b.number for b in batches)
    return Packing(batches=tuple(batches), price=price, missed=(0,) * len(problem.counts))


def test_half_the_servers_hold_all_pods_when_those_that_match_share_one() -> None:
    found = attempt(PROBLEM, (25, 0))

    assert found is not None
    assert is_valid(PROBLEM, packing(PROBLEM, found))
    assert sum(batch.number for batch in found) == 25


def test_servers_of_another_kind_take_what_may_be_there() -> None:
    found = attempt(PROBLEM, (22, 6))

    assert found is not None
    assert is_valid(PROBLEM, packing(PROBLEM, found))


def test_too_few_servers_are_given_up_in_time() -> None:
    assert attempt(PROBLEM, (20, 0), steps=200) is None


def test_rivals_never_meet_whatever_is_exchanged() -> None:
    apart = Problem(
        demands=SIZES,
        counts=PROBLEM.counts,
        kinds=(LARGE, SMALL),
        neighbours=(
            Neighbours(rivals=frozenset({1})),
            Neighbours(rivals=frozenset({0})),
            *(ANYBODY for _ in SIZES[2:]),
        ),
    )

    found = attempt(apart, (35, 0))

    assert found is not None
    assert is_valid(apart, packing(apart, found))


def columns() -> Columns:
    made = Columns(PROBLEM, [kind.price for kind in PROBLEM.kinds], 1000.0)
    left = iter(range(100))
    made.generate(lambda: next(left, None) is not None)
    return made


def test_columns_bound_what_any_purchase_costs() -> None:
    found = attempt(PROBLEM, (25, 0))
    made = columns()

    assert found is not None
    assert 0 < made.bound <= packing(PROBLEM, found).price
    assert all(PROBLEM.holds(PROBLEM.kinds[kind], pattern) for kind, pattern in made.loads)


def test_whole_servers_bound_no_lower_than_fractions_and_no_higher_than_a_purchase() -> None:
    found = attempt(PROBLEM, (25, 0))
    made = columns()
    least = raised(PROBLEM, made.valuations, math.inf, lambda _: ())

    assert found is not None
    assert made.bound * 0.999 <= least <= packing(PROBLEM, found).price
    assert least % 20 == 0, "servers cost 100 and 60"


def test_the_roomiest_fleet_costs_no_more_than_it_may() -> None:
    made = columns()

    fleet = roomiest(PROBLEM, made.valuations, 2500)

    assert fleet is not None
    assert 100 * fleet[0] + 60 * fleet[1] <= 2500
    assert roomiest(PROBLEM, made.valuations, made.bound * 0.9) is None
