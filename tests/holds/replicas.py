"""Replicas of the daemon as real processes, each behind relays of its own."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forks
from holds.relay import Relay

_END_SECONDS = 60.0


class Zygote:
    """Forks processes; see zygote.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._gate = asyncio.Lock()

    async def ask(self, **order: object) -> int:
        """Return the one value of the answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._gate:
            stdin.write(json.dumps(order).encode() + b"\n")
            answer: dict[str, int] = json.loads(await stdout.readline())
        (value,) = answer.values()
        return value


@asynccontextmanager
async def zygote() -> AsyncIterator[Zygote]:
    """Start the process that all replicas are forked from."""
    async with forks.zygote(Path(__file__).with_name("zygote.py")) as process:
        yield Zygote(process)


@dataclass(slots=True)
class Replica:
    """One process, and what it said."""

    name: str
    pid: int
    log: Path
    metrics_url: str
    relays: tuple[Relay, ...]
    zygote: Zygote
    ended: bool = False

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once it has ended."""
        self.ended = True
        async with asyncio.timeout(_END_SECONDS):
            status = await self.zygote.ask(wait=self.pid)
        return os.waitstatus_to_exitcode(status)

    async def stop(self) -> None:
        """End it as the machine's loss of power would."""
        if not self.ended:
            with suppress(ProcessLookupError):
                self.send(signal.SIGKILL)
            await self.wait()
        for relay in self.relays:
            await relay.stop()

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]
