"""Waiting that can be cut short, on the Clock that is passed in."""

import asyncio

from hk3s_autoscaler.ports import Clock


async def wait_for(event: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Wait until the event is set, at most that long; return whether it is."""
    if event.is_set() or seconds <= 0:
        return event.is_set()
    waiters = (
        asyncio.ensure_future(event.wait()),
        asyncio.ensure_future(clock.sleep(seconds)),
    )
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
    return event.is_set()
