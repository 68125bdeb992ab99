"""Placement groups: spread, ten servers each."""

from typing import Any

from hk3s_lab.hetzner import listing
from hk3s_lab.hetzner.call import CREATED, NO_CONTENT, Answer, Call, timestamp
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import PlacementGroup
from hk3s_lab.hetzner.resources.kind import Kind

_TYPES = ("spread",)


def create(call: Call) -> Answer:
    """Make a group; there is nothing to wait for."""
    name, labels = call.body.name(required=True), call.body.labels()
    kind = call.body.text("type", required=True, choices=_TYPES)
    call.body.check()
    KIND.check_new(call, name)
    group = PlacementGroup(
        id=call.world.new_id(), name=name, created=call.now, labels=labels or {}, type=kind
    )
    made = view(call.project, KIND.add(call, group))
    return Answer(CREATED, {"placement_group": made, "action": None})


def list_all(call: Call) -> Answer:
    """List the groups."""
    kinds = listing.choices(call, "type", _TYPES)
    return KIND.list(call, lambda group: not kinds or group.type in kinds)


def delete(call: Call) -> Answer:
    """Delete a group; its servers stay where they are."""
    group = KIND.wanted(call)
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


KIND = Kind(
    singular="placement_group",
    table=lambda project: project.placement_groups,
    view=lambda call, group: view(call.project, group),
    has_actions=False,
)
ROUTES = KIND.routes(create=create, delete=delete, list_all=list_all)
