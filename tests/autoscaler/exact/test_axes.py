"""One resource alone shows that servers cannot hold all pods."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import pytest

from hk3s_autoscaler.planning.cover import Batch, Packing
from hk3s_autoscaler.planning.exact import Request
from hk3s_autoscaler.planning.problem import Kind, Problem

pytest.importorskip("highspy")

from hk3s_autoscaler.exact.axes import refute
from hk3s_autoscaler.exact.fleets import Fleet, cheapest, raised
from hk3s_autoscaler.exact.joint import denies
from hk3s_autoscaler.exact.joint import refute as refute_jointly
from hk3s_autoscaler.exact.valuation import Valuation
from hk3s_autoscaler.exact.worker import solve

LEFT_OVER = 7
"""What pods that ask for 100 and 200 leave over of a room of 1,607."""
LARGE = Kind(room=(16_000, 1_600 + LEFT_OVER), price=100, classes=(0, 1))
SMALL = Kind(room=(4_000, 400), price=26, classes=(0, 1))
ROUND = Problem(demands=((10, 100), (500, 200)), counts=(161, 80), kinds=(LARGE, SMALL))
"""Twenty large servers have 32,140 of memory for pods that want 32,100: 1,600 each are of use."""


def unbroken() -> bool:
    return True


def reasons(problem: Problem, fleet: Fleet) -> Sequence[Valuation]:
    return refute(problem, fleet, unbroken)


def areas(problem: Problem) -> list[Valuation]:
    """The rooms themselves: all that is needed to begin with."""
    return [
        Valuation(
            tuple(float(demand[axis]) for demand in problem.demands),
            tuple(float(kind.room[axis]) for kind in problem.kinds),
        )
        for axis in range(2)
    ]


def test_what_is_left_over_on_each_server_refutes_a_fleet_with_room_enough() -> None:
    reasons = refute(ROUND, (20, 0), unbroken)

    assert not any(denies(valuation, ROUND, (20, 0)) for valuation in areas(ROUND))
    assert len(reasons) == 1
    assert denies(reasons[0], ROUND, (20, 0))


def test_a_fleet_that_holds_all_pods_is_not_refuted() -> None:
    assert refute(ROUND, (20, 1), unbroken) == ()
    assert not any(denies(reason, ROUND, (20, 1)) for reason in refute(ROUND, (20, 0), unbroken))


def test_out_of_time_nothing_is_refuted() -> None:
    assert refute(ROUND, (20, 0), lambda: False) == ()


def test_two_resources_together_refute_what_each_alone_does_not() -> None:
    tall, wide = (6, 6), (2, 2)
    kind = Kind(room=(10, 10), price=100, classes=(0, 1))
    problem = Problem(demands=(tall, wide), counts=(2, 4), kinds=(kind,))
    lean = replace(problem, demands=((6, 1), (1, 6)), counts=(2, 2))

    assert refute_jointly(problem, (2,), (), unbroken) == ()
    assert refute_jointly(lean, (2,), (), unbroken) == ()
    crossed = replace(problem, demands=((6, 5), (5, 6)), counts=(2, 2))
    assert refute(crossed, (3,), unbroken) == ()
    (reason,) = refute_jointly(crossed, (3,), (), unbroken)
    assert denies(reason, crossed, (3,))
    assert not denies(reason, crossed, (4,))


def test_refuted_fleets_raise_the_price_that_none_undercuts() -> None:
    rooms_alone, fleet = cheapest(ROUND, areas(ROUND))

    assert rooms_alone <= 2_000
    assert fleet is not None
    assert raised(ROUND, areas(ROUND), math.inf, partial(reasons, ROUND)) == 2_026


def test_no_valuation_ever_denies_servers_that_do_hold_all_pods() -> None:
    chance = random.Random(5)  # noqa: S311 - the same each time
    for _ in range(25):
        demands = tuple((chance.randint(1, 9), chance.randint(0, 30)) for _ in range(3))
        kinds = tuple(
            Kind(
                room=(chance.randint(9, 25), chance.randint(30, 60)),
                price=100,
                classes=(0, 1, 2) if chance.random() < 0.7 else (0, 1),
            )
            for _ in range(2)
        )
        loads = [
            [
                load
                for load in product(range(4), repeat=3)
                if any(load)
                and Problem(demands=demands, counts=(99,) * 3, kinds=kinds).holds(
                    kind, tuple((i, n) for i, n in enumerate(load) if n)
                )
            ]
            for kind in kinds
        ]
        holding = (chance.randint(1, 4), chance.randint(1, 4))
        held = [chance.choice(loads[k]) for k, n in enumerate(holding) for _ in range(n)]
        counts = tuple(sum(column) for column in zip(*held, strict=True))
        problem = Problem(demands=demands, counts=counts, kinds=kinds)

        for fleet in product(range(4), repeat=2):
            for reason in refute(problem, fleet, unbroken):
                assert denies(reason, problem, fleet)
                assert not denies(reason, problem, holding)
            for reason in refute_jointly(problem, fleet, (), unbroken):
                assert denies(reason, problem, fleet)
                assert not denies(reason, problem, holding)
        assert raised(problem, areas(problem), math.inf, partial(reasons, problem)) <= 100 * sum(
            holding
        )


def test_the_pass_ends_early_when_a_purchase_is_proved_to_be_the_cheapest() -> None:
    purchase = Packing(
        batches=(
            Batch(0, ((0, 8), (1, 4)), 20),
            Batch(1, ((0, 1),), 1),
        ),
        price=2_026,
        missed=(0, 0),
    )
    request = Request(problem=ROUND, packing=purchase, seconds=1e6)

    answers = list(solve(request, lambda: 0.0))

    assert answers[-1].packing.price == answers[-1].whole_bound == 2_026
