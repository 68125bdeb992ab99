"""What one run may do at Hetzner, as data: each step can be repeated and says what it is."""

from dataclasses import dataclass

from hk3s_bootstrap.desired import Machine
from hk3s_hetzner import domain


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSshKey:
    """Upload a public key that the project does not have yet."""

    name: str
    public_key: str

    def __str__(self) -> str:
        return f"upload SSH key {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork:
    """Make the private network with its subnets and the route to the internet."""

    name: str
    ip_range: str
    subnets: tuple[domain.Subnet, ...]
    route: domain.Route

    def __str__(self) -> str:
        return f"create network {self.name} {self.ip_range}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSubnet:
    """Add a subnet that somebody removed."""

    subnet: domain.Subnet

    def __str__(self) -> str:
        return f"add subnet {self.subnet.ip_range}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddRoute:
    """Add the route that somebody removed."""

    route: domain.Route

    def __str__(self) -> str:
        return f"add route {self.route.destination} via {self.route.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRoute:
    """Remove a default route that leads elsewhere."""

    route: domain.Route

    def __str__(self) -> str:
        return f"delete route {self.route.destination} via {self.route.gateway}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFirewall:
    """Make the bastion's firewall, before the bastion."""

    name: str
    rules: tuple[domain.FirewallRule, ...]

    def __str__(self) -> str:
        return f"create firewall {self.name}: {_sources(self.rules)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFirewallRules:
    """Bring the firewall's rules up to date."""

    rules: tuple[domain.FirewallRule, ...]

    def __str__(self) -> str:
        return f"set firewall rules: {_sources(self.rules)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyFirewall:
    """Put the firewall back in front of the bastion."""

    def __str__(self) -> str:
        return "apply the firewall to the bastion"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePrimaryIp:
    """Reserve the public address: it survives a rebuild of the bastion."""

    name: str
    location: str

    def __str__(self) -> str:
        return f"reserve public IPv4 {self.name} in {self.location}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateServer:
    """Make a server that is off: it must have its private address before it boots."""

    machine: Machine

    def __str__(self) -> str:
        return (
            f"create {self.machine.role} {self.machine.name}:"
            f" {self.machine.server_type} in {self.machine.location}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachServer:
    """Give a server its private address."""

    machine: Machine

    def __str__(self) -> str:
        return f"attach {self.machine.name} as {self.machine.private_address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOn:
    """Start a server."""

    machine: Machine

    def __str__(self) -> str:
        return f"power on {self.machine.name}"


Step = (
    CreateSshKey
    | CreateNetwork
    | AddSubnet
    | AddRoute
    | DeleteRoute
    | CreateFirewall
    | SetFirewallRules
    | ApplyFirewall
    | CreatePrimaryIp
    | CreateServer
    | AttachServer
    | PowerOn
)


def _sources(rules: tuple[domain.FirewallRule, ...]) -> str:
    ports = ", ".join(f"{rule.port}/{rule.protocol}" for rule in rules)
    sources = sorted({source for rule in rules for source in rule.ips})
    return f"{ports} from {', '.join(sources)}"
