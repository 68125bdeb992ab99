"""What the emulated cloud keeps about each resource: frozen records, replaced whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Labels = Mapping[str, str]
ResourceKey = tuple[str, int]
"""Type and id as the API spells them in `action.resources`: ("server", 42)."""


class ServerStatus(StrEnum):
    """The statuses of a server that the emulator can reach."""

    INITIALIZING = "initializing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    OFF = "off"
    DELETING = "deleting"
    MIGRATING = "migrating"
    REBUILDING = "rebuilding"


class ActionStatus(StrEnum):
    """The statuses of an action."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an action failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A change that takes time; `arguments` (JSON values) say what it will do when it ends."""

    id: int
    command: str
    status: ActionStatus
    started: datetime
    finished: datetime | None = None
    resources: tuple[ResourceKey, ...]
    problem: Problem | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    locks: tuple[ResourceKey, ...] = ()
    """What no other action may touch while this one runs."""
    after: int | None = None
    """The action that must succeed first."""
    doom: Problem | None = None
    """How the action will end, decided by a fault when it was started."""
    seconds: float
    """How long it takes once begun."""
    begun: float | None = None
    """Monotonic seconds; None while it waits for the action before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A stretch of time at one price, closed when the price changed; `what` is a type or a size."""

    what: str
    start: datetime
    end: datetime
    backups: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every resource of a project has that has a name."""

    id: int
    name: str
    created: datetime
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKey(Record):
    """A public key; `fingerprint` is MD5 in colon notation, as the API shows it."""

    public_key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A part of a network, in one zone."""

    type: str
    ip_range: str
    network_zone: str
    vswitch_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRoute:
    """Traffic for `destination` goes to `gateway`."""

    destination: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Record):
    """A private network."""

    ip_range: str
    subnets: tuple[Subnet, ...] = ()
    routes: tuple[NetworkRoute, ...] = ()
    protected: bool = False
    expose_routes_to_vswitch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A firewall rule as the API keeps it."""

    direction: str
    protocol: str
    port: str | None
    source_ips: tuple[str, ...]
    destination_ips: tuple[str, ...]
    description: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a firewall is applied to: one server, or all that a label selector matches."""

    server_id: int | None = None
    selector: str | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall(Record):
    """A firewall for public interfaces."""

    rules: tuple[Rule, ...] = ()
    applied_to: tuple[Application, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementGroup(Record):
    """A spread group; its members are the servers that name it."""

    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryIp(Record):
    """A public address of a location, assigned to a server or waiting."""

    type: Literal["ipv4", "ipv6"]
    ip: str
    location: str
    auto_delete: bool
    assignee_id: int | None = None
    assignee_type: Literal["server", "load_balancer"] = "server"
    protected: bool = False
    dns: Mapping[str, str] = field(default_factory=dict)
    """Reverse names that were set, by address."""
    deleted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatingIp(Record):
    """A public address that moves between servers of any location."""

    type: Literal["ipv4", "ipv6"]
    ip: str
    home_location: str
    description: str | None = None
    server_id: int | None = None
    protected: bool = False
    dns: Mapping[str, str] = field(default_factory=dict)
    deleted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Record):
    """Block storage; `size` in GB."""

    size: int
    location: str
    status: Literal["creating", "available"]
    format: str | None = None
    server_id: int | None = None
    protected: bool = False
    billed_from: datetime | None = None
    """Since when it has its size; None until it was changed: since its creation."""
    past: tuple[Charge, ...] = ()
    deleted: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A copy of a server's disk; sizes in GB. System images are part of the catalogue."""

    id: int
    type: Literal["snapshot", "backup"]
    status: Literal["creating", "available"]
    description: str
    created: datetime
    labels: Labels
    image_size: float | None = None
    disk_size: int
    created_from: int
    created_from_name: str
    bound_to: int | None = None
    base: str
    """Name of the system image that the disk began with."""
    architecture: str
    protected: bool = False
    deleted: datetime | None = None

    @property
    def name(self) -> str:
        """Snapshots and backups have no name; no query finds them by one."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(Record):
    """A TLS certificate; what is None is not known before a managed one is issued."""

    type: Literal["uploaded", "managed"]
    domain_names: tuple[str, ...]
    certificate: str | None = None
    not_valid_before: datetime | None = None
    not_valid_after: datetime | None = None
    fingerprint: str | None = None
    issuance: Literal["pending", "completed", "failed"] | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A server's interface in a private network, from the moment its address is reserved."""

    network_id: int
    ip: str
    alias_ips: tuple[str, ...]
    mac: str
    state: Literal["attaching", "ok", "updating", "detaching"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Record):
    """A server; its public addresses are the primary IPs whose assignee it is."""

    status: ServerStatus
    server_type: str
    location: str
    image: str
    """Name of the system image that its disk began with."""
    image_id: int = 0
    architecture: str
    user_data: str | None
    ssh_keys: tuple[str, ...] = ()
    nics: tuple[Nic, ...] = ()
    placement_group: int | None = None
    delete_protected: bool = False
    rebuild_protected: bool = False
    disk_size: int = 0
    """GB; smaller than the type's after a change of type that kept the disk."""
    iso: int | None = None
    rescue_enabled: bool = False
    backup_window: str | None = None
    billed_from: datetime | None = None
    """Since when it costs what it costs now; None until it is created."""
    past: tuple[Charge, ...] = ()
    deleted: datetime | None = None
    last_ipv4: str | None = None
    last_ipv6: str | None = None
    """The public addresses it had, once it is gone."""
