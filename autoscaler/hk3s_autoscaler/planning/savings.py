"""What giving a server back saves: hours begun are paid, so only whole hours count."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hk3s_autoscaler.model.node import Server

HOUR = timedelta(hours=1)
LEAVE_FROM = timedelta(minutes=50)
LEAVE_UNTIL = timedelta(minutes=57)
"""A paid hour is used up to minute 50; a drain begun after minute 57 would run into the next."""

BOOT = timedelta(minutes=4)
"""Allowed for a server that is bought in another's stead to become a Ready node."""
DRAIN = timedelta(minutes=3)
"""Allowed for a drain, where it does not decide about a whole hour."""

HOURS_A_DAY = 24
DAYS_A_MONTH = 26
"""Hetzner's monthly price is 624 hours: later hours of a month are free."""


def into_hour(server: Server, now: datetime) -> timedelta:
    """How long ago the hour began that is paid now."""
    return (now - server.created_at) % HOUR


def paid_until(server: Server, now: datetime) -> datetime:
    """When the hour ends that is paid now."""
    return now - into_hour(server, now) + HOUR


def may_leave(server: Server, now: datetime) -> bool:
    """Whether a drain may begin now: the paid hour is nearly over, with time left to drain."""
    return LEAVE_FROM <= into_hour(server, now) < LEAVE_UNTIL


def next_leave(server: Server, now: datetime) -> datetime:
    """When a drain may begin, `now` included."""
    into = into_hour(server, now)
    if LEAVE_FROM <= into < LEAVE_UNTIL:
        return now
    begin = now - into + LEAVE_FROM
    return begin if begin > now else begin + HOUR


def may_buy_ahead(server: Server, now: datetime) -> bool:
    """Whether a server bought now is Ready in time for this one to leave within its paid hour."""
    into = into_hour(server, now)
    return LEAVE_FROM - 2 * BOOT <= into < LEAVE_UNTIL - BOOT


def hours_spared(server: Server, now: datetime, ready: datetime, *, keep_hour: bool) -> int:
    """Hours of the day from the end of the paid hour that are not begun when the server leaves.

    `ready` is when its pods have another place; with `keep_hour` it then waits for its next chance
    to leave within a paid hour.
    """
    gone = next_leave(server, ready) if keep_hour else ready + DRAIN
    paid = paid_until(server, now)
    if keep_hour:
        return HOURS_A_DAY - (paid_until(server, gone) - paid) // HOUR
    begun = -((paid - gone) // HOUR) if gone > paid else 0
    return HOURS_A_DAY - begun


def monthly(removed: Iterable[tuple[int, int]], bought: Iterable[int]) -> int:
    """Micro-euro a month: from (price, hours spared) of what goes, and prices of what comes.

    What is bought begins all 24 hours of the day.
    """
    spared = sum(price * hours for price, hours in removed)
    return (spared - sum(bought) * HOURS_A_DAY) * DAYS_A_MONTH
