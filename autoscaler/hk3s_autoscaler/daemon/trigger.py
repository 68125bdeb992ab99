"""When the next turn of the loop begins: at once for news, after a pause otherwise."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from hk3s_autoscaler.daemon.timing import wait_for
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.ports import Change, Clock

Seen = dict[PodKey, float]
"""Pods that became unschedulable, with the monotonic time of the watch event that said so."""

_SPACING = 0.2
"""Seconds between turns, however many nodes change: a turn reads everything anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The news that one turn answers.

    `pods` maps new unschedulable pods to the monotonic time of their watch event; `closed_at` is
    the monotonic time at which the batch was closed.
    """

    closed_at: float
    pods: Mapping[PodKey, float] = field(default_factory=dict)


class Trigger:
    """Collects news into batches.

    A batch of new pods closes `idle` seconds after the last or `longest` seconds after the first:
    a Deployment's pods arrive one by one, and packed together they are cheaper. News of nodes and
    pools waits for nothing but the spacing.
    """

    def __init__(self, clock: Clock, *, idle: float, longest: float) -> None:
        self._clock = clock
        self._idle = idle
        self._longest = longest
        self._news = asyncio.Event()
        self._pods: Seen = {}
        self._last_pod = 0.0
        self._poked = False
        self._closed = False
        self._closed_at = clock.monotonic() - _SPACING

    def notify(self, change: Change) -> None:
        """Take news from a watch; never blocks."""
        if change.kind == "pods":
            fresh = [key for key in change.pods if key not in self._pods]
            if not fresh:
                return
            for key in fresh:
                self._pods[key] = change.monotonic
            self._last_pod = change.monotonic
        else:
            self._poked = True
        self._news.set()

    async def wait(self, seconds: float) -> Batch:
        """Return when there is news whose batch is closed, or after that many seconds."""
        begun = self._clock.monotonic()
        while True:
            due = self._due(begun + seconds)
            left = due - self._clock.monotonic()
            if left <= 0:
                return self._take()
            self._news.clear()
            await wait_for(self._news, self._clock, left)

    def close(self) -> None:
        """Let `wait` return at once from now on."""
        self._closed = True
        self._news.set()

    def _due(self, at_the_latest: float) -> float:
        if self._closed:
            return self._clock.monotonic()
        if self._pods:
            # Other news waits for the batch: a turn in between would buy for half of it.
            first = min(self._pods.values())
            return min(self._last_pod + self._idle, first + self._longest)
        if self._poked:
            return min(at_the_latest, self._closed_at + _SPACING)
        return at_the_latest

    def _take(self) -> Batch:
        batch = Batch(closed_at=self._clock.monotonic(), pods=self._pods)
        self._pods = {}
        self._poked = False
        self._closed_at = batch.closed_at
        return batch
