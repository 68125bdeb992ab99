"""The metadata service of the servers: what they learn at http://169.254.169.254/hetzner/v1/.

The same paths answer on the emulator's port; who asks is told by a header or by the address
that the request comes from.
Formats are those of the reference's chapter on server metadata.
"""

from collections.abc import Callable, Iterable

from hk3s_lab.hetzner.events import MachineFacts, PrivateNic

BASE = "/hetzner/v1"
SERVER_HEADER = "X-Hk3s-Server"
"""Id of the server on whose behalf a request is made."""

DATA_CENTERS = {
    "fsn1": "fsn1-dc14",
    "nbg1": "nbg1-dc3",
    "hel1": "hel1-dc2",
    "ash": "ash-dc1",
    "hil": "hil-dc1",
    "sin": "sin-dc1",
}
"""Availability zones still have the names of the data centers that left the API."""

Networks = Callable[[PrivateNic], tuple[str, str]]
"""Name of the network of an interface, and range of its subnet."""


def answer(path: str, machine: MachineFacts, networks: Networks) -> str | None:
    """Return the text at a path below /hetzner/v1; None when there is none.

    Args:
        path: For example `/metadata/hostname`.
        machine: Who asks.
        networks: Describes the networks of its interfaces.
    """
    if path == "/userdata":
        return machine.user_data or ""  # cloud-init takes nothing but a success
    if path.rstrip("/") == "/metadata":
        return _summary(machine)
    return _values(machine, networks).get(path.removeprefix("/metadata/"))


def asker(
    machines: Iterable[MachineFacts], *, header: str | None, address: str | None
) -> MachineFacts | None:
    """Return the server that a request comes from; None when it cannot be told.

    The header decides. Otherwise the address must be that of exactly one server, public or private.
    """
    if header is not None:
        return next((m for m in machines if str(m.server_id) == header.strip()), None)
    found = [machine for machine in machines if address in _addresses(machine)]
    return found[0] if len(found) == 1 else None


def _addresses(machine: MachineFacts) -> set[str | None]:
    private = {ip for nic in machine.private for ip in (nic.ip, *nic.alias_ips)}
    return {*private, machine.public_ipv4} - {None}


def _summary(machine: MachineFacts) -> str:
    lines = [
        f"availability-zone: {DATA_CENTERS.get(machine.location, machine.location)}",
        f"hostname: {machine.name}",
        f"instance-id: {machine.server_id}",
    ]
    if machine.public_ipv4:
        lines.append(f"public-ipv4: {machine.public_ipv4}")
    lines.append(f"region: {machine.network_zone}")
    if machine.ssh_keys:
        lines += ["public-keys:", *(f"- {key}" for key in machine.ssh_keys)]
    return "".join(f"{line}\n" for line in lines)


def _values(machine: MachineFacts, networks: Networks) -> dict[str, str]:
    return {
        "hostname": machine.name,
        "instance-id": str(machine.server_id),
        "public-ipv4": machine.public_ipv4 or "",
        "private-networks": _private_networks(machine.private, networks),
        "availability-zone": DATA_CENTERS.get(machine.location, machine.location),
        "region": machine.network_zone,
    }


def _private_networks(nics: Iterable[PrivateNic], networks: Networks) -> str:
    lines = []
    for number, nic in enumerate(nics, start=1):
        name, subnet = networks(nic)
        lines += [
            f"- ip: {nic.ip}",
            f"  alias_ips: [{', '.join(nic.alias_ips)}]",
            f"  interface_num: {number}",
            f"  mac_address: {nic.mac}",
            f"  network_id: {nic.network_id}",
            f"  network_name: {name}",
            f"  network: {nic.network_range}",
            f"  subnet: {subnet}",
            f"  gateway: {nic.gateway}",
        ]
    return "".join(f"{line}\n" for line in lines) or "[]\n"
