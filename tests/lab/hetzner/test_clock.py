import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hk3s_lab.clock import MANUAL_EPOCH, ManualClock, RealClock


async def test_sleepers_wake_in_order_each_at_its_own_moment() -> None:
    clock = ManualClock()
    woken = []

    async def sleeper(name: str, *seconds: float) -> None:
        for wait in seconds:
            await clock.sleep(wait)
            woken.append((name, clock.monotonic()))

    tasks = [
        asyncio.create_task(sleeper("late", 3)),
        asyncio.create_task(sleeper("often", 1, 1, 5)),
        asyncio.create_task(sleeper("same", 3)),
    ]
    await clock.advance(4)
    early = list(woken)
    await clock.advance(3)

    assert early == [("often", 1.0), ("often", 2.0), ("late", 3.0), ("same", 3.0)]
    assert woken[4:] == [("often", 7.0)]
    assert clock.now() == MANUAL_EPOCH + timedelta(seconds=7)
    await asyncio.gather(*tasks)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(0)
    task.cancel()
    await clock.advance(2)

    assert task.cancelled()
    assert clock.monotonic() == 2


async def test_a_sleep_that_is_over_already_returns() -> None:
    clock = ManualClock()

    await asyncio.wait_for(clock.sleep(-1), timeout=5)


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="go back"):
        await ManualClock().advance(-1)


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2030, 1, 1))  # noqa: DTZ001 - what is refused


async def test_the_real_clock_is_aware_and_monotonic() -> None:
    clock = RealClock()
    before = clock.monotonic()
    await clock.sleep(0)

    assert clock.now().tzinfo is UTC
    assert clock.monotonic() >= before
