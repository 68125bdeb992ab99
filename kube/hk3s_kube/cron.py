"""Cron schedules (`0 22 * * mon-fri`, `@daily`), in UTC, with crontab(5)'s meaning.

Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday), each `*` or a list
of numbers, names, ranges and steps. When both kinds of day are restricted, either is enough.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_BOUNDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The minutes that a schedule names. `either_day`: both kinds of day are restricted."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def last(self, now: datetime, *, within: timedelta) -> datetime | None:
        """Return the latest time named that is not after `now` and less than `within` ago."""
        return next(self._back(now.astimezone(UTC), within), None)

    def _back(self, now: datetime, within: timedelta) -> Iterator[datetime]:
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        while day + _DAY > now - within:
            if self._is_day(day):
                for hour in sorted(self.hours, reverse=True):
                    for minute in sorted(self.minutes, reverse=True):
                        time = day.replace(hour=hour, minute=minute)
                        if now - within < time <= now:
                            yield time
            day -= _DAY

    def _is_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_date = day.day in self.days
        by_name = day.isoweekday() % 7 in self.weekdays
        return (by_date or by_name) if self.either_day else (by_date and by_name)


def parse(text: str) -> Schedule:
    """Return the schedule; `ValueError` says which field is wrong."""
    fields = _MACROS.get(text.strip().lower(), text).split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"{text!r} is no schedule: write five fields, as in '0 22 * * mon-fri'")
    minutes, hours, days, months, weekdays = (
        _field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)
    )
    return Schedule(
        text=text,
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
    )


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        try:
            first, last = _span(span, low, high, names, open_end=bool(step))
            found.update(range(first, last + 1, int(step or 1)))
        except ValueError:
            raise ValueError(f"{part!r} is no {name} of a schedule") from None
        if not low <= first <= last <= high or "-" in step:
            raise ValueError(f"{part!r} is no {name} of a schedule: {low} to {high}")
    return frozenset(found)


def _span(
    text: str, low: int, high: int, names: dict[str, int], *, open_end: bool
) -> tuple[int, int]:
    if text == "*":
        return low, high
    first, dash, last = text.partition("-")
    begin = names[first] if first in names else int(first)
    if not dash:
        return begin, high if open_end else begin
    return begin, names[last] if last in names else int(last)
