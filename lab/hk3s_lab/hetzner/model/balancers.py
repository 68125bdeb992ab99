"""Load balancers: their record, and the rules for services and targets.

Services are kept as the API shows them, defaults filled in, as JSON values.
Defaults and bounds are those of the reference; a port that is left out follows the protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hk3s_lab.hetzner.model.records import Charge, Record

Service = Mapping[str, Any]

DEFAULT_PORTS: Mapping[str, tuple[int, int]] = {"http": (80, 80), "https": (443, 80)}
"""Listen and destination port by protocol; tcp has none."""
HEALTH_DEFAULTS: Mapping[str, int] = {"interval": 15, "timeout": 10, "retries": 3}
HEALTH_BOUNDS: Mapping[str, tuple[int, int]] = {
    "interval": (3, 60),
    "timeout": (1, 60),
    "retries": (1, 5),
}
STATUS_CODES = ("2??", "3??")
HTTP_BOUNDS: Mapping[str, tuple[int, int]] = {
    "cookie_lifetime": (30, 86400),
    "timeout_idle": (30, 300),
}
COOKIE_NAME, COOKIE_LIFETIME, TIMEOUT_IDLE = "HCLBSTICKY", 300, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where traffic goes; exactly one of server, selector and address is set."""

    server_id: int | None = None
    server_ip: str | None = None
    """A public address of the server that was asked for instead of its IPv4."""
    selector: str | None = None
    ip: str | None = None
    use_private_ip: bool = False

    @property
    def kind(self) -> str:
        """The type as the API spells it."""
        if self.server_id is not None:
            return "server"
        return "ip" if self.selector is None else "label_selector"

    @property
    def key(self) -> tuple[int | None, str | None, str | None]:
        """What two definitions of one target have in common."""
        return (self.server_id, self.selector, self.ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer(Record):
    """A load balancer; public addresses are its own, or primary IPs whose assignee it is."""

    type: str
    location: str
    algorithm: Literal["round_robin", "least_connections"] = "round_robin"
    services: tuple[Service, ...] = ()
    targets: tuple[Target, ...] = ()
    ipv4: str | None = None
    ipv6: str | None = None
    """Addresses that came with it; None where a primary IP was given."""
    public_interface: bool = True
    network_id: int | None = None
    private_ip: str | None = None
    network_state: Literal["attaching", "ok", "detaching"] = "ok"
    dns: Mapping[str, str] = field(default_factory=dict)
    protected: bool = False
    past: tuple[Charge, ...] = ()
    billed_from: datetime | None = None
    deleted: datetime | None = None


def service_key(service: Service) -> int:
    """Return the port by which a service is known."""
    return int(service["listen_port"])


def without_private_targets(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """Return the targets that need no private network."""
    return tuple(target for target in targets if not target.use_private_ip)
