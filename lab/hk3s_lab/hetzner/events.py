"""What the hypervisor knows about machines, and what it announces when that changes.

This is the in-process side of the emulator: whatever boots machines subscribes here.
A client of the API never sees these types.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerPoweredOn:
    """The server's power is on: it boots now, with the facts of this moment."""

    server_id: int


@dataclass(frozen=True, slots=True)
class ServerPoweredOff:
    """The server's power is off; `graceful` when its system was asked first (ACPI)."""

    server_id: int
    graceful: bool


@dataclass(frozen=True, slots=True)
class ServerDeleted:
    """The server is gone, whatever its power state was."""

    server_id: int


@dataclass(frozen=True, slots=True)
class ServerNetworkChanged:
    """A network interface or address of the server, public or private, changed."""

    server_id: int


@dataclass(frozen=True, slots=True)
class FirewallsChanged:
    """Rules of a firewall, or the servers it applies to, changed."""


@dataclass(frozen=True, slots=True)
class NetworkRoutesChanged:
    """The routes of a private network changed."""

    network_id: int


ServerEvent = (
    ServerPoweredOn
    | ServerPoweredOff
    | ServerDeleted
    | ServerNetworkChanged
    | FirewallsChanged
    | NetworkRoutesChanged
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateNic:
    """One private interface; `gateway` is the first address of `network_range`."""

    network_id: int
    network_range: str
    ip: str
    mac: str
    gateway: str
    alias_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One rule that admits traffic; `port` is `80`, `80-90` or None for protocols without ports."""

    direction: str
    protocol: str
    port: str | None
    source_ips: tuple[str, ...]
    destination_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """A server as its hypervisor sees it; sizes in bytes."""

    server_id: int
    name: str
    server_type: str
    architecture: str
    cores: int
    memory_bytes: int
    disk_bytes: int
    location: str
    network_zone: str
    image: str
    user_data: str | None
    labels: Mapping[str, str]
    public_ipv4: str | None
    private: tuple[PrivateNic, ...]
    firewall_rules: tuple[FirewallRule, ...] | None
    """Rules of all applied firewalls together; None when no firewall is applied."""
    ssh_keys: tuple[str, ...]
    powered: bool
    project: str = ""
