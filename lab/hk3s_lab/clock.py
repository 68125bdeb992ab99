"""The lab's time: the only module of the lab that reads a clock.

Everything else receives a `Clock`, so that a test (or `--clock manual`) decides when time passes.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

MANUAL_EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
"""Where a manual clock starts unless told otherwise: after the date of the bundled catalogue."""

_SETTLE_ROUNDS = 16


class Clock(Protocol):
    """Wall time, monotonic time and a sleep that both agree with."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...


class RealClock:
    """The machine's own clock; `monotonic` is CLOCK_MONOTONIC, comparable between processes."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the clock module

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, start: datetime = MANUAL_EPOCH) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be an aware datetime")
        self._start = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the start plus all that was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return when `advance` has passed the deadline; a deadline in the past only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Pass `seconds`, waking each due sleeper at its own deadline.

        Sleepers wake in order of deadline, then of falling asleep.
        After each one the event loop gets a few turns, so that what the sleeper does next
        (another sleep included) happens at that moment of the clock.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, wake = heapq.heappop(self._sleepers)
            if wake.done():  # its task was cancelled
                continue
            self._elapsed = max(self._elapsed, deadline)
            wake.set_result(None)
            await _settle()
        self._elapsed = target
        await _settle()


async def _settle() -> None:
    for _ in range(_SETTLE_ROUNDS):
        await asyncio.sleep(0)
