"""The arithmetic of the bill, apart from any server."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hk3s_lab.hetzner.model.catalog import Price
from hk3s_lab.hetzner.model.cost import amount, started_hours

CX23 = Price(hourly=Decimal("0.0088"), monthly=Decimal("5.49"))
START = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lifetime", "hours"),
    [
        (timedelta(0), 1),
        (timedelta(seconds=1), 1),
        (timedelta(hours=1), 1),
        (timedelta(hours=1, microseconds=1), 2),
        (timedelta(hours=24), 24),
    ],
)
def test_hours_are_counted_as_soon_as_they_begin(lifetime: timedelta, hours: int) -> None:
    assert started_hours(START, START + lifetime) == hours


@pytest.mark.parametrize(
    ("hours", "cost"),
    [
        (1, Decimal("0.0088")),
        (623, Decimal("5.4824")),
        (624, Decimal("5.49")),
        (744, Decimal("5.49")),
        (745, Decimal("5.4988")),
        (744 + 720, Decimal("10.98")),
    ],
)
def test_the_cap_is_per_calendar_month(hours: int, cost: Decimal) -> None:
    assert amount(CX23, START, START + timedelta(hours=hours)) == cost


def test_an_hour_belongs_to_the_month_in_which_it_begins() -> None:
    late = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)

    assert amount(CX23, late, late + timedelta(hours=1)) == Decimal("0.0088")
    assert amount(CX23, late, late + timedelta(hours=2)) == Decimal("0.0176")
    assert amount(CX23, late, late + timedelta(hours=722)) == Decimal("5.4988") + Decimal("0.0088")
