"""Private networks: subnets, routes, members."""

from dataclasses import asdict, replace
from ipaddress import IPv4Address
from typing import Any

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    Answer,
    Call,
    Route,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.events import ServerNetworkChanged
from hk3s_lab.hetzner.model import addresses, balancer_effects
from hk3s_lab.hetzner.model.addresses import AddressProblem
from hk3s_lab.hetzner.model.records import Network, NetworkRoute, Subnet
from hk3s_lab.hetzner.resources.kind import Kind

_SUBNET_TYPES = ("cloud", "server", "vswitch")
_SUBNET_FIELDS = ("type", "ip_range", "network_zone", "vswitch_id", "gateway")
"""The gateway is the network's to decide; older official clients send theirs, empty."""
_MEMBER_TYPES = ("server", "load_balancer")
_MEMBER_STATUSES = ("ok", "attaching", "detaching", "updating", "error")
_MEMBER_SORTS = ("id", "type", "status", "ip")


def create(call: Call) -> Answer:
    """Make a network with its first subnets and routes."""
    body = call.body
    body.only("name", "ip_range", "labels", "subnets", "routes", "expose_routes_to_vswitch")
    network = Network(
        id=0,
        name=body.name(required=True),
        created=call.now,
        labels=body.labels() or {},
        ip_range=body.text("ip_range", required=True),
        expose_routes_to_vswitch=body.flag("expose_routes_to_vswitch"),
    )
    subnets = [_subnet(call, part) for part in body.objects("subnets")]
    routes = [_route(part) for part in body.objects("routes")]
    body.check()
    try:
        network = replace(network, ip_range=str(addresses.network_range(network.ip_range)))
        for subnet in subnets:
            network = _with_subnet(network, subnet)
        for route in routes:
            addresses.check_route(network, route)
            network = replace(network, routes=(*network.routes, route))
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None
    KIND.check_new(call, network.name)
    network = KIND.add(call, replace(network, id=call.world.new_id()))
    return Answer(CREATED, {"network": view(call, network)})


def update(call: Call) -> Answer:
    """Change name, labels or the exposure of routes."""
    call.body.only("name", "labels", "expose_routes_to_vswitch")
    network = KIND.free(call)
    expose = call.body.optional_flag("expose_routes_to_vswitch", network.expose_routes_to_vswitch)
    return KIND.rename(call, network, expose_routes_to_vswitch=expose)


def delete(call: Call) -> Answer:
    """Delete a network; whoever was attached loses the interface at once."""
    network = KIND.free(call)
    if network.protected:
        raise errors.protected("network")
    del call.project.networks[network.id]
    for server in list(call.project.servers.values()):
        kept = tuple(nic for nic in server.nics if nic.network_id != network.id)
        if kept != server.nics:
            call.project.update_server(server.id, nics=kept)
            call.world.emit(ServerNetworkChanged(server.id))
    for balancer in call.project.balancers_in(network.id):
        balancer_effects.leave_network(call.project, balancer)
    return Answer(NO_CONTENT)


def members(call: Call) -> Answer:
    """List who has an address in the network."""
    network = KIND.wanted(call)
    views: list[dict[str, Any]] = [
        {
            "id": server.id,
            "type": "server",
            "ip": nic.ip,
            "alias_ips": list(nic.alias_ips),
            "subnet": addresses.subnet_of(network, nic.ip),
            "status": "detaching" if server.deleted else nic.state,
        }
        for server, nic in call.project.members(network.id)
    ]
    views += [
        {
            "id": balancer.id,
            "type": "load_balancer",
            "ip": balancer.private_ip,
            "alias_ips": [],
            "subnet": addresses.subnet_of(network, str(balancer.private_ip)),
            "status": balancer.network_state,
        }
        for balancer in call.project.balancers_in(network.id)
    ]
    wanted = {
        "type": listing.choices(call, "type", _MEMBER_TYPES),
        "status": listing.choices(call, "status", _MEMBER_STATUSES),
        "subnet": call.values("subnet"),
    }
    for name, values in wanted.items():
        views = [member for member in views if not values or member[name] in values]
    ordered = listing.ordered(call, views, _MEMBER_SORTS, read={"ip": IPv4Address})
    return listing.page(call, "members", ordered, lambda member: member)


def add_subnet(call: Call) -> Answer:
    """Add a subnet; without a range, the first free /24."""
    call.body.only(*_SUBNET_FIELDS)
    subnet = _subnet(call, call.body)
    call.body.check()
    network = KIND.free(call)
    room = len(network.subnets) + 1
    lookup.check_room(call, "subnets_per_network", "network_subnet_limit", room)
    try:
        added = _with_subnet(network, subnet).subnets[-1]
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None
    return KIND.act(call, "add_subnet", network, **asdict(added))


