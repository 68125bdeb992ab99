"""A killed lab leaves nothing: the kernel and the janitor see to it."""

import asyncio
import contextlib
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
BOOT_SECONDS = 900.0  # it may have to make the roots


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


def namespaces(group: str) -> set[str]:
    """Return the namespaces of a group's processes, apart from those that this process is in."""
    found = set()
    for root in groups(group):
        for file in root.rglob("cgroup.procs"):
            for pid in file.read_text().split():
                found |= _links(Path("/proc", pid))
    return found - _links(Path("/proc/self"))


def inhabited() -> set[str]:
    """Return the namespaces that any process is in."""
    return {one for process in Path("/proc").glob("[0-9]*") for one in _links(process)}


def _links(process: Path) -> set[str]:
    found = set()
    for kind in ("net", "mnt", "pid"):
        with contextlib.suppress(OSError):
            found.add(str((process / "ns" / kind).readlink()))
    return found


@pytest.mark.parametrize("run", ["first", "second"])
async def test_nothing_is_left_of_a_killed_lab(tmp_path: Path, run: str) -> None:
    directory = tmp_path / run
    child, group = await boot(str(directory))
    assert groups(group)
    assert list(mentions(directory))
    spaces = namespaces(group)
    assert {one.partition(":")[0] for one in spaces} == {"net", "mnt", "pid"}

    child.send_signal(signal.SIGKILL)
    await child.wait()

    async def clean() -> bool:
        left = [*groups(group), *mentions(directory), *(spaces & inhabited())]
        return not left and not directory.exists()

    await eventually("nothing is left", clean, 60)
