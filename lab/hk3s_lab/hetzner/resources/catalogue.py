"""What the cloud offers, read-only: types, locations, ISO images, prices."""

from typing import Any

from hk3s_lab.hetzner import errors, listing
from hk3s_lab.hetzner.call import OK, Answer, Call, Route
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import offers

_DATACENTERS_REMOVED = "https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated"
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


def list_isos(call: Call) -> Answer:
    """List the ISO images."""
    views = offers.isos()
    wanted = listing.choices(call, "architecture", _ARCHITECTURES)
    wildcard = listing.flag(call, "include_architecture_wildcard")
    if wanted:
        views = [
            v for v in views if v["architecture"] in wanted or (wildcard and not v["architecture"])
        ]
    return _page(call, "isos", views)


def get_iso(call: Call) -> Answer:
    """Return one ISO image."""
    found = offers.iso(str(call.id(kind="iso")))
    if found is None:
        raise errors.not_found("iso", call.parameters["id"])
    return Answer(OK, {"iso": found})


def list_load_balancer_types(call: Call) -> Answer:
    """List the load balancer types."""
    return _page(call, "load_balancer_types", offers.load_balancer_types())


def get_load_balancer_type(call: Call) -> Answer:
    """Return one load balancer type."""
    found = offers.load_balancer_type(str(call.id(kind="load_balancer_type")))
    if found is None:
        raise errors.not_found("load_balancer_type", call.parameters["id"])
    return Answer(OK, {"load_balancer_type": found})


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
    Route("GET", "/isos", list_isos),
    Route("GET", "/isos/{id}", get_iso),
    Route("GET", "/load_balancer_types", list_load_balancer_types),
    Route("GET", "/load_balancer_types/{id}", get_load_balancer_type),
    Route("GET", "/pricing", get_pricing),
    Route("GET", "/datacenters", datacenters),
    Route("GET", "/datacenters/{id}", datacenters),
)
