"""Ordering a server: what the request asks for, resolved, and whether it may be had."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hk3s_lab.hetzner import errors, lookup
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Call
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import PrimaryIp, Server, SshKey
from hk3s_lab.hetzner.resources import images

MAX_USER_DATA = 32768


_PASSWORD_LENGTH = 20
_PASSWORD_CHARACTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A request to create a server, with everything it names found."""

    name: str
    labels: Mapping[str, str]
    server_type: Mapping[str, Any]
    location: str
    image: Mapping[str, Any]
    user_data: str | None
    ssh_keys: tuple[SshKey, ...]
    networks: tuple[int, ...]
    firewalls: tuple[int, ...]
    volumes: tuple[int, ...]
    placement_group: int | None
    addresses: Mapping[str, PrimaryIp | None]
    """Version to primary IP, or None for one to be made; versions that are off are absent."""
    start: bool


def user_data(body: Body) -> str | None:
    """Read what cloud-init is to be told; None when absent."""
    text = body.optional_text("user_data")
    if text is not None and len(text.encode(errors="replace")) > MAX_USER_DATA:
        body.note("user_data", f"is longer than {MAX_USER_DATA} bytes")
    return text


def password(call: Call) -> str:
    """Return a root password."""
    choose = call.world.chances.secrets.choice
    return "".join(choose(_PASSWORD_CHARACTERS) for _ in range(_PASSWORD_LENGTH))


def read(call: Call) -> Order:
    """Read and check an order: input first, then what it names, then room and stock."""
    body = call.body
    name, labels = body.hostname(required=True), body.labels() or {}
    server_type, image, location = _catalogue(call, body)
    data = user_data(body)
    key_references, networks = body.references("ssh_keys"), body.numbers("networks")
    if len(set(networks)) != len(networks):
        body.note("networks", "must be different")
    firewalls = [p.number("firewall", required=True) or 0 for p in body.objects("firewalls")]
    public = body.nested("public_net")
    wanted = _public_net(public)
    start = body.flag("start_after_create", True)
    if not wanted and not networks and start:
        body.note("public_net", "without public addresses, networks are needed to start the server")
    volumes, group_id = body.numbers("volumes"), body.number("placement_group")
    body.check()
    order = Order(
        name=name,
        labels=labels,
        server_type=server_type,
        location=location,
        image=image,
        user_data=data,
        ssh_keys=tuple(_ssh_key(call, text) for text in dict.fromkeys(key_references)),
        networks=tuple(networks),
        firewalls=tuple(dict.fromkeys(firewalls)),
        volumes=tuple(dict.fromkeys(volumes)),
        placement_group=group_id,
        addresses={v: _address(call, v, ip, location) for v, ip in wanted.items()},
        start=start,
    )
    _check_references(call, order)
    lookup.check_name(call.project.live_servers(), name)
    _check_room(call, order)
    return order


def _catalogue(call: Call, body: Body) -> tuple[Mapping[str, Any], Mapping[str, Any], str]:
    """Return type, image and location; empty ones where a problem was noted."""
    catalog = call.world.catalog
    nothing: Mapping[str, Any] = {}
    server_type = catalog.server_type(body.reference("server_type", required=True)) or nothing
    if not server_type and body.has("server_type"):
        body.note("server_type", "is not a server type")
    architecture = str(server_type.get("architecture", "x86"))
    image = images.resolve(call, body.reference("image", required=True), architecture) or nothing
    if body.has("image") and (not image or image["architecture"] != architecture):
        body.note("image", f"is not an image for {architecture}")
    elif image and image["status"] != "available":
        body.note("image", "is not available yet")
    elif image and server_type and image["disk_size"] > server_type["disk"]:
        body.note("image", "is larger than the disk of the server type")
    text = body.reference("location")
    location = catalog.location(text) if text else None
    if text and location is None:
        body.note("location", "is not a location")
    name = str(location["name"]) if location else ""
    if server_type and not text:
        name = _any_location(call, str(server_type["name"]))
    if server_type and name and not catalog.offered(str(server_type["name"]), name, call.now):
        body.note("server_type", f"is not offered in {name}")
    return server_type, image, name


