"""Floating IPs: public addresses that move between servers."""

from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, lookup
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import Action, FloatingIp
from hk3s_lab.hetzner.resources import reverse_names
from hk3s_lab.hetzner.resources.kind import Kind

_VERSIONS = ("ipv4", "ipv6")
_SORTS = ("id", "created")


def create(call: Call) -> Answer:
    """Make an address at a location, or at a server that it is assigned to."""
    body = call.body
    body.only("type", "server", "home_location", "description", "name", "labels")
    version = body.text("type", required=True, choices=_VERSIONS)
    server_id, description = body.number("server"), body.optional_text("description")
    reference = body.reference("home_location", required=server_id is None)
    location = call.world.catalog.location(reference) if reference else None
    if reference and location is None:
        body.note("home_location", "is not a location")
    name, labels = body.name(required=False), body.labels()
    body.check()
    server = lookup.server(call, server_id) if server_id is not None else None
    KIND.check_new(call, name)
    number, address = call.world.new_id(), call.world.new_address(version)
    if address is None:
        raise ApiError("resource_unavailable", "no public IPv4 address is available")
    home = str(location["name"]) if location else ""
    if server is not None and not home:
        home = server.location
    ip = FloatingIp(
        id=number,
        name=name or f"floating-ip-{number}",
        created=call.now,
        labels=labels or {},
        type="ipv4" if version == "ipv4" else "ipv6",
        ip=address,
        home_location=home,
        description=description,
    )
    KIND.add(call, ip)
    answer: dict[str, Any] = {"floating_ip": view(call, ip), "action": None}
    if server is not None:
        action = _start_assign(call, ip, server.id)
        answer["action"] = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, answer)


def update(call: Call) -> Answer:
    """Change name, description or labels."""
    call.body.only("description", "name", "labels")
    ip = KIND.wanted(call)
    description = ip.description
    if "description" in call.body.value:
        description = call.body.optional_text("description")
    return KIND.rename(call, ip, description=description)


def delete(call: Call) -> Answer:
    """Give an unassigned address back."""
    ip = KIND.free(call)
    if ip.protected:
        raise errors.protected("floating_ip")
    if ip.server_id is not None:
        raise ApiError("must_be_unassigned", "the floating IP is assigned to a server")
    del call.project.floating_ips[ip.id]
    call.project.gone.floating_ips.append(replace(ip, deleted=call.now))
    return Answer(NO_CONTENT)


def assign(call: Call) -> Answer:
    """Assign to a server of any location."""
    call.body.only("server")
    number = call.body.number("server", required=True) or 0
    call.body.check()
    ip = KIND.free(call)
    server = lookup.server(call, number)
    if ip.server_id is not None:
        raise ApiError("floating_ip_assigned", "the floating IP is already assigned")
    return action_answer(call, _start_assign(call, ip, server.id))


def unassign(call: Call) -> Answer:
    """Take the address from its server."""
    ip = KIND.free(call)
    if ip.server_id is None:
        raise errors.invalid_input({"id": ["is not assigned"]})
    keys = [("floating_ip", ip.id), ("server", ip.server_id)]
    return action_answer(call, call.start("unassign_floating_ip", keys))


def change_dns_ptr(call: Call) -> Answer:
    """Change a reverse name."""
    ip = KIND.free(call)
    key = ("floating_ip", ip.id)
    return reverse_names.change(call, key, {key: ip.ip})


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    ip = KIND.free(call)
    call.body.required_flag("delete")
    return KIND.protect(call, ip, protected=ip.protected)


def view(call: Call, ip: FloatingIp) -> dict[str, Any]:
    """Return the address as the API shows it."""
    return {
        "id": ip.id,
        "name": ip.name,
        "description": ip.description,
        "ip": ip.ip,
        "type": ip.type,
        "server": ip.server_id,
        "dns_ptr": reverse_names.names(ip.ip, ip.dns),
        "home_location": call.world.catalog.location(ip.home_location),
        "blocked": False,
        "protection": {"delete": ip.protected},
        "labels": dict(ip.labels),
        "created": timestamp(ip.created),
    }


def _start_assign(call: Call, ip: FloatingIp, server_id: int) -> Action:
    keys = [("floating_ip", ip.id), ("server", server_id)]
    return call.start("assign_floating_ip", keys, arguments={"server_id": server_id})


KIND = Kind(
    singular="floating_ip", table=lambda project: project.floating_ips, view=view, sorts=_SORTS
)
_ACTIONS = "/floating_ips/{id}/actions"
ROUTES = (
    *KIND.routes(create=create, delete=delete, update=update),
    Route("POST", f"{_ACTIONS}/assign", assign, has_body=True),
    Route("POST", f"{_ACTIONS}/unassign", unassign),
    Route("POST", f"{_ACTIONS}/change_dns_ptr", change_dns_ptr, has_body=True),
    Route("POST", f"{_ACTIONS}/change_protection", change_protection, has_body=True),
)
