"""Boots one machine in a lab and then waits: a test kills it."""

import asyncio
import sys
from pathlib import Path

from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.events import MachineFacts, PrivateNic
from hk3s_lab.linux.provider import Provider
from hk3s_lab.machines.site import Options

FACTS = MachineFacts(
    server_id=7,
    name="victim",
    server_type="cx23",
    architecture="x86",
    cores=2,
    memory_bytes=1 << 32,
    disk_bytes=1 << 35,
    location="fsn1",
    network_zone="eu-central",
    image="debian-12",
    user_data="#cloud-config\n{}\n",
    labels={},
    public_ipv4="203.0.113.7",
    private=(
        PrivateNic(
            network_id=1,
            network_range="10.4.0.0/16",
            ip="10.4.0.2",
            mac="86:00:00:00:00:07",
            gateway="10.4.0.1",
        ),
    ),
    firewall_rules=None,
    ssh_keys=(),
    powered=True,
)


class Hypervisor:
    """Knows one server."""

    def machine(self, server_id: int) -> MachineFacts:
        if server_id != FACTS.server_id:
            raise KeyError(server_id)
        return FACTS

    def machines(self) -> tuple[MachineFacts, ...]:
        return (FACTS,)

    def routes(self, network_id: int) -> tuple[tuple[str, str], ...]:
        del network_id
        return ()


def say(line: str) -> None:
    """Tell what takes long."""
    sys.stderr.write(f"{line}\n")


async def main(directory: Path) -> None:
    """Print `booted` and the group's name once the machine's init runs."""
    clock = RealClock()
    provider = Provider(
        directory=directory,
        clock=clock,
        options=Options(),
        progress=say,
        temporary=directory,
    )
    await provider.start(Path("/bin/true"))
    provider.attach(Hypervisor())
    container = await provider.container(FACTS)
    running = asyncio.create_task(container.run(lambda net: provider.connect(7, net)))
    while container.read("/run/cloud-init/result.json") is None:
        assert not running.done()
        await clock.sleep(0.1)
    sys.stdout.write(f"booted {container.group}\n")
    sys.stdout.flush()
    await running


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
