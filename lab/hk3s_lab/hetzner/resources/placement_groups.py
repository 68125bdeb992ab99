"""Placement groups: spread, ten servers each."""

from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import listing, lookup
from hk3s_lab.hetzner.call import CREATED, NO_CONTENT, OK, Answer, Call, Route, timestamp
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import PlacementGroup

_TYPES = ("spread",)


def create(call: Call) -> Answer:
    """Make a group; there is nothing to wait for."""
    name, labels = call.body.name(required=True), call.body.labels()
    kind = call.body.text("type", required=True, choices=_TYPES)
    call.body.check()
    groups = call.project.placement_groups
    lookup.check_name(groups.values(), name)
    lookup.check_room(call, "placement_groups", "placement_group_limit", len(groups) + 1)
    group = PlacementGroup(
        id=call.world.new_id(), name=name, created=call.now, labels=labels or {}, type=kind
    )
    groups[group.id] = group
    call.touched.append(group.id)
    return Answer(CREATED, {"placement_group": view(call.project, group), "action": None})


def list_all(call: Call) -> Answer:
    """List the groups."""
    kinds = listing.choices(call, "type", _TYPES)
    found = listing.by_name_and_labels(call, call.project.placement_groups.values())
    found = [group for group in found if not kinds or group.type in kinds]
    ordered = listing.ordered(call, found, listing.BY_ID_NAME_OR_CREATED)
    return listing.page(call, "placement_groups", ordered, lambda group: view(call.project, group))


def get(call: Call) -> Answer:
    """Return one group."""
    group = lookup.wanted(call, call.project.placement_groups, "placement_group")
    return Answer(OK, {"placement_group": view(call.project, group)})


def update(call: Call) -> Answer:
    """Change name or labels."""
    groups = call.project.placement_groups
    group = lookup.wanted(call, groups, "placement_group")
    name, labels = lookup.new_name_and_labels(call.body, group, groups.values())
    groups[group.id] = changed = replace(group, name=name, labels=labels)
    return Answer(OK, {"placement_group": view(call.project, changed)})


def delete(call: Call) -> Answer:
    """Delete a group; its servers stay where they are."""
    group = lookup.wanted(call, call.project.placement_groups, "placement_group")
    for server_id in call.project.group_members(group.id):
        call.project.update_server(server_id, placement_group=None)
    del call.project.placement_groups[group.id]
    return Answer(NO_CONTENT)


def view(project: Project, group: PlacementGroup) -> dict[str, Any]:
    """Return the group as the API shows it."""
    return {
        "id": group.id,
        "name": group.name,
        "labels": dict(group.labels),
        "type": group.type,
        "created": timestamp(group.created),
        "servers": project.group_members(group.id),
    }


ROUTES = (
    Route("GET", "/placement_groups", list_all),
    Route("POST", "/placement_groups", create, has_body=True),
    Route("GET", "/placement_groups/{id}", get),
    Route("PUT", "/placement_groups/{id}", update, has_body=True),
    Route("DELETE", "/placement_groups/{id}", delete),
)
