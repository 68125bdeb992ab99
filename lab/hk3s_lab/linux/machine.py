"""One server as a booted Debian, from power-on to power-off, seen from the lab."""

import asyncio
import contextlib
import json
from datetime import datetime
from typing import Any, Protocol

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.linux.container import Container
from hk3s_lab.linux.namespaces import Network
from hk3s_lab.machines.master import Master
from hk3s_lab.machines.progress import Progress

log = structlog.get_logger()

_LOOK_SECONDS = 0.25
_STATUS = "/run/hk3s/status.json"


class Prepare(Protocol):
    """What a machine needs from the lab around it."""

    async def container(self, facts: MachineFacts) -> Container:
        """Return the server's container, with its disk."""
        ...

    async def connect(self, server_id: int, network: Network) -> None:
        """Plug the server's cables in."""
        ...

    async def disconnect(self, server_id: int) -> None:
        """Pull the server's cables."""
        ...


class LinuxMachine:
    """A powered server; `graceful` says how it goes down when `run` is cancelled."""

    master: Master | None = None

    def __init__(self, facts: MachineFacts, clock: Clock, prepare: Prepare) -> None:
        self._facts = facts
        self._clock = clock
        self._prepare = prepare
        role = facts.labels.get("hk3s.dev/role", "unknown")
        self.progress = Progress(name=facts.name, role=role)
        self.graceful = False
        self.powered = clock.monotonic()
        self.reached: dict[str, float] = {}
        """Step -> seconds from power-on to when it was first seen; a quarter coarse."""

    async def run(self) -> None:
        """Boot and run until it powers itself off, then stay off."""
        container = await self._prepare.container(self._facts)
        looking = asyncio.create_task(self._look(container))
        boot = asyncio.create_task(container.run(self._connect))
        try:
            await asyncio.shield(boot)
        finally:
            looking.cancel()
            if self.graceful and not boot.done():
                await container.power_off()
            boot.cancel()
            await asyncio.gather(boot, looking, return_exceptions=True)
            await self._prepare.disconnect(self._facts.server_id)

    async def _connect(self, network: Network) -> None:
        await self._prepare.connect(self._facts.server_id, network)

    async def _look(self, container: Container) -> None:
        """Read the machine's own report, as its status port would tell it."""
        while True:
            text = container.read(_STATUS)
            if text is not None:
                with contextlib.suppress(ValueError, KeyError):
                    self._take(json.loads(text))
            await self._clock.sleep(_LOOK_SECONDS)

    def _take(self, report: dict[str, Any]) -> None:
        progress = self.progress
        self.reached.setdefault(report["step"], self._clock.monotonic() - self.powered)
        if (progress.step, progress.state) != (report["step"], report["state"]):
            log.info("machine.step", machine=progress.name, step=report["step"], **_brief(report))
        progress.role, progress.step = report["role"], report["step"]
        progress.state, progress.error = report["state"], report["error"]
        progress.message, progress.attempt = report["message"] or "", report["attempt"]
        progress.since = datetime.fromisoformat(report["since"])
        progress.seconds = dict(report["steps"])
        if (progress.step, progress.state) == ("ready", "done") and progress.ready_at is None:
            progress.finish(self._clock.now())
            self.reached["Ready"] = self._clock.monotonic() - self.powered


def _brief(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("state", "error") if report[key]}
