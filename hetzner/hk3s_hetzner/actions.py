"""Waiting for actions, all together: one poll asks for every action that anyone waits for."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hk3s_hetzner import domain
from hk3s_hetzner.clock import Clock
from hk3s_hetzner.errors import (
    ActionTimeout,
    FenceLost,
    HetznerError,
    NotFound,
    RateLimited,
    Transient,
    translate_action,
)
from hk3s_hetzner.redaction import Redactor

IDS_A_CALL = 25
"""As hcloud-go does: `GET /actions` answers by pages of 25 unless asked otherwise."""

PollInterval = Callable[[int], float]
"""Seconds before poll number n (from 0, counted anew when a waiter joins)."""

FetchActions = Callable[[Sequence[int]], Awaitable[tuple[domain.Action, ...]]]


def growing(polls: int) -> float:
    """Return 0.3 s first, half as much again each time, 2 s at most."""
    return min(2.0, 0.3 * 1.5 ** min(polls, 10))


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiter:
    remaining: set[int]
    finished: dict[int, domain.Action]
    deadline: float
    done: asyncio.Future[None]

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def learn(self, action: domain.Action, redactor: Redactor) -> None:
        if action.id not in self.remaining or action.status == "running":
            return
        if action.status == "error":
            self.fail(translate_action(action, redactor))
            return
        self.remaining.discard(action.id)
        self.finished[action.id] = action
        if not self.remaining and not self.done.done():
            self.done.set_result(None)


class ActionPoller:
    """Polls while anybody waits, and only then."""

    def __init__(
        self, fetch: FetchActions, *, redactor: Redactor, clock: Clock, interval: PollInterval
    ) -> None:
        self._fetch = fetch
        self._redactor = redactor
        self._clock = clock
        self._interval = interval
        self._waiters: list[_Waiter] = []
        self._polls = 0
        self._task: asyncio.Task[None] | None = None

    async def wait(self, action_ids: Sequence[int], *, seconds: float) -> tuple[domain.Action, ...]:
        """Return the finished actions in the given order; raise the first failure's kind."""
        if not action_ids:
            return ()
        waiter = _Waiter(
            remaining=set(action_ids),
            finished={},
            deadline=self._clock.monotonic() + seconds,
            done=asyncio.get_running_loop().create_future(),
        )
        self._waiters.append(waiter)
        self._polls = 0
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="hetzner.actions")
        try:
            await waiter.done
        finally:
            self._waiters.remove(waiter)
        return tuple(waiter.finished[action_id] for action_id in action_ids)

    async def close(self) -> None:
        """Stop polling; whoever still waits gets `ActionTimeout`."""
        for waiter in self._waiters:
            waiter.fail(ActionTimeout("closed", "the client was closed while actions ran"))
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        try:
            while self._unfinished():
                await self._clock.sleep(self._interval(self._polls))
                self._polls += 1
                ids = sorted(set().union(*(waiter.remaining for waiter in self._unfinished())))
                for start in range(0, len(ids), IDS_A_CALL):
                    await self._poll(ids[start : start + IDS_A_CALL])
                self._expire()
        except Exception as error:
            # A defect here must reach those who wait, or they would wait for ever.
            for waiter in self._unfinished():
                waiter.fail(error)
            raise

    def _unfinished(self) -> list[_Waiter]:
        return [waiter for waiter in self._waiters if not waiter.done.done()]

    async def _poll(self, ids: Sequence[int]) -> None:
        concerned = [
            waiter for waiter in self._unfinished() if not waiter.remaining.isdisjoint(ids)
        ]
        try:
            actions = await self._fetch(ids)
        except (Transient, RateLimited):
            return  # the next poll asks again, until the deadline
        except (HetznerError, FenceLost) as error:
            for waiter in concerned:
                waiter.fail(error)
            return
        for waiter in concerned:
            for action in actions:
                waiter.learn(action, self._redactor)
        missing = set(ids) - {action.id for action in actions}
        for waiter in concerned:
            for action_id in sorted(waiter.remaining & missing):
                waiter.fail(NotFound("not_found", "the action is unknown", action_id=action_id))

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for waiter in self._unfinished():
            if now >= waiter.deadline:
                ids = ", ".join(map(str, sorted(waiter.remaining)))
                waiter.fail(ActionTimeout("action_timeout", f"actions still run: {ids}"))