def delete_subnet(call: Call) -> Answer:
    """Remove a subnet that nobody uses."""
    call.body.only("ip_range")
    ip_range = call.body.text("ip_range", required=True)
    call.body.check()
    network = KIND.free(call)
    if ip_range not in {subnet.ip_range for subnet in network.subnets}:
        raise errors.not_found("subnet", ip_range)
    for _, nic in call.project.members(network.id):
        used = (nic.ip, *nic.alias_ips)
        if any(addresses.subnet_of(network, ip) == ip_range for ip in used):
            raise ApiError("resource_in_use", "the subnet has attached resources")
    for balancer in call.project.balancers_in(network.id):
        if addresses.subnet_of(network, str(balancer.private_ip)) == ip_range:
            raise ApiError("resource_in_use", "the subnet has attached resources")
    return KIND.act(call, "delete_subnet", network, ip_range=ip_range)


def add_route(call: Call) -> Answer:
    """Add a route."""
    call.body.only("destination", "gateway")
    route = _route(call.body)
    call.body.check()
    network = KIND.free(call)
    room = len(network.routes) + 1
    lookup.check_room(call, "routes_per_network", "network_route_limit", room)
    try:
        addresses.check_route(network, route)
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None
    return KIND.act(call, "add_route", network, **asdict(route))


def delete_route(call: Call) -> Answer:
    """Remove a route."""
    call.body.only("destination", "gateway")
    route = _route(call.body)
    call.body.check()
    network = KIND.free(call)
    if route not in network.routes:
        raise errors.not_found("route", route.destination)
    return KIND.act(call, "delete_route", network, **asdict(route))


def change_ip_range(call: Call) -> Answer:
    """Let the network grow."""
    call.body.only("ip_range")
    text = call.body.text("ip_range", required=True)
    call.body.check()
    network = KIND.free(call)
    try:
        wanted = addresses.extended_range(network, text)
    except AddressProblem as problem:
        raise errors.from_address_problem(problem) from None
    return KIND.act(call, "change_ip_range", network, ip_range=str(wanted))


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    call.body.only("delete")
    network = KIND.free(call)
    return KIND.protect(call, network, protected=network.protected)


def view(call: Call, network: Network) -> dict[str, Any]:
    """Return the network as the API shows it."""
    attached = [
        server.id
        for server, nic in call.project.members(network.id)
        if server.deleted is None and nic.state != "attaching"
    ]
    return {
        "id": network.id,
        "name": network.name,
        "ip_range": network.ip_range,
        "subnets": [_subnet_view(network, subnet) for subnet in network.subnets],
        "routes": [asdict(route) for route in network.routes],
        "servers": attached,
        "load_balancers": [
            balancer.id
            for balancer in call.project.balancers_in(network.id)
            if balancer.network_state != "attaching"
        ],
        "protection": {"delete": network.protected},
        "labels": dict(network.labels),
        "created": timestamp(network.created),
        "expose_routes_to_vswitch": network.expose_routes_to_vswitch,
    }


def _subnet_view(network: Network, subnet: Subnet) -> dict[str, Any]:
    return {
        "type": subnet.type,
        "ip_range": subnet.ip_range,
        "network_zone": subnet.network_zone,
        "gateway": addresses.gateway(network.ip_range),
        "vswitch_id": subnet.vswitch_id,
    }


def _with_subnet(network: Network, subnet: Subnet) -> Network:
    added = addresses.new_subnet(network, subnet, has_range=bool(subnet.ip_range))
    return replace(network, subnets=(*network.subnets, added))


def _subnet(call: Call, body: Body) -> Subnet:
    kind = body.text("type", required=True, choices=_SUBNET_TYPES)
    zone = body.text("network_zone", required=True, choices=call.world.catalog.zones())
    vswitch_id = body.number("vswitch_id")
    if (kind == "vswitch") != (vswitch_id is not None):
        body.note("vswitch_id", "goes with subnets of type vswitch")
    return Subnet(
        type=kind, ip_range=body.text("ip_range"), network_zone=zone, vswitch_id=vswitch_id
    )


def _route(body: Body) -> NetworkRoute:
    return NetworkRoute(
        destination=body.text("destination", required=True),
        gateway=body.text("gateway", required=True),
    )


KIND = Kind(singular="network", table=lambda project: project.networks, view=view)
ROUTES = (
    *KIND.routes(create=create, delete=delete, update=update),
    Route("GET", "/networks/{id}/members", members),
    Route("POST", "/networks/{id}/actions/add_subnet", add_subnet, has_body=True),
    Route("POST", "/networks/{id}/actions/delete_subnet", delete_subnet, has_body=True),
    Route("POST", "/networks/{id}/actions/add_route", add_route, has_body=True),
    Route("POST", "/networks/{id}/actions/delete_route", delete_route, has_body=True),
    Route("POST", "/networks/{id}/actions/change_ip_range", change_ip_range, has_body=True),
    Route("POST", "/networks/{id}/actions/change_protection", change_protection, has_body=True),
)
