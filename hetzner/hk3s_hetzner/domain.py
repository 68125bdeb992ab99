"""What Hetzner Cloud has, as frozen facts: the shapes that leave this package.

Fields follow the official API description (https://docs.hetzner.cloud); units are integers:
bytes, micro-euro (net). Every datetime is aware UTC. Mappings are read-only by agreement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ServerStatus = Literal[
    "running",
    "initializing",
    "starting",
    "stopping",
    "off",
    "deleting",
    "migrating",
    "rebuilding",
    "unknown",
]

ActionStatus = Literal["running", "success", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateNet:
    """A server's or load balancer's attachment to a network."""

    network_id: int
    ip: str
    mac_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A machine, in whatever state: one that is off is billed as well."""

    id: int
    name: str
    status: ServerStatus
    created: datetime
    server_type: str
    location: str
    image: str | None
    labels: Mapping[str, str]
    public_ipv4: str | None
    public_ipv6: str | None
    private_nets: tuple[PrivateNet, ...]
    volume_ids: tuple[int, ...]
    locked: bool
    protected: bool

    def private_ip(self, network_id: int) -> str | None:
        """Return the address in that network, None while unattached."""
        for net in self.private_nets:
            if net.network_id == network_id:
                return net.ip
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedServer:
    """The answer to a create call: the server exists, its actions still run and may fail."""

    server: Server
    action_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A part of a network; `type` is `cloud`, the deprecated `server`, or `vswitch`."""

    ip_range: str
    network_zone: str
    type: str
    gateway: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route that every member of the network follows: destination CIDR, gateway address."""

    destination: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A private network (layer 3). `server_ids` are its member servers, without load balancers."""

    id: int
    name: str
    ip_range: str
    subnets: tuple[Subnet, ...]
    routes: tuple[Route, ...]
    server_ids: tuple[int, ...]
    load_balancer_ids: tuple[int, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One rule. `ips` are sources of an `in` rule and destinations of an `out` rule (CIDRs)."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    ips: tuple[str, ...]
    port: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """A set of rules for public interfaces, and the servers it is applied to directly."""

    id: int
    name: str
    rules: tuple[FirewallRule, ...]
    applied_to_server_ids: tuple[int, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryIp:
    """A public address that outlives its server unless `auto_delete`; billed when idle, too."""

    id: int
    name: str
    ip: str
    type: Literal["ipv4", "ipv6"]
    location: str
    assignee_id: int | None
    auto_delete: bool
    protected: bool
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKey:
    """A public key. `fingerprint` is the MD5 form with colons, unique in a project."""

    id: int
    name: str
    fingerprint: str
    public_key: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeLocation:
    """A server type in one location. `available` is a hint of the moment, not a verdict.

    Past `unavailable_after` the type is gone from this location for good.
    """

    location: str
    available: bool
    recommended: bool
    deprecation_announced: datetime | None
    unavailable_after: datetime | None
    price_micro_eur_hour: int
    price_micro_eur_month: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerType:
    """A size of server. `architecture` is Hetzner's word: `x86` or `arm`."""

    id: int
    name: str
    architecture: str
    cpu_type: Literal["shared", "dedicated"]
    category: str | None
    cores: int
    memory_bytes: int
    disk_bytes: int
    locations: tuple[TypeLocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place to run servers; a network spans one network zone."""

    id: int
    name: str
    city: str
    country: str
    network_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image; `name` is None for snapshots. `architecture` is `x86` or `arm`."""

    id: int
    name: str | None
    type: str
    status: str
    architecture: str
    os_flavor: str
    os_version: str | None
    deprecated: datetime | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A block device, attached to one server or none."""

    id: int
    name: str
    size_gb: int
    location: str
    server_id: int | None
    protected: bool
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A load balancer and the networks it is a member of."""

    id: int
    name: str
    type: str
    location: str
    public_ipv4: str | None
    private_nets: tuple[PrivateNet, ...]
    protected: bool
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResource:
    """What an action changes: its id and its type (`server`, `network`, ...)."""

    id: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A change that Hetzner carries out after its call was answered."""

    id: int
    command: str
    status: ActionStatus
    progress: int
    error_code: str | None
    error_message: str | None
    resources: tuple[ActionResource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """Prices that no other list holds. Keys of `primary_ipv4` are locations.

    Values are (micro-euro per hour, micro-euro per month), net.
    """

    currency: str
    vat_percent: str
    primary_ipv4: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The project's request budget, shared with CCM and CSI, as the last answer stated it."""

    limit: int
    remaining: int
    reset: datetime
