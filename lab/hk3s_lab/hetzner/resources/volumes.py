"""Volumes: block storage, attached to one server of its location or waiting."""

import re
from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    actions_view,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import Action, Volume
from hk3s_lab.hetzner.resources.kind import Kind

MIN_SIZE, MAX_SIZE = 10, 10240
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_FORMATS = ("ext4", "xfs")
_STATUSES = ("available", "creating")


def create(call: Call) -> Answer:
    """Make a volume in a location, or at a server that it is attached to afterwards."""
    body = call.body
    name, labels = _name(body, required=True), body.labels()
    size = body.number("size", required=True) or 0
    if size and not MIN_SIZE <= size <= MAX_SIZE:
        body.note("size", f"must be between {MIN_SIZE} and {MAX_SIZE}")
    server_id = body.number("server")
    reference = body.reference("location", required=not body.has("server"))
    location = call.world.catalog.location(reference) if reference else None
    if reference and location is None:
        body.note("location", "is not a location")
    if body.flag("automount") and not body.has("server"):
        body.note("automount", "needs a server")
    filesystem = body.text("format", choices=_FORMATS)
    body.check()
    server = lookup.server(call, server_id) if server_id is not None else None
    where = str(location["name"]) if location else ""
    if server is not None and where not in ("", server.location):
        raise errors.invalid_input({"location": ["must be the location of the server"]})
    if server is not None:
        lookup.check_unlocked(call, "server", server.id)
        _check_slots(call, server.id)
    KIND.check_new(call, name)
    volume = Volume(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels or {},
        size=size,
        location=server.location if server else where,
        status="creating",
        format=filesystem or None,
    )
    KIND.add(call, volume)
    action = call.start("create_volume", [("volume", volume.id)])
    following = [] if server is None else [_start_attach(call, volume, server.id, after=action)]
    answer = {
        "volume": view(call, volume),
        "action": action_view(action, call.world.clock.monotonic()),
        "next_actions": actions_view(call, following),
    }
    return Answer(CREATED, answer)


def list_all(call: Call) -> Answer:
    """List the volumes."""
    statuses = listing.choices(call, "status", _STATUSES)
    return KIND.list(call, lambda volume: not statuses or volume.status in statuses)


def update(call: Call) -> Answer:
    """Change name or labels."""
    _name(call.body, required=False)
    return KIND.update(call)


def delete(call: Call) -> Answer:
    """Destroy an unattached volume."""
    volume = KIND.free(call)
    if volume.protected:
        raise errors.protected("volume")
    if volume.server_id is not None:
        raise ApiError("resource_in_use", "the volume is attached to a server")
    del call.project.volumes[volume.id]
    call.project.gone.volumes.append(replace(volume, deleted=call.now))
    return Answer(NO_CONTENT)


def attach(call: Call) -> Answer:
    """Attach to a server of the same location."""
    number = call.body.number("server", required=True) or 0
    call.body.flag("automount")
    call.body.check()
    volume = KIND.free(call)
    server = lookup.server(call, number)
    if volume.server_id is not None:
        message = "the volume is already attached to a server"
        raise ApiError("volume_already_attached", message)
    if server.location != volume.location:
        message = "the server is in a different location than the volume"
        raise errors.invalid_input({"server": [message]})
    lookup.check_unlocked(call, "server", server.id)
    _check_slots(call, server.id)
    return action_answer(call, _start_attach(call, volume, server.id))


def detach(call: Call) -> Answer:
    """Take the volume from its server."""
    volume = KIND.free(call)
    if volume.server_id is None:
        raise errors.invalid_input({"id": ["is not attached"]})
    lookup.check_unlocked(call, "server", volume.server_id)
    keys = [("volume", volume.id), ("server", volume.server_id)]
    return action_answer(call, call.start("detach_volume", keys, locks=keys))


def resize(call: Call) -> Answer:
    """Let the volume grow."""
    size = call.body.number("size", required=True) or 0
    call.body.check()
    volume = KIND.free(call)
    if not volume.size < size <= MAX_SIZE:
        message = f"must be greater than {volume.size} and at most {MAX_SIZE}"
        raise errors.invalid_input({"size": [message]})
    return KIND.act(call, "resize_volume", volume, size=size)


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    volume = KIND.free(call)
    return KIND.protect(call, volume, protected=volume.protected)


def view(call: Call, volume: Volume) -> dict[str, Any]:
    """Return the volume as the API shows it."""
    return {
        "id": volume.id,
        "created": timestamp(volume.created),
        "name": volume.name,
        "server": volume.server_id,
        "location": call.world.catalog.location(volume.location),
        "size": volume.size,
        "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}",
        "protection": {"delete": volume.protected},
        "labels": dict(volume.labels),
        "status": volume.status,
        "format": volume.format,
    }


def _name(body: Body, *, required: bool) -> str:
    name = body.text("name", required=required)
    if name and not _NAME.match(name):
        body.note("name", "must be 1 to 64 alphanumerics, dashes, underscores and dots")
    return name


def _check_slots(call: Call, server_id: int) -> None:
    count = len(call.project.volumes_of(server_id)) + 1
    lookup.check_room(call, "volumes_per_server", "volumes_per_server_limit", count)


def _start_attach(
    call: Call, volume: Volume, server_id: int, after: Action | None = None
) -> Action:
    keys = [("volume", volume.id), ("server", server_id)]
    return call.start("attach_volume", keys, locks=keys, after=after)


KIND = Kind(singular="volume", table=lambda project: project.volumes, view=view)
ROUTES = (
    *KIND.routes(create=create, delete=delete, list_all=list_all, update=update),
    Route("POST", "/volumes/{id}/actions/attach", attach, has_body=True),
    Route("POST", "/volumes/{id}/actions/detach", detach),
    Route("POST", "/volumes/{id}/actions/resize", resize, has_body=True),
    Route("POST", "/volumes/{id}/actions/change_protection", change_protection, has_body=True),
)
