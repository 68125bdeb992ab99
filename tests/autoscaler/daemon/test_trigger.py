"""When the loop turns."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from autoscaler.fakes import ManualClock
from hk3s_autoscaler.daemon.trigger import Batch, Trigger
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.ports import Change


class Waiting:
    """A trigger that is waited on; `batches` holds the waits that ended, with their times."""

    def __init__(self, seconds: float) -> None:
        self.clock = ManualClock()
        self.begun = self.clock.monotonic()
        self.trigger = Trigger(self.clock, idle=0.3, longest=2.0)
        self.batch: Batch | None = None
        self.task = asyncio.create_task(self._wait(seconds))

    async def _wait(self, seconds: float) -> None:
        self.batch = await self.trigger.wait(seconds)

    def pod(self, name: str) -> None:
        key = PodKey("default", name)
        self.trigger.notify(Change(kind="pods", monotonic=self.clock.monotonic(), pods=(key,)))

    def news(self) -> None:
        self.trigger.notify(Change(kind="nodes", monotonic=self.clock.monotonic()))

    @property
    def ended_after(self) -> float | None:
        return None if self.batch is None else round(self.batch.closed_at - self.begun, 3)


@pytest.fixture
async def waiting() -> AsyncIterator[Waiting]:
    waiting = Waiting(10.0)
    yield waiting
    waiting.task.cancel()
    await asyncio.gather(waiting.task, return_exceptions=True)


async def test_without_news_the_wait_takes_its_time(waiting: Waiting) -> None:
    await waiting.clock.advance(9.9)
    assert waiting.ended_after is None

    await waiting.clock.advance(0.1)
    assert waiting.ended_after == 10.0


async def test_a_batch_closes_after_the_last_pod(waiting: Waiting) -> None:
    await waiting.clock.advance(1.0)
    waiting.pod("a")
    await waiting.clock.advance(0.2)
    waiting.pod("b")
    await waiting.clock.advance(0.29)
    assert waiting.ended_after is None

    await waiting.clock.advance(0.01)
    assert waiting.ended_after == 1.5
    assert waiting.batch is not None
    assert waiting.batch.pods == {
        PodKey("default", "a"): waiting.begun + 1.0,
        PodKey("default", "b"): waiting.begun + 1.2,
    }


async def test_a_batch_that_never_rests_closes_two_seconds_after_the_first(
    waiting: Waiting,
) -> None:
    for number in range(12):
        waiting.pod(f"p{number}")
        await waiting.clock.advance(0.2)

    assert waiting.ended_after == 2.0


async def test_the_same_pod_again_keeps_no_batch_open(waiting: Waiting) -> None:
    waiting.pod("a")
    await waiting.clock.advance(0.2)
    waiting.pod("a")
    await waiting.clock.advance(0.1)

    assert waiting.ended_after == 0.3


async def test_news_of_nodes_does_not_wait(waiting: Waiting) -> None:
    await waiting.clock.advance(1.0)
    waiting.news()
    await waiting.clock.advance(0)

    assert waiting.ended_after == 1.0


async def test_news_of_nodes_does_not_break_a_batch(waiting: Waiting) -> None:
    waiting.pod("a")
    await waiting.clock.advance(0.1)
    waiting.news()
    await waiting.clock.advance(0.1)
    assert waiting.ended_after is None

    await waiting.clock.advance(0.1)
    assert waiting.ended_after == 0.3


async def test_a_storm_of_news_is_not_a_storm_of_turns() -> None:
    clock = ManualClock()
    trigger = Trigger(clock, idle=0.3, longest=2.0)
    turns = 0

    async def turn_for_ever() -> None:
        nonlocal turns
        while True:
            await trigger.wait(10.0)
            turns += 1

    task = asyncio.create_task(turn_for_ever())
    for _ in range(100):
        trigger.notify(Change(kind="nodes", monotonic=clock.monotonic()))
        await clock.advance(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert turns <= 6


async def test_closing_ends_the_wait_even_within_a_batch(waiting: Waiting) -> None:
    waiting.pod("a")
    await waiting.clock.advance(0.1)
    waiting.trigger.close()
    await waiting.clock.advance(0)

    assert waiting.ended_after == 0.1
