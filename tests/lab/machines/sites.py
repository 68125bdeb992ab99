"""A site without a cloud: one network, machines as a test wants them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hk3s_lab.addresses import Addresses
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.events import FirewallRule, MachineFacts, PrivateNic
from hk3s_lab.machines.site import Options, Site

NETWORK = 1
EVERYWHERE = ("0.0.0.0/0", "::/0")


def nic(ip: str) -> PrivateNic:
    return PrivateNic(
        network_id=NETWORK,
        network_range="10.4.0.0/16",
        ip=ip,
        mac="86:00:00:00:00:01",
        gateway="10.4.0.1",
    )


def facts(
    server_id: int,
    name: str,
    ip: str,
    *,
    public: str | None = None,
    rules: tuple[FirewallRule, ...] | None = None,
    attached: bool = True,
    user_data: str | None = None,
) -> MachineFacts:
    return MachineFacts(
        server_id=server_id,
        name=name,
        project="lab",
        server_type="cx33",
        architecture="x86",
        cores=4,
        memory_bytes=8 << 30,
        disk_bytes=80 << 30,
        location="fsn1",
        network_zone="eu-central",
        image="ubuntu-24.04",
        user_data=user_data,
        labels={},
        public_ipv4=public,
        private=(nic(ip),) if attached else (),
        firewall_rules=rules,
        ssh_keys=(),
        powered=True,
    )


def rule(port: str | None = "6443", sources: tuple[str, ...] = EVERYWHERE) -> FirewallRule:
    return FirewallRule(direction="in", protocol="tcp", port=port, source_ips=sources)


@dataclass
class Rack:
    """A hypervisor of given machines and routes."""

    all: dict[int, MachineFacts] = field(default_factory=dict)
    ways: tuple[tuple[str, str], ...] = (("0.0.0.0/0", "10.4.0.2"),)

    def add(self, machine: MachineFacts) -> None:
        self.all[machine.server_id] = machine

    def machine(self, server_id: int) -> MachineFacts:
        return self.all[server_id]

    def machines(self) -> tuple[MachineFacts, ...]:
        return tuple(self.all.values())

    def routes(self, network_id: int) -> tuple[tuple[str, str], ...]:
        assert network_id == NETWORK
        return self.ways


@contextmanager
def site(directory: Path) -> Iterator[tuple[Site, Rack]]:
    rack = Rack()
    with Addresses() as addresses:
        yield (
            Site(
                hypervisor=rack,
                addresses=addresses,
                clock=RealClock(),
                directory=directory,
                options=Options(speed=100),
            ),
            rack,
        )
