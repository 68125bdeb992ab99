"""Bytes between two TCP connections, both ways, until both are done."""

import asyncio
import contextlib

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
    """The open connections of a listener, so that a power-off can cut them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def enter(self) -> None:
        """Count the running handler until it ends."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def cut(self) -> None:
        """Cancel all handlers and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
