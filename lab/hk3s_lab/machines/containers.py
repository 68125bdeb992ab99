"""Containers of a hollow kubelet: most are a state that changes, some are real local processes."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable
from hk3s_lab.machines import probes
from hk3s_lab.machines.pod_command import Command
from hk3s_lab.machines.pod_fields import CannotStart
from hk3s_lab.machines.pod_status import Container, ContainerState, Ended, Running, Waiting

log = structlog.get_logger()

_FIRST_BACKOFF, _LONGEST_BACKOFF, _FORGET_AFTER = 10.0, 300.0, 600.0
_CANNOT_START_PAUSE = 2.0
_LAST_BYTES, _LAST_LINES = 2048, 10
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class HollowContainer:
    """A container without a process; `seconds` is how long it runs, None for ever."""

    def __init__(
        self,
        clock: Clock,
        changed: Callable[[], None],
        *,
        restarts: int,
        seconds: float | None,
        exit_code: int = 0,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._seconds = seconds
        self._exit_code = exit_code
        self.current = Container(state=Running(since=clock.now()), restarts=restarts)

    async def run(self) -> None:
        """Return when the container has ended for good."""
        if self._seconds is None:
            await asyncio.Event().wait()
            return
        since = self._clock.now()
        await self._clock.sleep(self._seconds)
        self.current = Container(
            state=Ended(exit_code=self._exit_code, since=since, until=self._clock.now()),
            restarts=self.current.restarts,
        )
        self._changed()

    async def stop(self, grace: float) -> None:
        """There is nothing to stop."""


class ProcessContainer:
    """A container that is a process here: started, probed, restarted as a kubelet would."""

    def __init__(
        self,
        clock: Clock,
        changed: Callable[[], None],
        spec: Mapping[str, Any],
        *,
        prepare: Callable[[], Awaitable[Command]],
        address: str,
        log_file: Path,
        restart_policy: str,
        restarts: int,
        speed: float,
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._spec = spec
        self._prepare = prepare
        self._address = address
        self._log_file = log_file
        self._restart_policy = restart_policy
        self._speed = speed
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.current = Container(state=Waiting(reason="ContainerCreating"), restarts=restarts)

    async def run(self) -> None:
        """Return when the container has ended for good; a cancelled call kills the process."""
        backoff = _FIRST_BACKOFF
        while True:
            command = await self._command()
            began = self._clock.now()
            ended = await self._once(command)
            if self._stopping or not self._restarts_after(ended):
                self._set(ended)
                return
            if (self._clock.now() - began).total_seconds() > _FORGET_AFTER:
                backoff = _FIRST_BACKOFF
            message = f"back-off {backoff:.0f}s restarting failed container={self._spec['name']}"
            self.current = Container(
                state=Waiting(reason="CrashLoopBackOff", message=message),
                restarts=self.current.restarts,
                last=ended,
            )
            self._changed()
            await self._clock.sleep(backoff / self._speed)
            backoff = min(2 * backoff, _LONGEST_BACKOFF)
            self.current = Container(
                state=self.current.state, restarts=self.current.restarts + 1, last=ended
            )

    async def stop(self, grace: float) -> None:
        """Ask with SIGTERM, insist with SIGKILL after `grace` seconds."""
        self._stopping = True
        child = self._child
        if child is None or child.returncode is not None:
            return
        _signal(child, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await child.wait()
        except TimeoutError:
            _signal(child, signal.SIGKILL)
            await child.wait()

    def _set(self, state: ContainerState) -> None:
        self.current = Container(
            state=state, restarts=self.current.restarts, last=self.current.last
        )
        self._changed()

    def _restarts_after(self, ended: Ended) -> bool:
        return self._restart_policy == "Always" or (
            self._restart_policy == "OnFailure" and ended.exit_code != 0
        )

    async def _command(self) -> Command:
        while True:
            try:
                return await self._prepare()
            except CannotStart as error:
                self._set(Waiting(reason=error.reason, message=error.message))
            except (ApiError, ApiUnreachable) as error:
                self._set(Waiting(reason="CreateContainerError", message=str(error)))
            await self._clock.sleep(_CANNOT_START_PAUSE)

    async def _once(self, command: Command) -> Ended:
        since = self._clock.now()
        self._log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            offset = os.fstat(output).st_size
            child = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=command.env,
                cwd=command.env["HOME"],
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            return Ended(exit_code=128, since=since, until=since, message=str(error))
        finally:
            os.close(output)
        self._child = child
        log.info("process.started", container=self._spec["name"], pid=child.pid)
        try:
            code = await self._watch(child)
        finally:
            if child.returncode is None:
                _signal(child, signal.SIGKILL)
                await child.wait()
        last_words = _last_lines(self._log_file, offset) if code else ""
        if code:
            log.warning(
                "process.failed", container=self._spec["name"], exit_code=code, last=last_words
            )
        return Ended(
            exit_code=code if code >= 0 else 128 - code,
            since=since,
            until=self._clock.now(),
            message=last_words,
        )

    async def _watch(self, child: asyncio.subprocess.Process) -> int:
        """Return the exit status of a process that is probed meanwhile."""
        self._set(Running(since=self._clock.now(), ready="readinessProbe" not in self._spec))
        probing = asyncio.create_task(self._probe(child))
        try:
            return await child.wait()
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing

    async def _probe(self, child: asyncio.subprocess.Process) -> None:
        def ready(verdict: bool) -> None:  # noqa: FBT001 - a callback of one verdict
            if isinstance(self.current.state, Running):
                self._set(Running(since=self.current.state.since, ready=verdict))

        def alive(verdict: bool) -> None:  # noqa: FBT001 - a callback of one verdict
            if not verdict:
                log.warning("process.unhealthy", container=self._spec["name"])
                _signal(child, signal.SIGTERM)

        async with asyncio.TaskGroup() as group:
            for name, report in (("readinessProbe", ready), ("livenessProbe", alive)):
                if name in self._spec:
                    group.create_task(
                        probes.watch(
                            self._spec[name], self._spec, self._address, self._clock, report
                        )
                    )


AnyContainer = HollowContainer | ProcessContainer


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _die_with(parent: int) -> Callable[[], None]:
    """Return what a child runs before exec, so that it never outlives this process (prctl(2))."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _last_lines(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(offset, size - _LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:])
