"""Machines live and end as the emulator says, and none outlives the lab."""

import asyncio
from pathlib import Path

from hk3s_lab.hetzner.events import MachineFacts, ServerPoweredOff, ServerPoweredOn
from hk3s_lab.machines.manager import Machines
from hk3s_lab.machines.master import Binary, Master
from hk3s_lab.machines.progress import Progress
from hk3s_lab.machines.site import Site
from lab.machines import sites


class Slow:
    """A machine that takes a while to go down, however often it is told."""

    def __init__(self) -> None:
        self.progress = Progress(name="slow", role="worker")
        self.graceful = False
        self.master: Master | None = None
        self.runs = asyncio.Event()
        self.goes_down = asyncio.Event()
        self.ended = False

    async def run(self) -> None:
        self.runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.goes_down.set()
            for _ in range(10):
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    continue
            self.ended = True


async def no_binary() -> Path:
    return Path("/nonexistent/control-plane")


async def test_a_lab_that_stops_waits_for_a_machine_that_is_going_down(tmp_path: Path) -> None:
    slow = Slow()

    def make(_site: Site, _facts: MachineFacts, _binary: Binary) -> Slow:
        return slow

    with sites.site(tmp_path) as (site, rack):
        rack.add(sites.facts(1, "slow", "10.4.1.1"))
        machines = Machines(site, no_binary, make)
        machines.handle(ServerPoweredOn(1))
        await slow.runs.wait()
        machines.handle(ServerPoweredOff(1, graceful=True))
        await slow.goes_down.wait()

        await machines.stop()

    assert slow.ended
    assert slow.graceful
