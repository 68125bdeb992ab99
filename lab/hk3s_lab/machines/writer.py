"""A node's writes to the API: few at once, repeated while the API is away."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable

log = structlog.get_logger()

_AT_ONCE = 4
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_DONE = frozenset({404, 409})
"""The object is gone, or another one has its name now: nothing is left to write."""
_TOO_MANY, _SERVER_FAULT = 429, 500


class Writer:
    """Bounded and patient; what it gives up on is logged and repeated by the next change."""

    def __init__(self, clock: Clock, node: str) -> None:
        self._clock = clock
        self._node = node
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def write(self, act: Callable[[], Awaitable[object]]) -> None:
        """Carry out one write; what was refused for good is logged, not raised."""
        for pause in _PAUSES:
            try:
                async with self._slots:
                    await act()
            except ApiError as error:
                if error.status in _DONE:
                    return
                if error.status != _TOO_MANY and error.status < _SERVER_FAULT:
                    log.warning("kubelet.write_refused", node=self._node, error=str(error))
                    return
            except ApiUnreachable:
                pass  # the API is starting or gone: the pause below is the answer
            else:
                return
            await self._clock.sleep(pause)
        log.warning("kubelet.write_given_up", node=self._node)
