"""A killed lab leaves nothing: the kernel and the janitor see to it."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hk3s_lab.linux.cgroups import hierarchies
from lab.machines.clusters import eventually

pytestmark = pytest.mark.linux

SCRIPT = Path(__file__).with_name("killed.py")
BOOT_SECONDS = 180.0


async def boot(directory: str) -> tuple[asyncio.subprocess.Process, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), directory, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(BOOT_SECONDS):
        line = (await child.stdout.readline()).decode().split()
    assert line[:1] == ["booted"]
    return child, line[1].partition("/")[0]


def groups(name: str) -> list[Path]:
    return [root / name for root in hierarchies() if (root / name).exists()]


def mentions(directory: Path) -> Iterator[str]:
    """Yield processes and mounts of this machine that have to do with a directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(directory) in command and int(process.name) != os.getpid():
            yield command
    yield from (
        line for line in Path("/proc/mounts").read_text().split("\n") if str(directory) in line
    )


def is_clean(group: str, directory: Path) -> bool:
    return not groups(group) and not list(mentions(directory)) and not directory.exists()


@pytest.mark.parametrize("run", ["first", "second"])
async def test_nothing_is_left_of_a_killed_lab(tmp_path: Path, run: str) -> None:
    directory = tmp_path / run
    child, group = await boot(str(directory))
    assert groups(group)
    assert list(mentions(directory))

    child.send_signal(signal.SIGKILL)
    await child.wait()

    async def clean() -> bool:
        return is_clean(group, directory)

    await eventually("nothing is left", clean, 20)
