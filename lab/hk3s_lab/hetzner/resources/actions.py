"""Actions: by id, and the lists below each resource."""

from collections.abc import Iterable, Mapping

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.call import (
    OK,
    Answer,
    Call,
    Route,
    action_answer,
    action_view,
    actions_view,
    positive,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import Action, ActionStatus

_SORTS = ("id", "command", "status", "started", "finished")
_LISTING_REMOVED = (
    "https://docs.hetzner.cloud/changelog"
    "#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed"
)


def get(call: Call) -> Answer:
    """Return one action."""
    action = lookup.by_id(call.project.actions, call.id(kind="action"), "action")
    return action_answer(call, action, OK)


def get_many(call: Call) -> Answer:
    """Return the actions whose ids are given; unknown ones are left out."""
    ids = _ids(call)
    if not ids:
        details = {"announcement": _LISTING_REMOVED}
        message = "listing all actions is no longer possible, give their ids"
        raise ApiError("deprecated_api_endpoint", message, details=details)
    known = [call.project.actions[i] for i in dict.fromkeys(ids) if i in call.project.actions]
    return Answer(OK, {"actions": actions_view(call, known)})


def routes_of(plural: str, kind: str) -> tuple[Route, ...]:
    """Return the four ways to read the actions of one kind of resource."""

    def all_of_kind(call: Call) -> Answer:
        return _listed(call, _touching(call.project.actions, kind))

    def one_of_kind(call: Call) -> Answer:
        found = _touching(call.project.actions, kind)
        number = call.id(kind="action")
        return action_answer(call, lookup.by_id({a.id: a for a in found}, number, "action"), OK)

    def all_of_one(call: Call) -> Answer:
        return _listed(call, _touching(call.project.actions, kind, _existing(call, plural, kind)))

    def one_of_one(call: Call) -> Answer:
        found = _touching(call.project.actions, kind, _existing(call, plural, kind))
        number = call.id("action_id", "action")
        return action_answer(call, lookup.by_id({a.id: a for a in found}, number, "action"), OK)

    return (
        Route("GET", f"/{plural}/actions", all_of_kind),
        Route("GET", f"/{plural}/actions/{{id}}", one_of_kind),
        Route("GET", f"/{plural}/{{id}}/actions", all_of_one),
        Route("GET", f"/{plural}/{{id}}/actions/{{action_id}}", one_of_one),
    )


ROUTES = (Route("GET", "/actions", get_many), Route("GET", "/actions/{id}", get))


def _existing(call: Call, plural: str, kind: str) -> int:
    number = call.id(kind=kind)
    if kind == "server":
        return lookup.server(call, number).id
    if kind == "image" and call.world.catalog.image(str(number), "") is not None:
        return number
    tables: Mapping[str, Mapping[int, object]] = {
        "networks": call.project.networks,
        "firewalls": call.project.firewalls,
        "primary_ips": call.project.primary_ips,
        "floating_ips": call.project.floating_ips,
        "volumes": call.project.volumes,
        "images": call.project.images,
        "certificates": call.project.certificates,
        "load_balancers": call.project.load_balancers,
    }
    lookup.by_id(tables[plural], number, kind)
    return number


def _touching(
    actions: Mapping[int, Action], kind: str, number: int | None = None
) -> Iterable[Action]:
    return (
        action
        for action in actions.values()
        if any(k == kind and number in (None, n) for k, n in action.resources)
    )


def _listed(call: Call, actions: Iterable[Action]) -> Answer:
    statuses = listing.choices(call, "status", [status.value for status in ActionStatus])
    ids = _ids(call)
    chosen = [
        action
        for action in actions
        if (not statuses or action.status.value in statuses) and (not ids or action.id in ids)
    ]
    monotonic = call.world.clock.monotonic()
    chosen = listing.ordered(call, chosen, _SORTS)
    return listing.page(call, "actions", chosen, lambda action: action_view(action, monotonic))


def _ids(call: Call) -> list[int]:
    ids = []
    for text in call.values("id"):
        number = positive(text)
        if number is None:
            raise errors.invalid_input({"id": ["must be an integer"]})
        ids.append(number)
    return ids
