"""Where a machine is on its way: the steps of the contract and their report."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from hk3s_lab.clock import Clock

log = structlog.get_logger()

ERRORS: Mapping[str, frozenset[str]] = {
    "boot": frozenset({"bad-user-data"}),
    "network": frozenset({"no-private-nic", "no-lease", "no-route", "no-dns"}),
    "ssh": frozenset({"ssh-failed"}),
    "egress": frozenset({"no-egress"}),
    "install": frozenset({"download-failed", "checksum-mismatch"}),
    "join": frozenset(
        {
            "api-unreachable",
            "ca-hash-mismatch",
            "token-rejected",
            "name-taken",
            "label-forbidden",
            "bad-config",
            "k3s-failed",
        }
    ),
    "nat": frozenset({"nat-failed"}),
    "ready": frozenset(),
}
"""The error codes of each step (docs/contract.md)."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0

State = Literal["running", "failed", "done"]


class StepError(Exception):
    """A step failed with one of the contract's codes; the message holds no secret."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(slots=True)
class Progress:
    """The live report of one boot; read by the status port, the log and the live view."""

    name: str
    role: str
    step: str = "boot"
    state: State = "running"
    error: str | None = None
    message: str = ""
    attempt: int = 1
    since: datetime | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    ready_at: datetime | None = None

    def report(self) -> dict[str, Any]:
        """Return the status port's answer, schema 1."""
        return {
            "schema": 1,
            "name": self.name,
            "role": self.role,
            "step": self.step,
            "state": self.state,
            "error": self.error,
            "message": self.message,
            "attempt": self.attempt,
            "since": self.since and self.since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "steps": {step: round(seconds, 1) for step, seconds in self.seconds.items()},
        }

    def finish(self, now: datetime) -> None:
        """All steps are done: the machine is ready."""
        self.state, self.ready_at = "done", now
        log.info("machine.ready", machine=self.name, role=self.role)

    def is_open(self, now: datetime) -> bool:
        """Whether the status port still answers: until ten minutes after the node was Ready."""
        return self.ready_at is None or now - self.ready_at < timedelta(minutes=10)


Step = tuple[str, Callable[[], Awaitable[None]]]


async def walk(steps: Sequence[Step], progress: Progress, clock: Clock, speed: float) -> None:
    """Go through the steps; a failed one is tried again with growing pauses, for ever."""
    for name, act in steps:
        started = clock.monotonic()
        progress.step, progress.attempt, progress.since = name, 1, clock.now()
        pause = _FIRST_PAUSE
        while True:
            progress.state, progress.error, progress.message = "running", None, ""
            try:
                await act()
            except StepError as error:
                if error.code not in ERRORS[name]:
                    raise ValueError(f"{error.code} is no error of step {name}") from error
                progress.state, progress.error = "failed", error.code
                progress.message = error.message
                log.warning(
                    "machine.step_failed",
                    machine=progress.name,
                    step=name,
                    error=error.code,
                    message=error.message,
                    attempt=progress.attempt,
                )
                await clock.sleep(pause / speed)
                pause = min(pause * 2, _LONGEST_PAUSE)
                progress.attempt += 1
                continue
            break
        progress.seconds[name] = clock.monotonic() - started
        log.debug("machine.step_done", machine=progress.name, step=name)
