"""The process: named tasks around the loop, one signal to stop, one reason to die."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from hk3s_autoscaler.daemon import http
from hk3s_autoscaler.daemon.kit import Kit
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.daemon.loop import Loop
from hk3s_autoscaler.daemon.timing import wait_for
from hk3s_autoscaler.daemon.trigger import Trigger
from hk3s_autoscaler.ports import NotLeader

_STANDBY_LOOK = 0.25
"""Seconds between looks whether we may write by now: a comparison of numbers."""

_log = logger("run")

Work = Callable[[], Coroutine[None, None, None]]


class LeaseLost(Exception):
    """Another process leads now, or may: this one must end."""


class Election(Protocol):
    """What the process needs of the Lease; `hk3s_kube.lease.LeaseElector` is one."""

    @property
    def leading(self) -> bool:
        """Whether we hold the Lease."""
        ...

    async def run(self) -> None:
        """Stand for election until stopped."""
        ...

    def stop(self) -> None:
        """Make `run` give the Lease back and return."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """All that runs. `watches` keeps the caches fresh, `synced` returns once they are full.

    `may_write` raises `NotLeader` while we may not; `lost` is set when a Lease we held is gone.
    """

    kit: Kit
    loop: Loop
    trigger: Trigger
    election: Election
    may_write: Callable[[], None]
    lost: asyncio.Event
    watches: Work
    synced: Work
    binding: http.Binding

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set and the work in hand has ended.

        Raises:
            ExceptionGroup: a task failed, or the Lease was lost.
        """
        kit = self.kit
        async with asyncio.TaskGroup() as group:
            services = [
                group.create_task(work, name=name)
                for name, work in (
                    ("http", http.serve(self.binding, kit.metrics, kit.health)),
                    ("watches", self.watches()),
                    ("events", kit.events.run()),
                    ("stop", self._close_on(stop)),
                )
            ]
            guard = group.create_task(self._guard(), name="lease guard")
            election = group.create_task(self.election.run(), name="lease")
            cut_short = await group.create_task(self._lead(stop), name="loop")
            guard.cancel()  # giving the Lease back is no loss
            if cut_short:
                # A call of theirs may still be on its way: the next leader is to wait for it.
                election.cancel()
            else:
                self.election.stop()
            await asyncio.wait({election})
            for service in services:
                service.cancel()

    async def _lead(self, stop: asyncio.Event) -> bool:
        """Wait until the caches are full and the Lease is ours, then loop.

        Returns whether work was cut short in the end.
        """
        synced = asyncio.ensure_future(self.synced())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait((synced, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            synced.cancel()
            return False
        await synced
        while not self._may_write():
            self.kit.health.standby = not self.election.leading
            self.kit.health.progressed()
            if await wait_for(stop, self.kit.clock, _STANDBY_LOOK):
                return False
        self.kit.health.standby = False
        self.kit.metrics.leader.set(1)
        _log.info("leader.began")
        cut_short = await self.loop.run(stop)
        await self.kit.events.flush()
        return bool(cut_short)

    def _may_write(self) -> bool:
        try:
            self.may_write()
        except NotLeader:
            return False
        return True

    async def _guard(self) -> None:
        await self.lost.wait()
        self.kit.metrics.leader.set(0)
        raise LeaseLost("the Lease is gone; what is under way is fenced off")

    async def _close_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.trigger.close()


async def run_until_signal(daemon: Daemon) -> int:
    """Run until SIGTERM or SIGINT; return the exit code: 0 when asked to end, else 1."""
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    try:
        await daemon.run(stop)
    except* LeaseLost as group:
        _log.error("lease.lost", error=str(group.exceptions[0]))
        return_code = 1
    except* Exception:  # noqa: BLE001 - the last line before the process ends
        _log.exception("daemon.crashed")
        return_code = 1
    else:
        return_code = 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            running.remove_signal_handler(number)
    return return_code
