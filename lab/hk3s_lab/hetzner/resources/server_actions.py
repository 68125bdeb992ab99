"""What can be done to a server: power, networks, placement group, protection."""

from dataclasses import replace

from hk3s_lab.hetzner import attachment, errors, lookup, server_order
from hk3s_lab.hetzner.call import Answer, Call, Handler, Route, action_answer
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import transitions
from hk3s_lab.hetzner.model.records import Nic, Server, ServerStatus

_POWER = {
    "poweron": "start_server",
    "poweroff": "stop_server",
    "shutdown": "shutdown_server",
    "reboot": "reboot_server",
    "reset": "reset_server",
}
_STARTS = frozenset({"start_server", "reset_server"})


def attach_to_network(call: Call) -> Answer:
    """Give the server an interface in a network; the address is reserved at once."""
    number = call.body.number("network", required=True)
    ip, ip_range = call.body.optional_text("ip"), call.body.optional_text("ip_range")
    aliases = call.body.texts("alias_ips")
    call.body.check()
    server = lookup.free_server(call)
    nic = attachment.new_nic(
        call,
        number or 0,
        location=server.location,
        present=server.nics,
        ip=ip,
        ip_range=ip_range,
        alias_ips=aliases,
    )
    call.project.update_server(server.id, nics=(*server.nics, nic))
    keys = [("server", server.id), ("network", nic.network_id)]
    return action_answer(call, call.start("attach_to_network", keys))


def detach_from_network(call: Call) -> Answer:
    """Take the server's interface in a network away."""
    server, nic = _attached(call)
    _replace_nic(call, server, replace(nic, state="detaching"))
    keys = [("server", server.id), ("network", nic.network_id)]
    return action_answer(call, call.start("detach_from_network", keys))


def change_alias_ips(call: Call) -> Answer:
    """Replace the further addresses of the server's interface in a network."""
    aliases = call.body.texts("alias_ips")
    if not call.body.has("alias_ips"):
        call.body.note("alias_ips", "is required")
    server, nic = _attached(call)
    network = call.project.networks[nic.network_id]
    attachment.changed_aliases(call, network, nic, aliases)
    _replace_nic(call, server, replace(nic, alias_ips=tuple(aliases), state="updating"))
    keys = [("server", server.id), ("network", nic.network_id)]
    arguments = {"before": list(nic.alias_ips)}
    return action_answer(call, call.start("change_alias_ips", keys, arguments=arguments))


def change_protection(call: Call) -> Answer:
    """Protect against deletion and rebuild, or no longer; both must be equal."""
    server = lookup.free_server(call)
    delete = call.body.optional_flag("delete", server.delete_protected)
    rebuild = call.body.optional_flag("rebuild", server.rebuild_protected)
    if delete is not rebuild:
        call.body.note("rebuild", "must be equal to delete")
    call.body.check()
    arguments = {"delete": delete, "rebuild": rebuild}
    action = call.start("change_protection", [("server", server.id)], arguments=arguments)
    return action_answer(call, action)


def add_to_placement_group(call: Call) -> Answer:
    """Put a server that is off into a group."""
    number = call.body.number("placement_group", required=True) or 0
    call.body.check()
    server = lookup.free_server(call)
    lookup.by_id(call.project.placement_groups, number, "placement_group")
    if server.placement_group is not None:
        raise ApiError("already_in_placement_group", "the server is in a placement group")
    if server.status is not ServerStatus.OFF:
        raise ApiError("server_not_stopped", "the server must be powered off")
    server_order.check_group(call, number)
    call.project.update_server(server.id, placement_group=number)
    return action_answer(call, call.start("add_to_placement_group", [("server", server.id)]))


def remove_from_placement_group(call: Call) -> Answer:
    """Take the server out of its group."""
    server = lookup.free_server(call)
    if server.placement_group is None:
        raise errors.invalid_input({"id": ["is not in a placement group"]})
    return action_answer(call, call.start("remove_from_placement_group", [("server", server.id)]))


def _power(command: str) -> Handler:
    def handler(call: Call) -> Answer:
        server = lookup.free_server(call)
        if not transitions.accepts(command, server.status):
            raise errors.conflict("server")
        bare = not server.nics and not call.project.has_public_net(server.id)
        if command in _STARTS and bare:
            message = "a server needs a network interface to be powered on"
            raise errors.invalid_input({"networks": [message]})
        return action_answer(call, call.start(command, [("server", server.id)]))

    return handler


def _attached(call: Call) -> tuple[Server, Nic]:
    number = call.body.number("network", required=True)
    call.body.check()
    server = lookup.free_server(call)
    network = lookup.free_network(call, number or 0)
    for nic in server.nics:
        if nic.network_id == network.id:
            return server, nic
    raise errors.invalid_input({"network": ["the server is not attached to it"]})


def _replace_nic(call: Call, server: Server, changed: Nic) -> None:
    nics = tuple(changed if n.network_id == changed.network_id else n for n in server.nics)
    call.project.update_server(server.id, nics=nics)


def _post(name: str, handler: Handler, *, has_body: bool = True) -> Route:
    return Route("POST", f"/servers/{{id}}/actions/{name}", handler, has_body)


ROUTES = (
    *(_post(name, _power(command), has_body=False) for name, command in _POWER.items()),
    _post("attach_to_network", attach_to_network),
    _post("detach_from_network", detach_from_network),
    _post("change_alias_ips", change_alias_ips),
    _post("change_protection", change_protection),
    _post("add_to_placement_group", add_to_placement_group),
    _post("remove_from_placement_group", remove_from_placement_group, has_body=False),
)
