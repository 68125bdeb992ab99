"""Time as an argument: loops wait on a Clock, only this module reads the real one."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a loop needs to know about time."""

    def now(self) -> datetime:
        """Return the present as aware UTC; it may jump, so only for what others read."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back, counts time asleep."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the machine's present as aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        """Return seconds since boot, suspended ones included.

        CLOCK_MONOTONIC stands still while a machine sleeps; a Lease does not.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)
