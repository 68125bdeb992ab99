"""What can be done to a server's disk, type and options, and what it shows of itself."""

from typing import Any

from hk3s_lab.hetzner import errors, lookup, metrics, server_order
from hk3s_lab.hetzner.call import CREATED, Answer, Call, Handler, Route, action_answer, action_view
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import offers
from hk3s_lab.hetzner.model.records import Action, Image, ResourceKey, Server, ServerStatus
from hk3s_lab.hetzner.resources import images, reverse_names

_WINDOWS = ("22-02", "02-06", "06-10", "10-14", "14-18", "18-22")
_IMAGE_TYPES = ("snapshot", "backup")
_RESCUE_TYPES = ("linux64",)
_SERIES = {
    "cpu": ("cpu",),
    "disk": (
        "disk.0.iops.read",
        "disk.0.iops.write",
        "disk.0.bandwidth.read",
        "disk.0.bandwidth.write",
    ),
    "network": (
        "network.0.pps.in",
        "network.0.pps.out",
        "network.0.bandwidth.in",
        "network.0.bandwidth.out",
    ),
}


def rebuild(call: Call) -> Answer:
    """Overwrite the disk with an image, and boot from it."""
    body = call.body
    reference, user_data = body.reference("image", required=True), server_order.user_data(body)
    body.check()
    server = lookup.free_server(call)
    image = images.resolve(call, reference, server.architecture)
    if image is None or image["architecture"] != server.architecture:
        raise errors.invalid_input({"image": [f"is not an image for {server.architecture}"]})
    if image["status"] != "available" or image["disk_size"] > server.disk_size:
        raise errors.invalid_input({"image": ["does not fit the disk, or is not available"]})
    if server.rebuild_protected:
        raise ApiError("protected", "server rebuild is protected")
    arguments = {
        "image": images.base_name(call, image),
        "image_id": image["id"],
        "user_data": server.user_data if user_data is None else user_data,
    }
    password = None if server.ssh_keys else server_order.password(call)
    return _secret(call, _start(call, server, "rebuild_server", arguments), password)


def change_type(call: Call) -> Answer:
    """Move a server that is off to another type."""
    body = call.body
    if not body.has("upgrade_disk"):
        body.note("upgrade_disk", "is required")
    upgrade, reference = body.flag("upgrade_disk"), body.reference("server_type", required=True)
    catalog = call.world.catalog
    wanted = catalog.server_type(reference)
    if reference and wanted is None:
        body.note("server_type", "is not a server type")
    body.check()
    server = lookup.free_server(call)
    if server.status is not ServerStatus.OFF:
        raise ApiError("server_not_stopped", "the server must be powered off")
    if wanted is None or not _fits(call, server, wanted):
        raise ApiError("invalid_server_type", "the server type does not fit the server")
    name = str(wanted["name"])
    server_order.check_cores(call, wanted, without=server)
    if not catalog.available(name, server.location):
        message = f"{name} is not available in {server.location}"
        raise ApiError("resource_unavailable", message)
    disk = int(wanted["disk"]) if upgrade else server.disk_size
    arguments = {"server_type": name, "disk_size": disk}
    return action_answer(call, _start(call, server, "change_server_type", arguments))


def create_image(call: Call) -> Answer:
    """Copy the disk into a snapshot, or a backup when those are enabled."""
    body = call.body
    kind = body.text("type", choices=_IMAGE_TYPES) or "snapshot"
    description, labels = body.optional_text("description"), body.labels() or {}
    body.check()
    server = lookup.free_server(call)
    if kind == "backup" and server.backup_window is None:
        raise errors.invalid_input({"type": ["backups are not enabled for the server"]})
    image = Image(
        id=0,
        type="backup" if kind == "backup" else "snapshot",
        status="creating",
        description=description or f"{kind} of {server.name}",
        created=call.now,
        labels=labels,
        disk_size=server.disk_size,
        created_from=server.id,
        created_from_name=server.name,
        bound_to=server.id if kind == "backup" else None,
        base=server.image,
        architecture=server.architecture,
    )
    made = images.new(call, image)
    keys: list[ResourceKey] = [("server", server.id), ("image", made.id)]
    action = call.start("create_image", keys, locks=keys)
    shown = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, {"image": images.view(made), "action": shown})


def enable_backup(call: Call) -> Answer:
    """Switch backups on, at a time of day that the cloud chooses."""
    server = lookup.free_server(call)
    if server.backup_window is not None:
        return action_answer(call, call.note("enable_backup", [("server", server.id)]))
    window = call.world.chances.choices.choice(_WINDOWS)
    return action_answer(call, _start(call, server, "enable_backup", {"window": window}))


