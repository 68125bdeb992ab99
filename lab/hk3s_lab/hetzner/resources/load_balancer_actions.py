"""What can be done to a load balancer: services, targets, network, type, options."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from hk3s_lab.hetzner import balancer_services, balancer_targets, errors, lookup
from hk3s_lab.hetzner.attachment import balancer_address
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Answer, Call, Handler, Route, action_answer
from hk3s_lab.hetzner.errors import ApiError, limit_exceeded
from hk3s_lab.hetzner.model import offers
from hk3s_lab.hetzner.model.balancers import LoadBalancer, Target
from hk3s_lab.hetzner.model.records import PrimaryIp, ResourceKey
from hk3s_lab.hetzner.resources import reverse_names

_ALGORITHMS = ("round_robin", "least_connections")


def add_service(call: Call) -> Answer:
    """Listen on one more port."""
    service = balancer_services.read(call, call.body)
    call.body.check()
    balancer = free(call)
    balancer_services.check_room(balancer, service)
    check_size(_type(balancer), replace(balancer, services=(*balancer.services, service)))
    return _start(call, balancer, "add_service", {"service": dict(service)})


def update_service(call: Call) -> Answer:
    """Change the service of a port; what is absent stays."""
    port = call.body.number("listen_port", required=True) or 0
    call.body.check()
    balancer = free(call)
    before = balancer_services.of_port(balancer, port)
    service = balancer_services.read(call, call.body, before)
    call.body.check()
    check_size(_type(balancer), balancer)
    arguments = {"service": dict(service), "replaces": port}
    return _start(call, balancer, "update_service", arguments)


def delete_service(call: Call) -> Answer:
    """Stop listening on a port."""
    port = call.body.number("listen_port", required=True) or 0
    call.body.check()
    balancer = free(call)
    balancer_services.of_port(balancer, port)
    return _start(call, balancer, "delete_service", {"listen_port": port})


def add_target(call: Call) -> Answer:
    """Send traffic to one more target."""
    target = balancer_targets.read(call.body)
    call.body.check()
    balancer = free(call)
    balancer_targets.check(call, balancer, target)
    check_size(_type(balancer), replace(balancer, targets=(*balancer.targets, target)))
    return _start(call, balancer, "add_target", asdict(target), server_id=target.server_id)


def remove_target(call: Call) -> Answer:
    """Send no more traffic to a target."""
    target = balancer_targets.read(call.body)
    call.body.check()
    balancer = free(call)
    known = _known(balancer, target)
    return _start(call, balancer, "remove_target", asdict(known), server_id=known.server_id)


def change_algorithm(call: Call) -> Answer:
    """Choose by turns or by the fewest connections."""
    wanted = algorithm_of(call.body, required=True)
    call.body.check()
    return _start(call, free(call), "change_algorithm", {"type": wanted})


def change_type(call: Call) -> Answer:
    """Grow or shrink, if services and targets still fit."""
    kind = type_of(call.body)
    call.body.check()
    balancer = free(call)
    if kind["name"] == balancer.type or not _fits(kind, balancer):
        message = "the type does not fit the load balancer"
        raise ApiError("invalid_load_balancer_type", message)
    return _start(call, balancer, "change_load_balancer_type", {"type": kind["name"]})


def attach_to_network(call: Call) -> Answer:
    """Give the load balancer an address in a network."""
    number = call.body.number("network", required=True) or 0
    ip, ip_range = call.body.optional_text("ip"), call.body.optional_text("ip_range")
    call.body.check()
    balancer = free(call)
    if balancer.network_id is not None:
        message = "the load balancer is already attached to a network"
        raise ApiError("load_balancer_already_attached", message)
    address = balancer_address(call, number, location=balancer.location, ip=ip, ip_range=ip_range)
    call.project.load_balancers[balancer.id] = replace(
        balancer, network_id=number, private_ip=address, network_state="attaching"
    )
    keys = [("load_balancer", balancer.id), ("network", number)]
    return action_answer(call, call.start("attach_to_network", keys))


def detach_from_network(call: Call) -> Answer:
    """Take the address away, and the targets that were reached through the network."""
    number = call.body.number("network", required=True) or 0
    call.body.check()
    balancer = free(call)
    network = lookup.free_network(call, number)
    if balancer.network_id != network.id:
        raise errors.invalid_input({"network": ["the load balancer is not attached to it"]})
    changed = replace(balancer, network_state="detaching")
    call.project.load_balancers[balancer.id] = changed
    keys = [("load_balancer", balancer.id), ("network", network.id)]
    return action_answer(call, call.start("detach_from_network", keys))


def disable_public_interface(call: Call) -> Answer:
    """Be reachable through the network only."""
    balancer = free(call)
    if balancer.network_id is None:
        message = "the load balancer is not attached to a network"
        raise ApiError("load_balancer_not_attached_to_network", message)
    if any(target.ip is None and not target.use_private_ip for target in balancer.targets):
        message = "the load balancer has targets with public addresses"
        raise ApiError("targets_without_use_private_ip", message)
    return _start(call, balancer, "disable_public_interface", {})


def enable_public_interface(call: Call) -> Answer:
    """Be reachable from the internet."""
    return _start(call, free(call), "enable_public_interface", {})


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    balancer = free(call)
    wanted = call.body.optional_flag("delete", balancer.protected)
    call.body.check()
    return _start(call, balancer, "change_protection", {"delete": wanted})


def change_dns_ptr(call: Call) -> Answer:
    """Change a reverse name."""
    balancer = free(call)
    key = ("load_balancer", balancer.id)
    owners: dict[ResourceKey, str] = {}
    for version, own in (("ipv4", balancer.ipv4), ("ipv6", balancer.ipv6)):
        given = call.project.public_ip(balancer.id, version)
        if given is not None:
            owners["primary_ip", given.id] = given.ip
        elif own is not None and reverse_names.same(call.body, own):
            owners[key] = own
    return reverse_names.change(call, key, owners)


def free(call: Call) -> LoadBalancer:
    """Return the load balancer of the path, or raise `conflict` while it is being changed."""
    return lookup.free(call, call.project.load_balancers, "load_balancer")


def type_of(body: Body) -> dict[str, Any]:
    """Read a load balancer type; an empty one where a problem was noted."""
    reference = body.reference("load_balancer_type", required=True)
    found = offers.load_balancer_type(reference)
    if reference and found is None:
        body.note("load_balancer_type", "is not a load balancer type")
    return found or {"name": ""}


def algorithm_of(body: Body, *, required: bool) -> Literal["round_robin", "least_connections"]:
    """Read an algorithm; absent is round robin."""
    text = body.text("type", required=required, choices=_ALGORITHMS)
    return "least_connections" if text == "least_connections" else "round_robin"


def assignable(call: Call, ip: PrimaryIp, version: str, location: str) -> PrimaryIp:
    """Return a primary IP that a new load balancer may have, or raise why not."""
    if ip.type != version:
        raise ApiError("primary_ip_version_mismatch", f"the primary IP is not an {version}")
    if ip.assignee_id is not None or call.project.is_locked(("primary_ip", ip.id)):
        raise ApiError("primary_ip_assigned", "the primary IP is already assigned")
    if ip.location != location:
        raise errors.invalid_input({f"public_net.{version}": ["is in a different location"]})
    return ip


def check_size(kind: Mapping[str, Any], balancer: LoadBalancer) -> None:
    """Raise when services, targets or certificates are more than the type allows."""
    for limit, count in _sizes(balancer).items():
        if count > kind[limit]:
            raise limit_exceeded(f"load_balancer_{limit.removeprefix('max_')}_limit")


def _fits(kind: Mapping[str, Any], balancer: LoadBalancer) -> bool:
    return all(count <= kind[limit] for limit, count in _sizes(balancer).items())


def _sizes(balancer: LoadBalancer) -> dict[str, int]:
    certificates = {
        number
        for service in balancer.services
        for number in service.get("http", {}).get("certificates", ())
    }
    return {
        "max_services": len(balancer.services),
        "max_targets": len(balancer.targets),
        "max_assigned_certificates": len(certificates),
    }


def _type(balancer: LoadBalancer) -> dict[str, Any]:
    return offers.load_balancer_type(balancer.type) or {}


def _known(balancer: LoadBalancer, target: Target) -> Target:
    for known in balancer.targets:
        if known.key == target.key:
            return known
    raise errors.not_found("target", target.server_id or target.selector or target.ip)


def _start(
    call: Call,
    balancer: LoadBalancer,
    command: str,
    arguments: Mapping[str, Any],
    server_id: int | None = None,
) -> Answer:
    keys: list[ResourceKey] = [("load_balancer", balancer.id)]
    if server_id is not None:
        keys.append(("server", server_id))
    return action_answer(call, call.start(command, keys, arguments=arguments))


_HANDLERS: Mapping[str, Handler] = {
    "add_service": add_service,
    "update_service": update_service,
    "delete_service": delete_service,
    "add_target": add_target,
    "remove_target": remove_target,
    "change_algorithm": change_algorithm,
    "change_type": change_type,
    "attach_to_network": attach_to_network,
    "detach_from_network": detach_from_network,
    "change_protection": change_protection,
    "change_dns_ptr": change_dns_ptr,
}
_PREFIX = "/load_balancers/{id}/actions"
ROUTES = (
    *(Route("POST", f"{_PREFIX}/{name}", h, has_body=True) for name, h in _HANDLERS.items()),
    Route("POST", f"{_PREFIX}/enable_public_interface", enable_public_interface),
    Route("POST", f"{_PREFIX}/disable_public_interface", disable_public_interface),
)
