"""All machines of a lab: the emulator's events on one side, their lives on the other."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from hk3s_lab.hetzner.events import (
    MachineFacts,
    ServerDeleted,
    ServerEvent,
    ServerPoweredOff,
    ServerPoweredOn,
)
from hk3s_lab.machines.machine import Machine
from hk3s_lab.machines.master import Binary, Master
from hk3s_lab.machines.progress import Progress
from hk3s_lab.machines.site import Site

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """A powered machine for the eye: where it is on its way and what holds it up."""

    server_id: int
    name: str
    role: str
    step: str
    state: str
    error: str | None
    message: str


class Life(Protocol):
    """A powered machine of any kind; `graceful` says how it goes down when `run` is cancelled."""

    progress: Progress
    graceful: bool
    master: Master | None

    async def run(self) -> None:
        """Boot and work until cancelled."""
        ...


MakeMachine = Callable[[Site, MachineFacts, Binary], Life]


@dataclass(slots=True)
class _Power:
    """One server's power, switched in the order of its events."""

    events: asyncio.Queue[ServerEvent] = field(default_factory=asyncio.Queue)
    machine: Life | None = None
    life: asyncio.Task[None] | None = None
    switch: asyncio.Task[None] | None = None


class Machines:
    """Boots and ends machines as the emulator says; `handle` is its callback."""

    def __init__(self, site: Site, binary: Binary, make: MakeMachine = Machine) -> None:
        self._site = site
        self._binary = binary
        self._make = make
        self._powers: dict[int, _Power] = {}

    def handle(self, event: ServerEvent) -> None:
        """Take an event; the work is done elsewhere, in order for each server."""
        if not isinstance(event, ServerPoweredOn | ServerPoweredOff | ServerDeleted):
            return  # running machines look at the hypervisor's facts whenever they need them
        power = self._powers.get(event.server_id)
        if power is None:
            power = self._powers[event.server_id] = _Power()
            power.switch = asyncio.create_task(self._switch(event.server_id, power))
        power.events.put_nowait(event)

    def views(self) -> tuple[MachineView, ...]:
        """Return all powered machines, by server id."""
        return tuple(
            MachineView(
                server_id=server_id,
                name=machine.progress.name,
                role=machine.progress.role,
                step=machine.progress.step,
                state=machine.progress.state,
                error=machine.progress.error,
                message=machine.progress.message,
            )
            for server_id, power in sorted(self._powers.items())
            if (machine := power.machine) is not None
        )

    def masters(self) -> tuple[Life, ...]:
        """Return the machines whose control plane runs."""
        return tuple(
            power.machine
            for power in self._powers.values()
            if power.machine and power.machine.master and power.machine.master.plane
        )

    async def stop(self) -> None:
        """Cut the power of all machines, so that nothing is left running."""
        switches = [power.switch for power in self._powers.values() if power.switch is not None]
        for switch in switches:
            switch.cancel()
        # One that is switching a machine off ends when that machine has: it is in nobody's hands.
        await asyncio.gather(*switches, return_exceptions=True)
        await asyncio.gather(*(self._off(p, graceful=False) for p in self._powers.values()))
        self._powers.clear()

    async def _switch(self, server_id: int, power: _Power) -> None:
        while True:
            match await power.events.get():
                case ServerPoweredOn():
                    self._on(server_id, power)
                case ServerPoweredOff(graceful=graceful):
                    await self._off(power, graceful=graceful)
                case ServerDeleted():
                    await self._off(power, graceful=False)
                    shutil.rmtree(self._site.disk(server_id), ignore_errors=True)
                    self._powers.pop(server_id, None)
                    return

    def _on(self, server_id: int, power: _Power) -> None:
        if power.life is not None and not power.life.done():
            return
        try:
            facts = self._site.facts(server_id)
        except KeyError:
            return  # deleted since: that event comes next
        power.machine = self._make(self._site, facts, self._binary)
        power.life = asyncio.create_task(self._live(power.machine))
        log.info("machine.powered_on", machine=facts.name)

    async def _live(self, machine: Life) -> None:
        try:
            await machine.run()
        except Exception:
            machine.progress.state = "failed"
            log.exception("machine.crashed", machine=machine.progress.name)

    async def _off(self, power: _Power, *, graceful: bool) -> None:
        machine, life = power.machine, power.life
        power.machine = power.life = None
        if machine is None or life is None:
            return
        machine.graceful = graceful
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        log.info("machine.powered_off", machine=machine.progress.name)
