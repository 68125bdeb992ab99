"""What surrounds a machine: its hypervisor, the wires to its neighbours, time and chance.

Whatever a machine learns beyond its own disk comes through here, so this is also the list of what
the hypervisor and the private network give away.
"""

import ipaddress
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hk3s_lab.addresses import Addresses
from hk3s_lab.clock import Clock
from hk3s_lab.hetzner.events import FirewallRule, MachineFacts, PrivateNic
from hk3s_lab.machines.node import Bastion, covers

_HEARTBEAT_SECONDS = 10.0


class Hypervisor(Protocol):
    """What the emulated cloud tells about machines."""

    def machine(self, server_id: int) -> MachineFacts:
        """Return one server's facts; KeyError when there is none."""
        ...

    def machines(self) -> Iterable[MachineFacts]:
        """Return all servers."""
        ...

    def routes(self, network_id: int) -> Iterable[tuple[str, str]]:
        """Return destination and gateway of a network's routes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the lab's machines behave.

    Durations are seconds of a real machine and are divided by `speed`.
    """

    speed: float = 1.0
    seed: int = 0
    boot_seconds: tuple[float, float] = (2.0, 5.0)
    pod_start_seconds: tuple[float, float] = (0.2, 1.0)
    pod_stop_seconds: float = 1.0
    job_seconds: float = 5.0
    node_monitor_grace_seconds: int | None = None
    """Shorter than Kubernetes's 50 s where a demonstration should not wait; whole seconds."""
    node_lifecycle_seconds: float = 5.0
    """The cloud controller's period of looking for Nodes without servers."""
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Image name without tag -> argv prefix: pods with it run as real processes."""

    @property
    def heartbeat_seconds(self) -> float:
        """A kubelet's 10 s, or less where a silent node is given up earlier."""
        grace = self.node_monitor_grace_seconds
        return min(_HEARTBEAT_SECONDS, grace / 4) if grace else _HEARTBEAT_SECONDS


@dataclass(slots=True, kw_only=True)
class Site:
    """The surroundings shared by all machines of a lab."""

    hypervisor: Hypervisor
    addresses: Addresses
    clock: Clock
    directory: Path
    options: Options
    gateways: dict[int, Bastion] = field(default_factory=dict)
    """Bastions that forward right now, by server id."""

    def chance(self, name: str, purpose: str) -> random.Random:
        """Return a generator that gives the same for the same lab seed, machine and purpose."""
        return random.Random(f"{self.options.seed}/{name}/{purpose}")  # noqa: S311 - repeatable

    async def pause(self, seconds: float) -> None:
        """Let a machine's own time pass."""
        await self.clock.sleep(seconds / self.options.speed)

    def facts(self, server_id: int) -> MachineFacts:
        """Return a server's facts of this moment."""
        return self.hypervisor.machine(server_id)

    def disk(self, server_id: int) -> Path:
        """Return the directory that stands for a server's disk; made 0700 when first used."""
        path = self.directory / "machines" / str(server_id)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def local(self, nic: PrivateNic, address: str | None = None) -> str:
        """Return where an address of the NIC's network (its own by default) is on this machine."""
        return self.addresses.private(nic.network_id, address or nic.ip)

    def caller(self, nic: PrivateNic, peer: str) -> str | None:
        """Return the private address that a connection came from, None from outside."""
        origin = self.addresses.origin(peer)
        return origin[1] if origin and origin[0] == nic.network_id else None

    def has_egress(self, nic: PrivateNic) -> bool:
        """Whether packets to the internet leave: the default route leads to a bastion that NATs."""
        hops = {
            gateway
            for destination, gateway in self.hypervisor.routes(nic.network_id)
            if destination == "0.0.0.0/0"
        }
        return any(
            machine.server_id in self.gateways
            and covers((self.gateways[machine.server_id].nat_source,), nic.ip)
            and any(one.network_id == nic.network_id and one.ip in hops for one in machine.private)
            for machine in self.hypervisor.machines()
        )

    def resolve(self, address: str) -> str | None:
        """Return where a private address is found; None unless exactly one network has it."""
        ip = ipaddress.IPv4Address(address)
        networks = {
            nic.network_id
            for machine in self.hypervisor.machines()
            for nic in machine.private
            if ip in ipaddress.IPv4Network(nic.network_range)
        }
        return self.addresses.private(networks.pop(), address) if len(networks) == 1 else None


def find_nic(facts: MachineFacts, network_range: str) -> PrivateNic | None:
    """Return the NIC whose network has the range that the machine was told."""
    return next((nic for nic in facts.private if nic.network_range == network_range), None)


def admits(rules: tuple[FirewallRule, ...] | None, port: int, source: str) -> bool:
    """Whether the firewalls let a TCP caller in; a server without a firewall is open."""
    if rules is None:
        return True
    return any(
        rule.direction == "in"
        and rule.protocol == "tcp"
        and _has_port(rule.port, port)
        and covers(rule.source_ips, source)
        for rule in rules
    )


def _has_port(ports: str | None, port: int) -> bool:
    if ports is None or ports == "any":
        return True
    first, _, last = ports.partition("-")
    return int(first) <= port <= int(last or first)
