"""Servers: create, list, rename, delete."""

from dataclasses import replace

from hk3s_lab.hetzner import attachment, errors, listing, lookup, server_order
from hk3s_lab.hetzner.call import (
    CREATED,
    OK,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    actions_view,
)
from hk3s_lab.hetzner.events import FirewallsChanged, ServerDeleted
from hk3s_lab.hetzner.model.records import Action, Application, Nic, Server, ServerStatus
from hk3s_lab.hetzner.resources import actions, images, primary_ips
from hk3s_lab.hetzner.server_order import Order
from hk3s_lab.hetzner.server_view import ServerViews

_STATUSES = (
    "running",
    "initializing",
    "starting",
    "stopping",
    "off",
    "deleting",
    "migrating",
    "rebuilding",
    "unknown",
)


def create(call: Call) -> Answer:
    """Order a server: 201 at once, then actions that may still fail."""
    order = server_order.read(call)
    nics: list[Nic] = []
    for network_id in order.networks:
        nics.append(attachment.new_nic(call, network_id, location=order.location, present=nics))
    # Addresses first: they may run out, and then there must be no server.
    server_id = call.world.new_id()
    for version, ip in order.addresses.items():
        if ip is None:
            primary_ips.new(call, version, order.location, assignee_id=server_id)
        else:
            call.project.primary_ips[ip.id] = replace(ip, assignee_id=server_id)
    server = _new_server(call, server_id, order, nics)
    for number in order.firewalls:
        firewall = call.project.firewalls[number]
        applied = (*firewall.applied_to, Application(server_id=server.id, pending=True))
        call.project.firewalls[number] = replace(firewall, applied_to=applied)
    for number in order.volumes:
        volume = call.project.volumes[number]
        call.project.volumes[number] = replace(volume, server_id=server.id)
    first, following = _start_actions(call, server, order)
    body = {
        "server": ServerViews(call).view(server),
        "action": action_view(first, call.world.clock.monotonic()),
        "next_actions": actions_view(call, following),
        "root_password": None if order.ssh_keys else server_order.password(call),
    }
    return Answer(CREATED, body)


def list_all(call: Call) -> Answer:
    """List the servers."""
    statuses = listing.choices(call, "status", _STATUSES)
    found = listing.by_name_and_labels(call, call.project.live_servers())
    found = [server for server in found if not statuses or server.status.value in statuses]
    ordered = listing.ordered(call, found, listing.BY_ID_NAME_OR_CREATED)
    return listing.page(call, "servers", ordered, ServerViews(call).view)


def get(call: Call) -> Answer:
    """Return one server."""
    server = _wanted(call)
    return Answer(OK, {"server": ServerViews(call).view(server)})


def update(call: Call) -> Answer:
    """Change name or labels."""
    server = _wanted(call)
    others = call.project.live_servers()
    name, labels = lookup.new_name_and_labels(call.body, server, others, host=True)
    changed = replace(server, name=name, labels=labels)
    call.project.servers[server.id] = changed
    if changed.labels != server.labels and _has_selectors(call):
        call.world.emit(FirewallsChanged())
    return Answer(OK, {"server": ServerViews(call).view(changed)})


def delete(call: Call) -> Answer:
    """Remove a server at once; what it held is free when the action ends."""
    server = lookup.free_server(call)
    if server.delete_protected:
        raise errors.protected("server")
    call.project.update_server(server.id, deleted=call.now, status=ServerStatus.DELETING)
    call.world.emit(ServerDeleted(server.id))
    return action_answer(call, call.start("delete_server", [("server", server.id)]), OK)


def _wanted(call: Call) -> Server:
    server = lookup.server(call, call.id(kind="server"))
    call.touched.append(server.id)
    return server


def _new_server(call: Call, server_id: int, order: Order, nics: list[Nic]) -> Server:
    server = Server(
        id=server_id,
        name=order.name,
        created=call.now,
        labels=order.labels,
        status=ServerStatus.INITIALIZING,
        server_type=str(order.server_type["name"]),
        location=order.location,
        image=images.base_name(call, dict(order.image)),
        image_id=order.image["id"],
        disk_size=int(order.server_type["disk"]),
        architecture=str(order.server_type["architecture"]),
        user_data=order.user_data,
        ssh_keys=tuple(key.public_key for key in order.ssh_keys),
        nics=tuple(nics),
        placement_group=order.placement_group,
    )
    call.project.servers[server.id] = server
    call.touched.append(server.id)
    return server


def _start_actions(call: Call, server: Server, order: Order) -> tuple[Action, list[Action]]:
    """Start the creation, and queue the attachments and the power-on behind it."""
    first = last = call.start("create_server", [("server", server.id)])
    following = []
    for network_id in order.networks:
        keys = [("server", server.id), ("network", network_id)]
        last = call.start("attach_to_network", keys, after=last)
        following.append(last)
    if order.start:
        following.append(call.start("start_server", [("server", server.id)], after=last))
    return first, following


def _has_selectors(call: Call) -> bool:
    firewalls = call.project.firewalls.values()
    return any(target.selector is not None for f in firewalls for target in f.applied_to)


ROUTES = (
    Route("GET", "/servers", list_all),
    Route("POST", "/servers", create, has_body=True),
    *actions.routes_of("servers", "server"),
    Route("GET", "/servers/{id}", get),
    Route("PUT", "/servers/{id}", update, has_body=True),
    Route("DELETE", "/servers/{id}", delete),
)
