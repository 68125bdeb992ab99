"""Giving servers addresses in private networks: the checks and the new interface."""

from collections.abc import Sequence
from ipaddress import IPv4Network

from hk3s_lab.hetzner import errors, lookup
from hk3s_lab.hetzner.call import Call
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import addresses
from hk3s_lab.hetzner.model.addresses import AddressProblem
from hk3s_lab.hetzner.model.records import Network, Nic


def new_nic(
    call: Call,
    network_id: int,
    *,
    location: str,
    present: Sequence[Nic],
    ip: str | None = None,
    ip_range: str | None = None,
    alias_ips: Sequence[str] = (),
) -> Nic:
    """Return the interface that a server with the interfaces `present` gets; raises `ApiError`."""
    network = lookup.free_network(call, network_id)
    if any(nic.network_id == network.id for nic in present):
        raise ApiError("server_already_attached", "the server is already attached to the network")
    _check_overlap(call, network, present)
    lookup.check_room(call, "networks_per_server", "networks_per_server_limit", len(present) + 1)
    address = _pick(call, network, location, ip, ip_range)
    try:
        used = call.project.used_ips(network.id)
        addresses.check_aliases(network, alias_ips, used | {address})
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None
    return Nic(
        network_id=network.id,
        ip=address,
        alias_ips=tuple(alias_ips),
        mac=_mac(call.world.new_id()),
        state="attaching",
    )


def balancer_address(
    call: Call,
    network_id: int,
    *,
    location: str,
    ip: str | None = None,
    ip_range: str | None = None,
) -> str:
    """Return the address that a load balancer gets in a network; raises `ApiError`."""
    return _pick(call, lookup.free_network(call, network_id), location, ip, ip_range)


def _pick(call: Call, network: Network, location: str, ip: str | None, ip_range: str | None) -> str:
    members = call.project.member_count(network.id) + 1
    lookup.check_room(call, "members_per_network", "network_member_limit", members)
    try:
        return addresses.pick_address(
            network,
            zone=call.world.catalog.zone(location),
            used=call.project.used_ips(network.id),
            ip=ip,
            ip_range=ip_range,
            choose=call.world.chances.choices.choice,
        )
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None


def changed_aliases(call: Call, network: Network, nic: Nic, alias_ips: Sequence[str]) -> None:
    """Raise unless the interface may have these aliases."""
    used = call.project.used_ips(network.id) - set(nic.alias_ips)
    try:
        addresses.check_aliases(network, alias_ips, used)
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None


def _check_overlap(call: Call, network: Network, present: Sequence[Nic]) -> None:
    wanted = IPv4Network(network.ip_range)
    for nic in present:
        other = call.project.networks.get(nic.network_id)
        if other is not None and IPv4Network(other.ip_range).overlaps(wanted):
            raise ApiError("networks_overlap", "overlaps a network of the server")


def _mac(number: int) -> str:
    octets = number.to_bytes(8, "big")[-4:]
    return ":".join(("86", "00", *(f"{octet:02x}" for octet in octets)))
