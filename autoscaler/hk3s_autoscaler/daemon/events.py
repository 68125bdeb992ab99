"""Kubernetes Events: queued so that no decision waits for them, and never repeated too soon."""

import asyncio
from collections import OrderedDict

from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.ports import Clock, Cluster, ObjectRef, PortError

_QUEUE = 500
_REPEAT_AFTER = 600.0
_REMEMBERED = 5000

_log = logger("events")


class Recorder:
    """Takes Events at once and writes them in the background."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._queue: asyncio.Queue[tuple[ObjectRef, str, str, bool]] = asyncio.Queue(_QUEUE)
        self._sent: OrderedDict[tuple[ObjectRef, str, str], float] = OrderedDict()

    def emit(self, about: ObjectRef, *, reason: str, message: str, warning: bool = False) -> None:
        """Record an Event, unless an equal one was recorded in the last ten minutes."""
        key = (about, reason, message)
        now = self._clock.monotonic()
        if now - self._sent.get(key, float("-inf")) < _REPEAT_AFTER:
            return
        try:
            self._queue.put_nowait((about, reason, message, warning))
        except asyncio.QueueFull:
            _log.warning("events.dropped", reason=reason, about=about.name)
            return
        self._sent[key] = now
        self._sent.move_to_end(key)
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    async def run(self) -> None:
        """Write queued Events for ever."""
        while True:
            await self._write(await self._queue.get())

    async def flush(self) -> None:
        """Write what is queued now."""
        while not self._queue.empty():
            await self._write(self._queue.get_nowait())

    async def _write(self, event: tuple[ObjectRef, str, str, bool]) -> None:
        about, reason, message, warning = event
        try:
            await self._cluster.emit(about, reason=reason, message=message, warning=warning)
        except PortError as error:
            # An Event is a courtesy: the log line and the metric of the same reason exist.
            _log.warning("event.failed", reason=reason, about=about.name, error=str(error))
