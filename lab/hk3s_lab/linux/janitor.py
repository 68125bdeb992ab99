"""What removes a lab's traces when the lab itself was killed: a process that waits for its end.

Mounts and networks go with the lab's last process, by the kernel. Processes are ended there too;
only empty control groups, and a temporary directory, would stay.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from hk3s_lab.clock import RealClock
from hk3s_lab.linux.cgroups import Group, hierarchies

PREFIX = "hk3s-lab-"
_NAME = re.compile(rf"{PREFIX}(\d+)-(\d+)(-.*)?")
_START_TIME = 19
"""Index of `starttime` in /proc/PID/stat after the command's name."""


def group_name() -> str:
    """Return the name of this process's group; it tells whether its owner still lives."""
    pid = os.getpid()
    return f"{PREFIX}{pid}-{_started(pid)}"


class Janitor:
    """Starts the waiting process; closing it normally finds nothing left to do."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None

    async def start(self, group: str, temporary: Path | None) -> None:
        """Start it; what it removes is fixed now."""
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hk3s_lab.linux.janitor", group, str(temporary or "")),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )

    async def stop(self) -> None:
        """Let it do its work now, and wait for it."""
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            await self._child.wait()
            self._child = None


async def sweep() -> None:
    """Remove the groups of labs whose process is gone, with what is in them."""
    clock = RealClock()
    for name in set(_groups()):
        found = _NAME.fullmatch(name)
        if found is None or _started(int(found[1])) != found[2]:
            await Group(name).kill(clock)


def _groups() -> Iterator[str]:
    for root in hierarchies():
        for path in root.glob(f"{PREFIX}*"):
            yield path.name


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(") ")[2].split()[_START_TIME]


def main() -> None:
    """Wait until standard input ends, then tidy up."""
    group, temporary = sys.argv[1:3]
    sys.stdin.buffer.read()
    asyncio.run(Group(group).kill(RealClock()))
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
