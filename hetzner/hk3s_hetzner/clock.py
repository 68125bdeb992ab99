"""Time as an argument: loops wait on a Clock, only this module reads the real one."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a loop needs to know about time."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return the monotonic seconds of the machine."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)
