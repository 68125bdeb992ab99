"""Records of running processes on disk, and the removal of those whose parent is gone.

A process id alone proves nothing: numbers are reused. A record also holds the start time in
clock ticks since boot (proc_pid_stat(5), field 22), which together with the id is unique per boot.
"""

import json
import os
import select
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from hk3s_lab.kubernetes.errors import StillRunning

_KILL_MILLISECONDS = 5000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process of this boot; `started` is in clock ticks since boot."""

    pid: int
    started: int


def identity(pid: int) -> Identity | None:
    """Look a process up; None when there is none or it is only waiting to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" else Identity(pid=pid, started=started)


def record(directory: Path, name: str, pid: int) -> None:
    """Write down a child of this process."""
    child, parent = identity(pid), identity(os.getpid())
    if child is None or parent is None:  # ended already: nothing that could be left over
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = {"child": asdict(child), "parent": asdict(parent)}
    (directory / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def forget(directory: Path, name: str) -> None:
    """Remove a record; absent is fine."""
    (directory / f"{name}.json").unlink(missing_ok=True)


def remove_leftovers(directory: Path) -> tuple[int, ...]:
    """Kill recorded processes whose parent is gone; return their ids.

    Raises:
        StillRunning: a recorded parent is alive, so the processes are in use.
    """
    killed = []
    for file in sorted(directory.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            child, parent = Identity(**content["child"]), Identity(**content["parent"])
        except (ValueError, KeyError, TypeError):
            _log.warning("leftover.unreadable", file=str(file))  # cut short by a crash
            file.unlink()
            continue
        if identity(parent.pid) == parent:
            raise StillRunning(
                f"{file.stem} is used by the running process {parent.pid}; stop that one first"
            )
        if _kill(child):
            killed.append(child.pid)
            _log.info("leftover.killed", process=file.stem, pid=child.pid)
        file.unlink(missing_ok=True)
    return tuple(killed)


def _kill(process: Identity) -> bool:
    """Kill exactly this process: the descriptor is held before the identity is compared."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if identity(process.pid) != process:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        ended.poll(_KILL_MILLISECONDS)
    finally:
        os.close(descriptor)
    return True
