"""Child processes that are started in order, watched, and never left behind.

Three nets, each for another end of the parent: `stop` for a planned one, PR_SET_PDEATHSIG for a
crash, and a directory of process records (`leftovers.py`) for anything that slips through both.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.kubernetes.errors import ProcessFailed
from hk3s_lab.kubernetes.leftovers import forget, record

_PR_SET_PDEATHSIG = 1
_LAST_LINES = 12
_POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: a forked child must not load libraries
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run and how to tell that it works.

    `healthy` is asked again and again until it returns True; it must not raise.
    """

    name: str
    argv: tuple[str, ...]
    healthy: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    start_seconds: float = 60.0
    stop_seconds: float = 10.0


class Process:
    """One running child. Output goes to a 0600 file that is appended to."""

    def __init__(
        self, program: Program, child: asyncio.subprocess.Process, *, log: Path, clock: Clock
    ) -> None:
        self.program = program
        self.log = log
        self._child = child
        self._clock = clock
        self._exit = asyncio.ensure_future(child.wait())

    @property
    def pid(self) -> int:
        """The child's process id, also after its end."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the child has not been reaped yet."""
        return self._child.returncode is None

    async def wait(self) -> int:
        """Wait for the end; return the exit status, negative for a signal."""
        return await asyncio.shield(self._exit)

    async def wait_healthy(self) -> None:
        """Poll until healthy.

        Raises:
            ProcessFailed: the child ended, or `start_seconds` passed.
        """
        deadline = self._clock.monotonic() + self.program.start_seconds
        while self.alive:
            if await self.program.healthy():
                return
            if self._clock.monotonic() >= deadline:
                raise self.failure(f"was not healthy after {self.program.start_seconds:.0f} s")
            await self._clock.sleep(_POLL_SECONDS)
        raise self.failure(f"ended with status {await self.wait()} while it started")

    async def stop(self) -> None:
        """Ask with SIGTERM, insist with SIGKILL after `stop_seconds`; ending twice is fine."""
        self._signal(signal.SIGTERM)
        patience = asyncio.ensure_future(self._clock.sleep(self.program.stop_seconds))
        try:
            await asyncio.wait({self._exit, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
            await self.kill()

    async def kill(self) -> None:
        """End the child at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        await self.wait()

    def failure(self, what: str) -> ProcessFailed:
        """Describe a failure with the last lines of the log."""
        lines = _tail(self.log)
        return ProcessFailed(
            f"{self.program.name} {what}; the end of {self.log}:\n" + "\n".join(lines)
        )

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)


class ProcessGroup:
    """Processes that live and end together.

    Logs go to `<directory>/logs/<name>.log`, records to `<directory>/run/`.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._logs = directory / "logs"
        self._records = directory / "run"
        self._clock = clock
        self._processes: list[Process] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, of those not ended."""
        return {one.program.name: one.pid for one in self._processes if one.alive}

    async def start(self, program: Program) -> None:
        """Start a program and return once it is healthy.

        Raises:
            ProcessFailed: it is not, or could not be started; the rest of the group runs on.
        """
        began = self._clock.monotonic()
        process = await self._spawn(program)
        await process.wait_healthy()
        seconds = round(self._clock.monotonic() - began, 2)
        _log.info("process.healthy", process=program.name, pid=process.pid, seconds=seconds)

    async def stop(self) -> None:
        """Stop all, the last started first; an impatient caller's cancellation kills the rest."""
        try:
            while self._processes:
                process = self._processes[-1]
                await process.stop()
                self._forget(process)
        except asyncio.CancelledError:
            await self.kill()
            raise

    async def kill(self) -> None:
        """End all at once, without a chance to tidy up."""
        await asyncio.gather(*(process.kill() for process in self._processes))
        while self._processes:
            self._forget(self._processes[-1])

    async def watch(self) -> None:
        """Return never; raise ProcessFailed when any of the present processes ends."""
        ends = {asyncio.ensure_future(one.wait()): one for one in self._processes}
        if not ends:
            raise ProcessFailed("there is no process to watch; start the group first")
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        ended = done.pop()
        raise ends[ended].failure(f"ended unexpectedly with status {ended.result()}")

    async def _spawn(self, program: Program) -> Process:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self._logs / f"{program.name}.log"
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = await asyncio.create_subprocess_exec(
                *program.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), **program.env},
                start_new_session=True,  # a terminal's Ctrl-C is for us, we stop in order
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            raise ProcessFailed(f"{program.name} could not be started: {error}") from error
        finally:
            os.close(output)
        process = Process(program, child, log=log, clock=self._clock)
        self._processes.append(process)
        record(self._records, program.name, child.pid)
        return process

    def _forget(self, process: Process) -> None:
        self._processes.remove(process)
        forget(self._records, process.program.name)


def _die_with(parent: int) -> Callable[[], None]:
    """Return what a child runs before exec, so that it dies with the thread that forked it.

    prctl(2): the signal is lost if the parent died before the call, hence the second look.
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _tail(log: Path) -> list[str]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip() for line in deque(lines, maxlen=_LAST_LINES)]
