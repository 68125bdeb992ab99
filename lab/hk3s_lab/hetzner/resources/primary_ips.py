"""Primary IPs: public addresses that outlive servers unless told otherwise."""

from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, lookup
from hk3s_lab.hetzner.body import Body
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
from hk3s_lab.hetzner.model.records import Action, PrimaryIp, Server, ServerStatus
from hk3s_lab.hetzner.resources import reverse_names
from hk3s_lab.hetzner.resources.kind import Kind

_VERSIONS = ("ipv4", "ipv6")
_ASSIGNEES = ("server",)
_SORTS = ("id", "created")


def create(call: Call) -> Answer:
    """Make an address in a location, or for a server that is off."""
    body = call.body
    body.only("name", "labels", "type", "location", "assignee_type", "assignee_id", "auto_delete")
    name, labels = body.name(required=True), body.labels()
    version = body.text("type", required=True, choices=_VERSIONS)
    assignee_id, _ = body.number("assignee_id"), body.text("assignee_type", choices=_ASSIGNEES)
    location = _location(call, body, assigned=assignee_id is not None)
    auto_delete = body.flag("auto_delete")
    body.check()
    lookup.check_name(call.project.primary_ips.values(), name)
    server = None
    if assignee_id is not None:
        server = _assignee(call, assignee_id, version)
        location = server.location
    ip = new(call, version, location, name=name, auto_delete=auto_delete, labels=labels or {})
    action = _start_assign(call, ip, server) if server else None
    monotonic = call.world.clock.monotonic()
    view_of_action = action_view(action, monotonic) if action else None
    return Answer(CREATED, {"primary_ip": view(call, ip), "action": view_of_action})


def new(
    call: Call,
    version: str,
    location: str,
    *,
    name: str | None = None,
    auto_delete: bool = True,
    labels: dict[str, str] | None = None,
    assignee_id: int | None = None,
) -> PrimaryIp:
    """Add an address to the project; without a name it gets one, as those made for servers do."""
    world = call.world
    KIND.check_new(call, "")
    number = world.new_id()
    address = world.new_address(version)
    if address is None:
        raise ApiError("resource_unavailable", "no public IPv4 address is available")
    ip = PrimaryIp(
        id=number,
        name=name or f"primary_ip-{number}",
        created=call.now,
        labels=labels or {},
        type="ipv4" if version == "ipv4" else "ipv6",
        ip=address,
        location=location,
        auto_delete=auto_delete,
        assignee_id=assignee_id,
    )
    return KIND.add(call, ip)


def list_all(call: Call) -> Answer:
    """List the addresses."""
    addresses = call.values("ip")
    return KIND.list(call, lambda ip: not addresses or ip.ip in addresses)


def update(call: Call) -> Answer:
    """Change name, labels or auto-deletion."""
    call.body.only("name", "labels", "auto_delete")
    ip = KIND.wanted(call)
    if call.project.is_locked(("primary_ip", ip.id)):
        raise errors.conflict("primary IP")
    auto_delete = call.body.optional_flag("auto_delete", ip.auto_delete)
    return KIND.rename(call, ip, auto_delete=auto_delete)


def delete(call: Call) -> Answer:
    """Give an unassigned address back."""
    ip = KIND.free(call)
    if ip.protected:
        raise errors.protected("primary_ip")
    if ip.assignee_id is not None:
        raise ApiError("must_be_unassigned", "the primary IP is assigned to a resource")
    del call.project.primary_ips[ip.id]
    call.project.gone.primary_ips.append(replace(ip, deleted=call.now))
    return Answer(NO_CONTENT)


def assign(call: Call) -> Answer:
    """Assign to a server that is off."""
    number = call.body.number("assignee_id", required=True)
    call.body.text("assignee_type", required=True, choices=_ASSIGNEES)
    call.body.check()
    ip = KIND.free(call)
    if ip.assignee_id is not None:
        raise ApiError("primary_ip_already_assigned", "the primary IP is already assigned")
    server = _assignee(call, number or 0, ip.type)
    if server.location != ip.location:
        message = "the primary IP is in a different location than the server"
        raise errors.invalid_input({"assignee_id": [message]})
    return action_answer(call, _start_assign(call, ip, server))


def unassign(call: Call) -> Answer:
    """Take the address from a server that is off."""
    ip = KIND.free(call)
    if ip.assignee_id is None:
        raise errors.invalid_input({"id": ["is not assigned"]})
    if ip.assignee_type != "server":
        raise ApiError("unsupported_error", "it stays with its load balancer")
    server = lookup.server(call, ip.assignee_id)
    _check_off(call, server)
    keys = [("primary_ip", ip.id), ("server", server.id)]
    return action_answer(call, call.start("unassign_primary_ip", keys, locks=keys))


def change_dns_ptr(call: Call) -> Answer:
    """Change a reverse name."""
    ip = KIND.free(call)
    key = ("primary_ip", ip.id)
    return reverse_names.change(call, key, {key: ip.ip})


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    ip = KIND.free(call)
    wanted = call.body.required_flag("delete")
    call.body.check()
    if wanted and ip.auto_delete:
        raise errors.invalid_input({"delete": ["needs auto_delete to be false"]})
    return KIND.protect(call, ip, protected=ip.protected)


def view(call: Call, ip: PrimaryIp) -> dict[str, Any]:
    """Return the address as the API shows it."""
    return {
        "id": ip.id,
        "name": ip.name,
        "labels": dict(ip.labels),
        "created": timestamp(ip.created),
        "blocked": False,
        "location": call.world.catalog.location(ip.location),
        "ip": ip.ip,
        "dns_ptr": reverse_names.names(ip.ip, ip.dns),
        "protection": {"delete": ip.protected},
        "type": ip.type,
        "auto_delete": ip.auto_delete,
        "assignee_type": "unassigned" if ip.assignee_id is None else ip.assignee_type,
        "assignee_id": ip.assignee_id,
    }


def _location(call: Call, body: Body, *, assigned: bool) -> str:
    text = body.reference("location", required=not assigned)
    if assigned and text:
        body.note("location", "goes without assignee_id")
    found = call.world.catalog.location(text)
    if text and found is None:
        body.note("location", "is not a location")
    return str(found["name"]) if found else ""


def _assignee(call: Call, number: int, version: str) -> Server:
    server = lookup.server(call, number)
    _check_off(call, server)
    if call.project.public_ip(server.id, version) is not None:
        raise ApiError(f"server_has_{version}", f"the server already has an {version} address")
    return server


def _check_off(call: Call, server: Server) -> None:
    lookup.check_unlocked(call, "server", server.id)
    if server.status is not ServerStatus.OFF:
        raise ApiError("server_not_stopped", "the server must be powered off")


def _start_assign(call: Call, ip: PrimaryIp, server: Server) -> Action:
    keys = [("primary_ip", ip.id), ("server", server.id)]
    return call.start("assign_primary_ip", keys, locks=keys)


KIND = Kind(
    singular="primary_ip", table=lambda project: project.primary_ips, view=view, sorts=_SORTS
)
ROUTES = (
    *KIND.routes(create=create, delete=delete, list_all=list_all, update=update),
    Route("POST", "/primary_ips/{id}/actions/assign", assign, has_body=True),
    Route("POST", "/primary_ips/{id}/actions/unassign", unassign),
    Route("POST", "/primary_ips/{id}/actions/change_dns_ptr", change_dns_ptr, has_body=True),
    Route("POST", "/primary_ips/{id}/actions/change_protection", change_protection, has_body=True),
)
