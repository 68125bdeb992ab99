"""Work that outlives a turn of the loop: one task a subject, never lost, never doubled."""

import asyncio
from collections.abc import Coroutine


class Background:
    """Tasks by key. Coroutines handle their own errors; what escapes them is raised in `finish`."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def is_running(self, key: str) -> bool:
        """Whether work on that subject is under way."""
        return key in self._tasks

    def start(self, key: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begin work on a subject; the caller made sure that none is under way."""
        task = asyncio.create_task(work, name=key)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return task

    async def finish(self, seconds: float) -> tuple[str, ...]:
        """Let what is under way end, for that long at most; return what was cut short."""
        tasks = tuple(self._tasks.values())
        if not tasks:
            return ()
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return tuple(sorted(task.get_name() for task in late))
