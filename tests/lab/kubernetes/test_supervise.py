import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from hk3s_lab.clock import ManualClock, RealClock
from hk3s_lab.kubernetes.errors import ProcessFailed, StillRunning
from hk3s_lab.kubernetes.leftovers import Identity, identity, record, remove_leftovers
from hk3s_lab.kubernetes.supervise import ProcessGroup, Program

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("stubborn", flush=True)
signal.pause()
"""


async def always() -> bool:
    return True


async def never() -> bool:
    return False


def python(name: str, code: str, healthy: Callable[[], Awaitable[bool]] = always) -> Program:
    return Program(name=name, argv=(sys.executable, "-c", code), healthy=healthy)


async def test_a_program_that_never_gets_healthy_fails_at_its_deadline(tmp_path: Path) -> None:
    clock = ManualClock()
    group = ProcessGroup(tmp_path, clock)
    start = asyncio.ensure_future(group.start(python("slow", STUBBORN, never)))
    for _ in range(60):
        await asyncio.sleep(0)
    await clock.advance(59)
    assert not start.done()

    await clock.advance(2)

    with pytest.raises(ProcessFailed, match="slow was not healthy after 60 s"):
        await start
    await group.kill()


async def test_sigkill_follows_when_sigterm_is_ignored(tmp_path: Path) -> None:
    clock = ManualClock()
    group = ProcessGroup(tmp_path, clock)
    log = tmp_path / "logs" / "stubborn.log"

    async def is_deaf() -> bool:
        return "stubborn" in log.read_text()

    starting = asyncio.ensure_future(group.start(python("stubborn", STUBBORN, is_deaf)))
    while not starting.done():
        await clock.advance(0.01)
        await RealClock().sleep(0.01)
    stop = asyncio.ensure_future(group.stop())
    await clock.advance(9)
    assert group.pids != {}

    await clock.advance(2)
    await stop

    assert group.pids == {}
    assert list((tmp_path / "run").iterdir()) == []


async def test_the_last_words_of_a_program_that_dies_are_in_the_error(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path, RealClock())
    code = "import sys; print('disk full'); sys.exit(3)"

    with pytest.raises(ProcessFailed, match=r"(?s)brief ended with status 3.*disk full"):
        await group.start(python("brief", code, never))

    assert (tmp_path / "logs" / "brief.log").stat().st_mode & 0o777 == 0o600


async def test_a_program_that_is_not_there_is_a_process_failure(tmp_path: Path) -> None:
    group = ProcessGroup(tmp_path, RealClock())
    absent = Program(name="absent", argv=(str(tmp_path / "absent"),), healthy=always)

    with pytest.raises(ProcessFailed, match="absent could not be started"):
        await group.start(absent)


async def test_the_callers_environment_does_not_reach_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "secret")
    group = ProcessGroup(tmp_path, RealClock())

    with pytest.raises(ProcessFailed, match=r"(?s)status 0.*\['GOGC'.*'PATH'\]"):
        await group.start(
            Program(
                name="env",
                argv=(sys.executable, "-c", "import os; print(sorted(os.environ))"),
                env={"GOGC": "100"},
                healthy=never,
            )
        )


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen((sys.executable, "-c", "import signal; signal.pause()")) as child:
        yield child
        child.kill()


def record_orphan(directory: Path, child: Identity) -> None:
    """Record a process as if a parent that is gone had started it."""
    parent = Identity(pid=os.getpid(), started=1)
    directory.mkdir()
    (directory / "orphan.json").write_text(
        json.dumps({"child": asdict(child), "parent": asdict(parent)})
    )


def test_a_leftover_of_a_dead_parent_is_killed(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    found = identity(sleeper.pid)
    assert found is not None
    record_orphan(tmp_path / "run", found)

    killed = remove_leftovers(tmp_path / "run")

    assert killed == (sleeper.pid,)
    assert identity(sleeper.pid) is None
    assert list((tmp_path / "run").iterdir()) == []


def test_a_process_that_only_has_the_number_is_spared(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record_orphan(tmp_path / "run", Identity(pid=sleeper.pid, started=1))

    killed = remove_leftovers(tmp_path / "run")

    assert killed == ()
    assert identity(sleeper.pid) is not None


def test_processes_of_a_living_parent_are_in_use(tmp_path: Path) -> None:
    record(tmp_path, "mine", os.getpid())

    with pytest.raises(StillRunning, match="mine"):
        remove_leftovers(tmp_path)


def test_a_record_cut_short_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"child":')

    assert remove_leftovers(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []
