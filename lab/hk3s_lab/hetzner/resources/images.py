"""Images: the system's, and the snapshots and backups of the project."""

from dataclasses import replace
from typing import Any

from hk3s_lab.hetzner import errors, listing, lookup
from hk3s_lab.hetzner.call import (
    NO_CONTENT,
    OK,
    Answer,
    Call,
    Route,
    action_answer,
    positive,
    timestamp,
)
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.records import Image
from hk3s_lab.hetzner.resources import actions

_TYPES = ("system", "app", "snapshot", "backup")
_STATUSES = ("available", "creating", "unavailable")
_ARCHITECTURES = ("x86", "arm")
_FLAVORS = ("ubuntu", "centos", "debian", "fedora", "rocky", "alma", "opensuse")
_FILTERS = (("architecture", _ARCHITECTURES), ("type", _TYPES), ("status", _STATUSES))


def list_all(call: Call) -> Answer:
    """List the images; those without a name come last when sorted by name."""
    views = [*call.world.catalog.images(), *(view(i) for i in call.project.images.values())]
    for field, allowed in _FILTERS:
        values = listing.choices(call, field, allowed)
        views = [v for v in views if not values or v[field] in values]
    names, bound = call.values("name"), call.values("bound_to")
    views = [v for v in views if not names or v["name"] in names]
    views = [v for v in views if not bound or str(v["bound_to"]) in bound]
    for text in call.values("label_selector"):
        terms = listing.selector(text, "label_selector")
        views = [v for v in views if listing.selected(terms, v["labels"])]
    listing.flag(call, "include_deprecated")  # no image of the catalogue is deprecated
    ordered = listing.ordered(call, views, listing.BY_ID_NAME_OR_CREATED)
    return listing.page(call, "images", ordered, lambda v: v)


def get(call: Call) -> Answer:
    """Return one image."""
    number = call.id(kind="image")
    found = find(call, number)
    if found is None:
        raise errors.not_found("image", number)
    return Answer(OK, {"image": found})


def update(call: Call) -> Answer:
    """Change description or labels, or keep a backup as a snapshot."""
    image = _own(call)
    body = call.body
    description, labels = body.optional_text("description"), body.labels()
    wanted = body.text("type", choices=("snapshot",))
    body.check()
    changed = replace(
        image,
        description=image.description if description is None else description,
        labels=image.labels if labels is None else labels,
    )
    if wanted and image.type == "backup":
        _check_room(call)
        changed = replace(changed, type="snapshot", bound_to=None)
    call.project.images[image.id] = changed
    return Answer(OK, {"image": view(changed)})


def delete(call: Call) -> Answer:
    """Delete a snapshot or backup; servers made from it stay."""
    image = _own(call)
    lookup.check_unlocked(call, "image", image.id)
    if image.protected:
        raise errors.protected("image")
    del call.project.images[image.id]
    call.project.gone.images.append(replace(image, deleted=call.now))
    return Answer(NO_CONTENT)


def change_protection(call: Call) -> Answer:
    """Protect a snapshot against deletion, or no longer."""
    image = _own(call)
    lookup.check_unlocked(call, "image", image.id)
    wanted = call.body.optional_flag("delete", image.protected)
    call.body.check()
    if image.type != "snapshot":
        raise ApiError("unsupported_error", "only snapshots can be protected")
    key = [("image", image.id)]
    return action_answer(call, call.start("change_protection", key, arguments={"delete": wanted}))


def new(call: Call, image: Image) -> Image:
    """Add an image to the project."""
    if image.type == "snapshot":
        _check_room(call)
    made = replace(image, id=call.world.new_id())
    call.project.images[made.id] = made
    call.touched.append(made.id)
    return made


def find(call: Call, number: int) -> dict[str, Any] | None:
    """Return an image as the API shows it; None when there is none with the id."""
    own = call.project.images.get(number)
    return view(own) if own else call.world.catalog.image(str(number), "")


def resolve(call: Call, reference: str, architecture: str) -> dict[str, Any] | None:
    """Return the image that a request names by id, or by name and architecture."""
    own = call.project.images.get(positive(reference) or 0)
    return view(own) if own else call.world.catalog.image(reference, architecture)


def base_name(call: Call, image: dict[str, Any]) -> str:
    """Return the name of the system image that a disk made from the image began with."""
    own = call.project.images.get(image["id"])
    return own.base if own else str(image["name"])


def view(image: Image) -> dict[str, Any]:
    """Return a snapshot or backup as the API shows it."""
    flavor, _, version = image.base.partition("-")
    return {
        "id": image.id,
        "type": image.type,
        "status": image.status,
        "name": None,
        "description": image.description,
        "image_size": image.image_size,
        "disk_size": image.disk_size,
        "created": timestamp(image.created),
        "created_from": {"id": image.created_from, "name": image.created_from_name},
        "bound_to": image.bound_to,
        "os_flavor": flavor if flavor in _FLAVORS else "unknown",
        "os_version": version or None,
        "rapid_deploy": False,
        "protection": {"delete": image.protected},
        "deprecated": None,
        "deprecation": None,
        "deleted": None,
        "labels": dict(image.labels),
        "architecture": image.architecture,
    }


def _own(call: Call) -> Image:
    number = call.id(kind="image")
    if number not in call.project.images and find(call, number) is not None:
        raise ApiError("unsupported_error", "only snapshots and backups can be changed")
    return lookup.wanted(call, call.project.images, "image")


def _check_room(call: Call) -> None:
    snapshots = sum(1 for image in call.project.images.values() if image.type == "snapshot")
    lookup.check_room(call, "snapshots", "snapshot_limit", snapshots + 1)


ROUTES = (
    Route("GET", "/images", list_all),
    *actions.routes_of("images", "image"),
    Route("GET", "/images/{id}", get),
    Route("PUT", "/images/{id}", update, has_body=True),
    Route("DELETE", "/images/{id}", delete),
    Route("POST", "/images/{id}/actions/change_protection", change_protection, has_body=True),
)
