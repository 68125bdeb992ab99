"""Kinds of which a project of this emulator never has any: their lists are empty."""

from hk3s_lab.hetzner import errors, listing
from hk3s_lab.hetzner.call import Answer, Call, Route

_KINDS = {
    "load_balancers": "load_balancer",
    "floating_ips": "floating_ip",
    "certificates": "certificate",
}


def _routes(plural: str, kind: str) -> tuple[Route, Route]:
    def list_all(call: Call) -> Answer:
        nothing: list[dict[str, object]] = []
        ordered = listing.ordered(call, nothing, listing.BY_ID_NAME_OR_CREATED)
        return listing.page(call, plural, ordered, lambda view: view)

    def get(call: Call) -> Answer:
        raise errors.not_found(kind, call.parameters["id"])

    return Route("GET", f"/{plural}", list_all), Route("GET", f"/{plural}/{{id}}", get)


ROUTES = tuple(route for plural, kind in _KINDS.items() for route in _routes(plural, kind))