def disable_backup(call: Call) -> Answer:
    """Switch backups off and delete them."""
    server = lookup.free_server(call)
    if server.backup_window is None:
        return action_answer(call, call.note("disable_backup", [("server", server.id)]))
    return action_answer(call, _start(call, server, "disable_backup", {}))


def attach_iso(call: Call) -> Answer:
    """Put an ISO image into the drive, in place of the one that is there."""
    reference = call.body.reference("iso", required=True)
    call.body.check()
    server = lookup.free_server(call)
    iso = offers.iso(reference)
    if iso is None:
        raise errors.not_found("iso", reference)
    if iso["architecture"] not in (None, server.architecture):
        raise errors.invalid_input({"iso": [f"is not for {server.architecture}"]})
    return action_answer(call, _start(call, server, "attach_iso", {"iso": iso["id"]}))


def detach_iso(call: Call) -> Answer:
    """Empty the drive."""
    server = lookup.free_server(call)
    if server.iso is None:
        return action_answer(call, call.note("detach_iso", [("server", server.id)]))
    return action_answer(call, _start(call, server, "detach_iso", {"iso": None}))


def enable_rescue(call: Call) -> Answer:
    """Boot the rescue system next time, within the hour."""
    call.body.text("type", choices=_RESCUE_TYPES)
    keys = call.body.numbers("ssh_keys")
    call.body.check()
    server = lookup.free_server(call)
    for number in keys:
        lookup.by_id(call.project.ssh_keys, number, "ssh_key")
    action = _start(call, server, "enable_rescue", {"enabled": True})
    return _secret(call, action, server_order.password(call))


def disable_rescue(call: Call) -> Answer:
    """Boot from the disk next time."""
    server = lookup.free_server(call)
    if not server.rescue_enabled:
        return action_answer(call, call.note("disable_rescue", [("server", server.id)]))
    return action_answer(call, _start(call, server, "disable_rescue", {"enabled": False}))


def reset_password(call: Call) -> Answer:
    """Give root another password, through the agent of a running server."""
    server = lookup.free_server(call)
    if server.status is not ServerStatus.RUNNING:
        raise ApiError("unsupported_error", "the server must be running")
    action = _start(call, server, "reset_password", {})
    return _secret(call, action, server_order.password(call))


def request_console(call: Call) -> Answer:
    """Answer as the API does; nobody listens at the address, as no server has a screen."""
    server = lookup.free_server(call)
    action = _start(call, server, "request_console", {})
    secret = server_order.password(call)
    answer = {
        "wss_url": f"wss://console.invalid/?server_id={server.id}&token={secret}",
        "password": server_order.password(call),
        "action": action_view(action, call.world.clock.monotonic()),
    }
    return Answer(CREATED, answer)


def change_dns_ptr(call: Call) -> Answer:
    """Change the reverse name of one of the server's primary IPs."""
    server = lookup.free_server(call)
    found = (call.project.public_ip(server.id, version) for version in ("ipv4", "ipv6"))
    owners: dict[ResourceKey, str] = {("primary_ip", ip.id): ip.ip for ip in found if ip}
    return reverse_names.change(call, ("server", server.id), owners)


def get_metrics(call: Call) -> Answer:
    """Return time series without samples: nobody measures the lab's servers."""
    lookup.server(call, call.id(kind="server"))
    return metrics.empty(call, _SERIES)


def _fits(call: Call, server: Server, wanted: dict[str, Any]) -> bool:
    same = wanted["architecture"] == server.architecture
    other = wanted["name"] != server.server_type
    offered = call.world.catalog.offered(str(wanted["name"]), server.location, call.now)
    return same and other and offered and int(wanted["disk"]) >= server.disk_size


def _start(call: Call, server: Server, command: str, arguments: dict[str, Any]) -> Action:
    return call.start(command, [("server", server.id)], arguments=arguments)


def _secret(call: Call, action: Action, password: str | None) -> Answer:
    shown = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, {"action": shown, "root_password": password})


def _post(name: str, handler: Handler, *, has_body: bool = False) -> Route:
    return Route("POST", f"/servers/{{id}}/actions/{name}", handler, has_body)


ROUTES = (
    _post("rebuild", rebuild, has_body=True),
    _post("change_type", change_type, has_body=True),
    _post("create_image", create_image),
    _post("enable_backup", enable_backup),
    _post("disable_backup", disable_backup),
    _post("attach_iso", attach_iso, has_body=True),
    _post("detach_iso", detach_iso),
    _post("enable_rescue", enable_rescue),
    _post("disable_rescue", disable_rescue),
    _post("reset_password", reset_password),
    _post("request_console", request_console),
    _post("change_dns_ptr", change_dns_ptr, has_body=True),
    Route("GET", "/servers/{id}/metrics", get_metrics),
)
