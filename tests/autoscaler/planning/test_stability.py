"""Weeks of noise: it converges, stays within limits, and does not buy what it gives back."""

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.builders import CX53, minutes, pool, seconds
from autoscaler.simulated import Simulation
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.planning.reasons import Code

MINUTE, IDLE = minutes(1), minutes(5)
HOUR = timedelta(hours=1)
LONG = (pytest.mark.long, pytest.mark.timeout(1800))
USED_UP = minutes(50)
CHEAP = ("cx23", "cx33", "cx43")


def settle(simulation: Simulation, hours: int) -> None:
    simulation.run(hours * HOUR)


@pytest.mark.parametrize("packing", [True, False])
def test_a_day_without_news_is_a_day_without_moves(*, packing: bool) -> None:
    """After the first hours nothing is bought, moved or deleted any more, however pods lie."""
    simulation = Simulation(pool(max_nodes=20), loop=MINUTE, idle=IDLE, packing=packing)
    simulation.demand(23, "web", cpu="500m", memory="900Mi")
    simulation.demand(5, "db", cpu="1500m", memory="3Gi")
    settle(simulation, 4)
    settled, moved = simulation.counts.copy(), simulation.cluster.evictions

    settle(simulation, 8)

    assert simulation.running() == 28
    assert (simulation.counts, simulation.cluster.evictions) == (settled, moved)


@pytest.mark.parametrize(
    ("seed", "days"), [(1, 2), pytest.param(2, 14, marks=LONG, id="two-weeks")]
)
def test_days_and_nights(seed: int, days: int) -> None:
    """By day four times the load of the night, and noise of a tenth each two hours."""
    chance = random.Random(seed)  # noqa: S311 - a test's noise
    simulation = Simulation(pool(max_nodes=12), loop=MINUTE, idle=IDLE)
    for step in range(days * 12):
        by_day = 4 <= step % 12 < 9
        base = 32 if by_day else 8
        simulation.demand(base + chance.randint(-base // 10, base // 10))
        settle(simulation, 2)

    assert simulation.running() == len(simulation.cluster.pods)
    assert simulation.most_servers <= 12
    assert all(life >= USED_UP for life in simulation.lifetimes())
    # Two changes a day that matter: more purchases than these would be flapping.
    assert simulation.counts["CreateServer"] <= days * 2 * 5
    # Each pod is moved less than twice a day.
    assert simulation.cluster.evictions <= days * 2 * 32


def test_a_fallback_is_given_up_when_the_preferred_type_is_back() -> None:
    simulation = Simulation(pool(max_nodes=10), loop=MINUTE, idle=IDLE)
    simulation.stock(0, CHEAP)
    simulation.demand(4)
    settle(simulation, 2)
    assert {key.server_type for key in simulation.offerings()} == {"cx53"}

    simulation.stock(None, CHEAP)
    settle(simulation, 3)
    price, counts = simulation.price(), simulation.counts.copy()
    settle(simulation, 6)

    assert price < CX53.micro_eur_per_hour / 2
    assert simulation.counts == counts
    assert [life.why for life in simulation.ended()] == [Code.UNDERUTILIZED]


@pytest.mark.parametrize("announced", [True, False])
def test_nothing_is_exchanged_back_and_forth_when_stock_comes_and_goes(*, announced: bool) -> None:
    simulation = Simulation(pool(max_nodes=10), loop=MINUTE, idle=IDLE)
    simulation.demand(10)
    for hour in range(48):
        simulation.stock(0 if hour % 2 else None, ("cx23", "cx43"), announced=announced)
        settle(simulation, 1)

    # Every exchange lowers the price for good, so they come to an end.
    assert simulation.counts["CreateServer"] <= 6
    assert simulation.running() == 10


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    waves=st.lists(st.integers(0, 40), min_size=2, max_size=5),
    most=st.integers(1, 8),
    least=st.integers(0, 1),
    keep_hour=st.booleans(),
    packing=st.booleans(),
)
def test_any_waves_end_in_a_state_that_is_left_alone(
    waves: list[int], most: int, least: int, *, keep_hour: bool, packing: bool
) -> None:
    disruption = Disruption(consolidate_after=seconds(120), keep_until_hour_end=keep_hour)
    workers = pool(min_nodes=least, max_nodes=most, disruption=disruption)
    simulation = Simulation(workers, loop=MINUTE, idle=IDLE, packing=packing)
    for wave in waves:
        simulation.demand(wave)
        settle(simulation, 1)
    settle(simulation, 5)
    counts = simulation.counts.copy()

    settle(simulation, 2)

    assert simulation.counts == counts
    assert least <= simulation.most_servers <= most
    if keep_hour:
        assert all(life >= USED_UP for life in simulation.lifetimes())
