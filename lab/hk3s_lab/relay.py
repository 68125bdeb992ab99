"""Bytes between two TCP connections, both ways, until both are done."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

_CHUNK = 1 << 16


async def relay(
    left: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    right: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Copy both directions; a side that ends is half-closed on the other, an error ends both."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(left[0], right[1]))
            group.create_task(_copy(right[0], left[1]))
    except* OSError:
        pass  # a broken connection is how a peer says goodbye
    finally:
        # Both, before anything is waited for: whoever is cancelled here comes no further.
        left[1].close()
        right[1].close()
        await close(left[1])
        await close(right[1])


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever its state."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Connections:
    """The open connections of a listener, so that a power-off can cut them.

    A coroutine handed to `asyncio.start_server` would be reported as a failure when cancelled,
    so the server gets `accept`, a plain function, and the tasks are kept here.
    """

    def __init__(
        self,
        serve: Callable[
            [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]
        ],
    ) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection in a task of its own."""

        def end(task: asyncio.Task[None]) -> None:
            # Here and not in the task: one that is cancelled at once never begins.
            self._tasks.discard(task)
            writer.transport.abort()
            if not task.cancelled() and task.exception() is not None:
                task.get_loop().call_exception_handler(
                    {"message": "a connection was served badly", "exception": task.exception()}
                )

        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(end)

    async def cut(self) -> None:
        """Cancel all handlers and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
