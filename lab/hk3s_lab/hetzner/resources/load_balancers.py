"""Load balancers: create, list, rename, delete, metrics."""

from dataclasses import replace

from hk3s_lab.hetzner import balancer_services, balancer_targets, errors, lookup, metrics
from hk3s_lab.hetzner.attachment import balancer_address
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import (
    CREATED,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.load_balancer_view import view
from hk3s_lab.hetzner.model.balancers import LoadBalancer, service_key
from hk3s_lab.hetzner.model.records import PrimaryIp
from hk3s_lab.hetzner.resources import load_balancer_actions
from hk3s_lab.hetzner.resources.kind import Kind

_SERIES = {
    "open_connections": ("open_connections",),
    "connections_per_second": ("connections_per_second",),
    "requests_per_second": ("requests_per_second",),
    "bandwidth": ("bandwidth.in", "bandwidth.out"),
}


def create(call: Call) -> Answer:
    """Make a load balancer with its services and targets."""
    body = call.body
    name, labels = body.name(required=True), body.labels() or {}
    kind = load_balancer_actions.type_of(body)
    algorithm = load_balancer_actions.algorithm_of(body.nested("algorithm"), required=False)
    services = [balancer_services.read(call, part) for part in body.objects("services")]
    targets = [balancer_targets.read(part) for part in body.objects("targets")]
    location = _location(call, body)
    public, network_id = body.flag("public_interface", True), body.number("network")
    wanted = body.nested("public_net")
    numbers = {version: wanted.number(version) for version in ("ipv4", "ipv6")}
    body.check()
    given = {v: _primary_ip(call, v, number, location) for v, number in numbers.items()}
    draft = LoadBalancer(
        id=0,
        name=name,
        created=call.now,
        labels=labels,
        type=kind["name"],
        location=location,
        algorithm=algorithm,
        public_interface=public,
    )
    if network_id is not None:
        ip = balancer_address(call, network_id, location=location)
        draft = replace(draft, network_id=network_id, private_ip=ip)
    elif not public:
        message = "without a public interface a network is needed"
        raise ApiError("load_balancer_not_attached_to_network", message)
    for service in services:
        balancer_services.check_room(draft, service)
        ordered = sorted([*draft.services, service], key=service_key)
        draft = replace(draft, services=tuple(ordered))
    for target in targets:
        balancer_targets.check(call, draft, target)
        draft = replace(draft, targets=(*draft.targets, target))
    load_balancer_actions.check_size(kind, draft)
    KIND.check_new(call, name)
    balancer = _placed(call, draft, given)
    action = call.start("create_load_balancer", [("load_balancer", balancer.id)])
    shown = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, {"load_balancer": view(call, balancer), "action": shown})


def delete(call: Call) -> Answer:
    """Delete a load balancer; it is gone when the action has ended."""
    balancer = load_balancer_actions.free(call)
    if balancer.protected:
        raise errors.protected("load_balancer")
    return action_answer(call, call.start("delete_load_balancer", [("load_balancer", balancer.id)]))


def get_metrics(call: Call) -> Answer:
    """Return time series without samples: no traffic passes through the lab's balancers."""
    KIND.wanted(call)
    return metrics.empty(call, _SERIES)


def _location(call: Call, body: Body) -> str:
    """Read where it is to be: a location, or any of a network zone."""
    reference, zone = body.reference("location"), body.text("network_zone")
    if bool(reference) == bool(zone):
        body.note("location", "either location or network_zone is required")
        return ""
    if zone:
        places = [x for x in call.world.catalog.locations if x["network_zone"] == zone]
        if not places:
            body.note("network_zone", "is not a network zone")
            return ""
        return str(call.world.chances.choices.choice(places)["name"])
    location = call.world.catalog.location(reference)
    if location is None:
        body.note("location", "is not a location")
    return str(location["name"]) if location else ""


def _primary_ip(call: Call, version: str, number: int | None, location: str) -> PrimaryIp | None:
    if number is None:
        return None
    ip = lookup.by_id(call.project.primary_ips, number, "primary_ip")
    return load_balancer_actions.assignable(call, ip, version, location)


def _placed(call: Call, draft: LoadBalancer, given: dict[str, PrimaryIp | None]) -> LoadBalancer:
    """Add the load balancer to the project, with addresses of its own where none were given."""
    number = call.world.new_id()
    own = {
        version: None if ip else call.world.new_address(version) for version, ip in given.items()
    }
    if given["ipv4"] is None and own["ipv4"] is None:
        raise ApiError("resource_unavailable", "no public IPv4 address is available")
    ipv6 = own["ipv6"].replace("/64", "1") if own["ipv6"] else None
    balancer = replace(draft, id=number, ipv4=own["ipv4"], ipv6=ipv6)
    for ip in given.values():
        if ip is not None:
            call.project.primary_ips[ip.id] = replace(
                ip, assignee_id=number, assignee_type="load_balancer"
            )
    return KIND.add(call, balancer)


KIND = Kind(singular="load_balancer", table=lambda project: project.load_balancers, view=view)
ROUTES = (
    *KIND.routes(create=create, delete=delete),
    Route("GET", "/load_balancers/{id}/metrics", get_metrics),
)