def _any_location(call: Call, server_type: str) -> str:
    """Choose for a request that leaves it open: in stock, else offered, else the first."""
    catalog = call.world.catalog
    names = [str(location["name"]) for location in catalog.locations]
    offered = [n for n in names if catalog.offered(server_type, n, call.now)]
    in_stock = [n for n in offered if catalog.available(server_type, n)]
    return (in_stock or offered or names)[0]


def _public_net(body: Body) -> dict[str, int | None]:
    wanted: dict[str, int | None] = {}
    for version in ("ipv4", "ipv6"):
        number = body.number(version)
        if body.flag(f"enable_{version}", True):
            wanted[version] = number
        elif number is not None:
            body.note(version, f"needs enable_{version} to be true")
    return wanted


def _ssh_key(call: Call, text: str) -> SshKey:
    for key in call.project.ssh_keys.values():
        if text in (str(key.id), key.name):
            return key
    raise errors.not_found("SSH key", text)


def _address(call: Call, version: str, number: int | None, location: str) -> PrimaryIp | None:
    if number is None:
        return None
    ip = lookup.by_id(call.project.primary_ips, number, "primary_ip")
    if ip.type != version:
        raise ApiError("primary_ip_version_mismatch", f"the primary IP is not an {version}")
    if ip.assignee_id is not None or call.project.is_locked(("primary_ip", ip.id)):
        raise ApiError("primary_ip_assigned", "the primary IP is already assigned to a server")
    if ip.location != location:
        message = "the primary IP is in a different location"
        raise ApiError("primary_ip_datacenter_mismatch", message)
    return ip


def _check_references(call: Call, order: Order) -> None:
    for number in order.firewalls:
        lookup.by_id(call.project.firewalls, number, "firewall")
    for number in order.networks:
        lookup.free_network(call, number)
    if order.placement_group is not None:
        lookup.by_id(call.project.placement_groups, order.placement_group, "placement_group")
    for number in order.volumes:
        volume = lookup.by_id(call.project.volumes, number, "volume")
        if volume.location != order.location or volume.server_id is not None:
            raise errors.invalid_input({"volumes": ["must be unattached and in the location"]})
    count = len(order.volumes)
    lookup.check_room(call, "volumes_per_server", "volumes_per_server_limit", count)
    if order.firewalls and not order.addresses:
        raise ApiError("private_net_only_server", "firewalls need a public interface")


def _check_room(call: Call, order: Order) -> None:
    project, catalog = call.project, call.world.catalog
    servers = list(project.live_servers())
    lookup.check_room(call, "servers", "server_limit", len(servers) + 1)
    check_cores(call, order.server_type)
    new_addresses = sum(1 for ip in order.addresses.values() if ip is None)
    wanted = len(project.primary_ips) + new_addresses
    if new_addresses:
        lookup.check_room(call, "primary_ips", "primary_ip_limit", wanted)
    count = len(order.firewalls)
    lookup.check_room(call, "firewalls_per_server", "firewalls_per_server_limit", count)
    if not catalog.available(str(order.server_type["name"]), order.location):
        message = f"{order.server_type['name']} is not available in {order.location}"
        raise ApiError("resource_unavailable", message)
    if order.placement_group is not None:
        check_group(call, order.placement_group)


def check_cores(
    call: Call, server_type: Mapping[str, Any], *, without: Server | None = None
) -> None:
    """Raise when the account has no room for the dedicated cores of one more server."""
    if server_type["cpu_type"] != "dedicated":
        return
    others = (server for server in call.project.live_servers() if server is not without)
    cores = sum(_dedicated_cores(call, server.server_type) for server in others)
    cores += int(server_type["cores"])
    lookup.check_room(call, "dedicated_cores", "dedicated_core_limit", cores)


def check_group(call: Call, group_id: int) -> None:
    """Raise `placement_error` when a placement group is full."""
    members = len(call.project.group_members(group_id))
    if members >= call.project.limits["servers_per_placement_group"]:
        raise ApiError("placement_error", "the placement group has no free host")


def _dedicated_cores(call: Call, name: str) -> int:
    found = call.world.catalog.server_type(name)
    return int(found["cores"]) if found and found["cpu_type"] == "dedicated" else 0
