"""Schedules of disruption budgets."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from hk3s_kube import cron

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        ("0 12 * * *", MONDAY_NOON),
        ("1 12 * * *", MONDAY_NOON - timedelta(hours=23, minutes=59)),
        ("*/15 * * * *", MONDAY_NOON),
        ("5/20 * * * *", MONDAY_NOON - timedelta(minutes=15)),
        ("0 22 * * mon-fri", datetime(2026, 11, 20, 22, 0, tzinfo=UTC)),
        ("30 6 * * 7", datetime(2026, 11, 22, 6, 30, tzinfo=UTC)),
        ("0 0 * nov sat,sun", datetime(2026, 11, 22, 0, 0, tzinfo=UTC)),
        ("0 3 18 * thu", datetime(2026, 11, 19, 3, 0, tzinfo=UTC)),
        ("0 0 1 * *", None),
        ("@daily", MONDAY_NOON - timedelta(hours=12)),
        ("@Hourly", MONDAY_NOON),
    ],
)
def test_the_last_time_that_a_schedule_names(schedule: str, last: datetime | None) -> None:
    assert cron.parse(schedule).last(MONDAY_NOON, within=WEEK) == last


def test_a_duration_ends_with_its_last_moment() -> None:
    daily = cron.parse("0 22 * * *")
    begun = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
    hours = timedelta(hours=8)

    assert daily.last(begun, within=hours) == begun
    assert daily.last(begun + hours - timedelta(seconds=1), within=hours) == begun
    assert daily.last(begun + hours, within=hours) is None
    assert daily.last(begun - timedelta(seconds=1), within=hours) is None


def test_schedules_are_in_utc_whatever_the_zone_of_the_clock() -> None:
    berlin = MONDAY_NOON.astimezone(timezone(timedelta(hours=1)))

    assert cron.parse("0 12 * * *").last(berlin, within=WEEK) == MONDAY_NOON


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("a * * * *", "*/0 * * * *", "*/-1 * * * *", "9-5 * * * *", "@often", "1,,2 * * * *"),
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        cron.parse(text)
