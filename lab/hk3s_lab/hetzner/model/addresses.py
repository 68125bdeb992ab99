"""Private addresses: which ranges may be, which address a server gets.

The rules are those of the API reference's Networks chapter.
Everything is pure; problems are returned or raised as `AddressProblem` with the API's code.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network

from hk3s_lab.hetzner.model.records import Network, NetworkRoute, Subnet

PRIVATE_RANGES = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
)
EVERYWHERE = IPv4Network("0.0.0.0/0")
PUBLIC_GATEWAY = IPv4Address("172.31.1.1")
"""Gateway of public interfaces, reserved in every private network."""

MIN_NETWORK_PREFIX = 24
MIN_SUBNET_PREFIX = 30
DEFAULT_SUBNET_PREFIX = 24
MAX_ALIAS_IPS = 5


class AddressProblem(ValueError):
    """A range or address that the rules forbid; `code` is the API's error code."""

    def __init__(self, message: str, *, code: str = "invalid_input", field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field


def parse_range(text: str, field: str) -> IPv4Network:
    """Read CIDR notation with empty host bits."""
    try:
        return IPv4Network(text)
    except ValueError:
        raise AddressProblem("must be an IPv4 range in CIDR notation", field=field) from None


def parse_address(text: str, field: str) -> IPv4Address:
    """Read an IPv4 address."""
    try:
        return IPv4Address(text)
    except ValueError:
        raise AddressProblem("must be an IPv4 address", field=field) from None


def gateway(ip_range: str) -> str:
    """Return the first address of a network, which its gateway has."""
    return str(IPv4Network(ip_range)[1])


def network_range(text: str, field: str = "ip_range") -> IPv4Network:
    """Return a range that a network may have: private, and no smaller than /24."""
    wanted = parse_range(text, field)
    if not any(wanted.subnet_of(private) for private in PRIVATE_RANGES):
        raise AddressProblem("must be within 10/8, 172.16/12 or 192.168/16", field=field)
    if wanted.prefixlen > MIN_NETWORK_PREFIX:
        raise AddressProblem(f"must be at least a /{MIN_NETWORK_PREFIX}", field=field)
    return wanted


def extended_range(network: Network, text: str) -> IPv4Network:
    """Return the range that a network may grow to: same start, shorter netmask."""
    wanted, current = network_range(text), IPv4Network(network.ip_range)
    if wanted.network_address != current.network_address:
        raise AddressProblem("only the netmask may change", field="ip_range")
    if wanted.prefixlen > current.prefixlen:
        raise AddressProblem("must not shrink", field="ip_range")
    return wanted


def new_subnet(network: Network, subnet: Subnet, *, has_range: bool) -> Subnet:
    """Return the subnet with its final range; without a wanted one, the first free /24."""
    zones = {other.network_zone for other in network.subnets}
    if zones - {subnet.network_zone}:
        raise AddressProblem("all subnets of a network are in one zone", field="network_zone")
    taken = [IPv4Network(other.ip_range) for other in network.subnets]
    taken += [IPv4Network(route.destination) for route in _specific(network.routes)]
    whole = IPv4Network(network.ip_range)
    if not has_range:
        return Subnet(
            type=subnet.type,
            ip_range=str(_first_free(whole, taken)),
            network_zone=subnet.network_zone,
            vswitch_id=subnet.vswitch_id,
        )
    wanted = parse_range(subnet.ip_range, "ip_range")
    if not wanted.subnet_of(whole):
        raise AddressProblem("must be within the network's ip_range", field="ip_range")
    if wanted.prefixlen > MIN_SUBNET_PREFIX:
        raise AddressProblem(f"must be at least a /{MIN_SUBNET_PREFIX}", field="ip_range")
    if any(wanted.overlaps(other) for other in taken):
        raise AddressProblem("overlaps a subnet or the destination of a route", field="ip_range")
    return subnet


def check_route(network: Network, route: NetworkRoute) -> None:
    """Raise unless the network may have the route."""
    destination = parse_range(route.destination, "destination")
    if destination != EVERYWHERE:
        _check_destination(network, destination)
    elif any(IPv4Network(other.destination) == EVERYWHERE for other in network.routes):
        raise AddressProblem("overlaps the destination of another route", field="destination")
    _check_gateway(network, parse_address(route.gateway, "gateway"))


def pick_address(
    network: Network,
    *,
    zone: str,
    used: Collection[str],
    ip: str | None = None,
    ip_range: str | None = None,
    choose: Callable[[Sequence[Subnet]], Subnet],
) -> str:
    """Return the address that a server of a zone gets in the network.

    Args:
        network: Where to look.
        zone: Network zone of the server's location.
        used: Addresses and aliases of the members, those being attached included.
        ip: The address wanted.
        ip_range: The range of the subnet wanted.
        choose: Picks among several subnets with room; the API promises no order.

    Raises:
        AddressProblem: `no_subnet_available`, `ip_not_available` or `invalid_input`.
    """
    subnets = [s for s in network.subnets if s.network_zone == zone and s.type != "vswitch"]
    if ip_range is not None:
        wanted_range = parse_range(ip_range, "ip_range")
        subnets = [s for s in subnets if IPv4Network(s.ip_range) == wanted_range]
    if not subnets:
        raise AddressProblem("no subnet of the network fits the server", code="no_subnet_available")
    if ip is not None:
        wanted = parse_address(ip, "ip")
        if ip_range is not None and wanted not in IPv4Network(ip_range):
            raise AddressProblem("is not part of ip_range", field="ip")
        if not any(is_free(network, subnet, wanted, used) for subnet in subnets):
            raise AddressProblem(f"the IP {ip} is not available", code="ip_not_available")
        return str(wanted)
    free = {s.ip_range: _first_host(network, s, used) for s in subnets}
    roomy = [s for s in subnets if free[s.ip_range] is not None]
    if not roomy:
        raise AddressProblem("the subnets have no free address", code="no_subnet_available")
    subnet = roomy[0] if len(roomy) == 1 else choose(roomy)
    return str(free[subnet.ip_range])


def check_aliases(network: Network, aliases: Sequence[str], used: Collection[str]) -> None:
    """Raise unless all aliases are free addresses of the network's subnets."""
    if len(aliases) > MAX_ALIAS_IPS:
        raise AddressProblem(f"at most {MAX_ALIAS_IPS} are allowed", field="alias_ips")
    if len(set(aliases)) != len(aliases):
        raise AddressProblem("must be different", field="alias_ips")
    for alias in aliases:
        address = parse_address(alias, "alias_ips")
        if not any(is_free(network, subnet, address, used) for subnet in network.subnets):
            raise AddressProblem(f"the IP {alias} is not available", code="ip_not_available")


def is_free(network: Network, subnet: Subnet, ip: IPv4Address, used: Collection[str]) -> bool:
    """Tell whether an address of the subnet can be given out."""
    whole = IPv4Network(subnet.ip_range)
    edges = (whole.network_address, whole.broadcast_address)
    reserved = (*edges, IPv4Address(gateway(network.ip_range)), PUBLIC_GATEWAY)
    return ip in whole and ip not in reserved and str(ip) not in used


def subnet_of(network: Network, ip: str) -> str | None:
    """Return the range of the subnet that an address is in."""
    address = IPv4Address(ip)
    ranges = (subnet.ip_range for subnet in network.subnets)
    return next((text for text in ranges if address in IPv4Network(text)), None)


def _first_host(network: Network, subnet: Subnet, used: Collection[str]) -> IPv4Address | None:
    hosts = IPv4Network(subnet.ip_range).hosts()
    return next((ip for ip in hosts if is_free(network, subnet, ip, used)), None)


def _first_free(whole: IPv4Network, taken: Sequence[IPv4Network]) -> IPv4Network:
    for candidate in whole.subnets(new_prefix=DEFAULT_SUBNET_PREFIX):
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise AddressProblem("the network has no free /24", field="ip_range")


def _specific(routes: Iterable[NetworkRoute]) -> list[NetworkRoute]:
    return [route for route in routes if IPv4Network(route.destination) != EVERYWHERE]


def _check_destination(network: Network, destination: IPv4Network) -> None:
    if not any(destination.subnet_of(private) for private in PRIVATE_RANGES):
        raise AddressProblem("must be a private range or 0.0.0.0/0", field="destination")
    if PUBLIC_GATEWAY in destination:
        raise AddressProblem(f"must not contain {PUBLIC_GATEWAY}", field="destination")
    taken = [IPv4Network(subnet.ip_range) for subnet in network.subnets]
    taken += [IPv4Network(route.destination) for route in _specific(network.routes)]
    if any(destination.overlaps(other) for other in taken):
        raise AddressProblem("overlaps a subnet or another destination", field="destination")


def _check_gateway(network: Network, address: IPv4Address) -> None:
    if address == PUBLIC_GATEWAY or str(address) == gateway(network.ip_range):
        raise AddressProblem("is reserved", field="gateway")
    if address not in IPv4Network(network.ip_range):
        raise AddressProblem("must be within the network's ip_range", field="gateway")
    coupled = (subnet for subnet in network.subnets if subnet.type == "vswitch")
    if any(address in IPv4Network(subnet.ip_range) for subnet in coupled):
        raise AddressProblem("must not be behind a vSwitch", field="gateway")
