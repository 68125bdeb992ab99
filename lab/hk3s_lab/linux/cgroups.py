"""A control group for each machine: what is in it is the machine, so ending it is complete.

Works with the unified hierarchy and with version 1, where systemd in a container needs a group in
each of a few hierarchies.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from hk3s_lab.clock import Clock

ROOT = Path("/sys/fs/cgroup")
_V1 = ("systemd", "unified", "memory", "pids")
_KILL_SECONDS, _POLL_SECONDS = 10.0, 0.02


def hierarchies() -> tuple[Path, ...]:
    """Return the hierarchies that a machine needs a group in."""
    if (ROOT / "cgroup.controllers").exists():
        return (ROOT,)
    return tuple(ROOT / name for name in _V1 if (ROOT / name).is_dir())


class Group:
    """One group, of the same name in all hierarchies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._paths = tuple(root / name for root in hierarchies())

    @property
    def paths(self) -> tuple[Path, ...]:
        """The group's directories."""
        return self._paths

    def create(self) -> None:
        """Make it."""
        for path in self._paths:
            path.mkdir(parents=True, exist_ok=True)

    def joined(self) -> tuple[str, ...]:
        """Return the command that moves itself into the group and then becomes what follows."""
        files = " ".join(f"{path}/cgroup.procs" for path in self._paths)
        return ("sh", "-c", f'for f in {files}; do echo $$ >"$f"; done; exec "$@"', "join")

    def pids(self) -> set[int]:
        """Return the processes in it and below, as this process numbers them."""
        return {pid for path in self._paths for file in _below(path) for pid in _read(file)}

    def leader(self) -> int | None:
        """Return the process id of the machine's own init; None while there is none."""
        for path in self._paths:
            for file in _below(path):
                if file.parent.name == "init.scope":
                    for pid in _read(file):
                        return pid
        return None

    async def kill(self, clock: Clock) -> None:
        """Kill everything in it and remove it."""
        deadline = clock.monotonic() + _KILL_SECONDS
        while (pids := self.pids()) and clock.monotonic() < deadline:
            kill_all(pids)
            await clock.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self.remove)

    def remove(self) -> None:
        """Remove it, with everything below; one that still has processes stays."""
        for path in self._paths:
            for directory, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()


def kill_all(pids: set[int]) -> None:
    """Kill processes; those that are gone are fine."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _below(path: Path) -> Iterator[Path]:
    for directory, _, files in os.walk(path):
        if "cgroup.procs" in files:
            yield Path(directory) / "cgroup.procs"


def _read(file: Path) -> list[int]:
    try:
        return [int(line) for line in file.read_text().split()]
    except OSError:
        return []  # gone since
