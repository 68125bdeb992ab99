"""The bill: started hours are paid in full, and a month never costs more than its price."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from hk3s_lab.hetzner.model.catalog import Price

HOUR = timedelta(hours=1)


def started_hours(start: datetime, end: datetime) -> int:
    """Return the hours begun between two moments; a lifetime of nothing still begins one."""
    whole, rest = divmod(end - start, HOUR)
    return max(1, whole + (1 if rest else 0))


def months_begun(start: datetime, end: datetime) -> int:
    """Return the calendar months (UTC) that something touched."""
    return 12 * (end.year - start.year) + end.month - start.month + 1


def amount(price: Price, start: datetime, end: datetime) -> Decimal:
    """Return what something costs that exists between two moments.

    Each started hour counts in the calendar month (UTC) in which it begins,
    and a month costs at most the monthly price.
    """
    total = Decimal(0)
    for hours in _hours_by_month(start, started_hours(start, end)):
        total += min(price.monthly, price.hourly * hours)
    return total


def _hours_by_month(start: datetime, hours: int) -> Iterator[int]:
    moment = start
    while hours > 0:
        first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + timedelta(days=32)).replace(day=1)
        here = min(hours, -((moment - following) // HOUR))
        yield here
        moment += here * HOUR
        hours -= here
