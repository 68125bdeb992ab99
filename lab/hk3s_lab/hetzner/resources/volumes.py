"""Volumes: created unattached, listed, deleted."""

import re
from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.call import (
    CREATED,
    NO_CONTENT,
    OK,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import Volume
from hk3s_lab.hetzner.resources import actions

MIN_SIZE, MAX_SIZE = 10, 10240
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_FORMATS = ("ext4", "xfs")
_STATUSES = ("available", "creating")


def create(call: Call) -> Answer:
    """Make a volume in a location."""
    body = call.body
    name, labels = body.text("name", required=True), body.labels()
    if name and not _NAME.match(name):
        body.note("name", "must be 1 to 64 alphanumerics, dashes, underscores and dots")
    size = body.number("size", required=True) or 0
    if size and not MIN_SIZE <= size <= MAX_SIZE:
        body.note("size", f"must be between {MIN_SIZE} and {MAX_SIZE}")
    if body.has("server"):
        body.note("server", "attaching volumes is not supported here")
    location = call.world.catalog.location(body.reference("location", required=True))
    if location is None and body.has("location"):
        body.note("location", "is not a location")
    filesystem = body.text("format", choices=_FORMATS)
    body.check()
    volumes = call.project.volumes
    lookup.check_name(volumes.values(), name)
    lookup.check_room(call, "volumes", "volume_limit", len(volumes) + 1)
    volume = Volume(
        id=call.world.new_id(),
        name=name,
        created=call.now,
        labels=labels or {},
        size=size,
        location=str((location or {})["name"]),
        status="creating",
        format=filesystem or None,
    )
    volumes[volume.id] = volume
    call.touched.append(volume.id)
    action = call.start("create_volume", [("volume", volume.id)])
    shown = action_view(action, call.world.clock.monotonic())
    return Answer(CREATED, {"volume": view(call, volume), "action": shown, "next_actions": []})


def list_all(call: Call) -> Answer:
    """List the volumes."""
    statuses = listing.choices(call, "status", _STATUSES)
    found = listing.by_name_and_labels(call, call.project.volumes.values())
    found = [volume for volume in found if not statuses or volume.status in statuses]
    ordered = listing.ordered(call, found, listing.BY_ID_NAME_OR_CREATED)
    return listing.page(call, "volumes", ordered, lambda volume: view(call, volume))


def get(call: Call) -> Answer:
    """Return one volume."""
    volume = lookup.wanted(call, call.project.volumes, "volume")
    return Answer(OK, {"volume": view(call, volume)})


def update(call: Call) -> Answer:
    """Change name or labels."""
    volumes = call.project.volumes
    volume = lookup.wanted(call, volumes, "volume")
    name, labels = lookup.new_name_and_labels(call.body, volume, volumes.values())
    volumes[volume.id] = changed = replace(volume, name=name, labels=labels)
    return Answer(OK, {"volume": view(call, changed)})


def delete(call: Call) -> Answer:
    """Destroy an unattached volume."""
    volume = lookup.wanted(call, call.project.volumes, "volume")
    lookup.check_unlocked(call, "volume", volume.id)
    if volume.protected:
        raise errors.protected("volume")
    if volume.server_id is not None:
        raise ApiError("resource_in_use", "the volume is attached to a server")
    del call.project.volumes[volume.id]
    return Answer(NO_CONTENT)


def change_protection(call: Call) -> Answer:
    """Protect against deletion, or no longer."""
    volume = lookup.wanted(call, call.project.volumes, "volume")
    lookup.check_unlocked(call, "volume", volume.id)
    wanted = call.body.optional_flag("delete", volume.protected)
    call.body.check()
    key = [("volume", volume.id)]
    return action_answer(call, call.start("change_protection", key, arguments={"delete": wanted}))


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


ROUTES = (
    Route("GET", "/volumes", list_all),
    Route("POST", "/volumes", create, has_body=True),
    *actions.routes_of("volumes", "volume"),
    Route("GET", "/volumes/{id}", get),
    Route("PUT", "/volumes/{id}", update, has_body=True),
    Route("DELETE", "/volumes/{id}", delete),
    Route("POST", "/volumes/{id}/actions/change_protection", change_protection, has_body=True),
)
