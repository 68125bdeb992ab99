"""What the cloud offers, read-only: server types, locations, images, prices."""

from typing import Any

from hk3s_lab.hetzner import errors, listing
from hk3s_lab.hetzner.call import OK, Answer, Call, Route
from hk3s_lab.hetzner.errors import ApiError

_DATACENTERS_REMOVED = "https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated"
_IMAGE_TYPES = ("system", "app", "snapshot", "backup")
_IMAGE_STATUSES = ("available", "creating", "unavailable")
_ARCHITECTURES = ("x86", "arm")


def list_server_types(call: Call) -> Answer:
    """List the server types with the stock of the moment."""
    return _page(call, "server_types", call.world.catalog.server_types())


def get_server_type(call: Call) -> Answer:
    """Return one server type."""
    found = call.world.catalog.server_type(str(call.id(kind="server_type")))
    if found is None:
        raise errors.not_found("server_type", call.parameters["id"])
    return Answer(OK, {"server_type": call.world.catalog.view(found)})


def list_locations(call: Call) -> Answer:
    """List the locations."""
    ordered = listing.ordered(call, call.world.catalog.locations, listing.BY_ID_OR_NAME)
    return _page(call, "locations", ordered)


def get_location(call: Call) -> Answer:
    """Return one location."""
    found = call.world.catalog.location(str(call.id(kind="location")))
    if found is None:
        raise errors.not_found("location", call.parameters["id"])
    return Answer(OK, {"location": found})


def list_images(call: Call) -> Answer:
    """List the images."""
    views = call.world.catalog.images()
    filters = (
        ("architecture", _ARCHITECTURES),
        ("type", _IMAGE_TYPES),
        ("status", _IMAGE_STATUSES),
    )
    for name, allowed in filters:
        values = listing.choices(call, name, allowed)
        views = [view for view in views if not values or view[name] in values]
    for text in call.values("label_selector"):
        if listing.selector(text, "label_selector"):
            views = []  # system images have no labels
    if call.values("bound_to"):
        views = []
    return _page(call, "images", listing.ordered(call, views, listing.BY_ID_NAME_OR_CREATED))


def get_image(call: Call) -> Answer:
    """Return one image."""
    number = call.id(kind="image")
    for view in call.world.catalog.images():
        if view["id"] == number:
            return Answer(OK, {"image": view})
    raise errors.not_found("image", number)


def get_pricing(call: Call) -> Answer:
    """Return the price list."""
    return Answer(OK, {"pricing": call.world.catalog.pricing()})


def datacenters(_call: Call) -> Answer:
    """Refuse: datacenters left the API on 2026-10-01."""
    raise ApiError(
        "deprecated_api_endpoint",
        "datacenters were removed, use locations and the locations of server types",
        details={"announcement": _DATACENTERS_REMOVED},
    )


def _page(call: Call, key: str, views: list[dict[str, Any]]) -> Answer:
    names = call.values("name")
    chosen = [view for view in views if not names or view["name"] in names]
    return listing.page(call, key, chosen, lambda view: view)


ROUTES = (
    Route("GET", "/server_types", list_server_types),
    Route("GET", "/server_types/{id}", get_server_type),
    Route("GET", "/locations", list_locations),
    Route("GET", "/locations/{id}", get_location),
    Route("GET", "/images", list_images),
    Route("GET", "/images/{id}", get_image),
    Route("GET", "/pricing", get_pricing),
    Route("GET", "/datacenters", datacenters),
    Route("GET", "/datacenters/{id}", datacenters),
)
