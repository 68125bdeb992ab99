"""Reading services of load balancers: fields, defaults, bounds."""

import re
from collections.abc import Mapping
from typing import Any

from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Call
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import balancers
from hk3s_lab.hetzner.model.balancers import LoadBalancer, Service, service_key

PROTOCOLS = ("tcp", "http", "https")
_HEALTH_PROTOCOLS = ("tcp", "http")
_HEALTH_FIELDS = ("protocol", "port", "interval", "timeout", "retries", "http")
_HEALTH_HTTP_FIELDS = ("domain", "path", "response", "status_codes", "tls")
_MAX_PORT = 65535
_MAX_DOMAIN, _MAX_PATH, _MAX_RESPONSE, _MAX_CODES, _MAX_COOKIE = 128, 256, 256, 20, 100
_STATUS_CODE = re.compile(r"[1-5?*][0-9?*]{0,2}\Z")
Json = dict[str, Any]


def read(call: Call, body: Body, before: Service | None = None) -> Service:
    """Read a service whole, or what changes of one; problems are noted in the body."""
    known: Mapping[str, Any] = before or {}
    protocol = body.text("protocol", required=before is None, choices=PROTOCOLS)
    protocol = protocol or str(known.get("protocol", "tcp"))
    listen, destination = balancers.DEFAULT_PORTS.get(protocol, (None, None))
    listen_port = _port(body, "listen_port", known.get("listen_port", listen))
    destination_port = _port(body, "destination_port", known.get("destination_port", destination))
    service: Json = {
        "protocol": protocol,
        "listen_port": listen_port,
        "destination_port": destination_port,
        "proxyprotocol": body.flag("proxyprotocol", bool(known.get("proxyprotocol"))),
    }
    if protocol != "tcp":
        service["http"] = _http(call, body.nested("http"), protocol, known.get("http", {}))
    elif body.has("http"):
        body.note("http", "is only for http and https")
    health = known.get("health_check") or {
        "protocol": "tcp" if protocol == "tcp" else "http",
        "port": destination_port,
    }
    check = body.nested("health_check")
    if before is None and body.has("health_check"):
        check.text("protocol", required=True)  # the rest has defaults
    service["health_check"] = _health(check, health)
    return service


def check_room(balancer: LoadBalancer, service: Service, *, replaces: int | None = None) -> None:
    """Raise unless the load balancer's other services leave the port free."""
    ports = {service_key(other) for other in balancer.services} - {replaces}
    if service_key(service) in ports:
        raise ApiError(
            "source_port_already_used", "the listen port is already used by another service"
        )


def _port(body: Body, field: str, default: int | None) -> int:
    port = body.number(field, required=default is None)
    if port is not None and port > _MAX_PORT:
        body.note(field, f"must be at most {_MAX_PORT}")
    return port or default or 0


def _http(call: Call, body: Body, protocol: str, known: Mapping[str, Any]) -> Json:
    cookie = body.text("cookie_name") or known.get("cookie_name", balancers.COOKIE_NAME)
    if len(cookie) > _MAX_COOKIE:
        body.note("cookie_name", "is too long")
    http: Json = {
        "cookie_name": cookie,
        "cookie_lifetime": known.get("cookie_lifetime", balancers.COOKIE_LIFETIME),
        "timeout_idle": known.get("timeout_idle", balancers.TIMEOUT_IDLE),
        "sticky_sessions": body.flag("sticky_sessions", bool(known.get("sticky_sessions"))),
        "redirect_http": body.flag("redirect_http", bool(known.get("redirect_http"))),
        "certificates": list(known.get("certificates", [])),
    }
    for field, bounds in balancers.HTTP_BOUNDS.items():
        http[field] = _bounded(body, field, bounds, http[field])
    if body.has("certificates"):
        http["certificates"] = list(dict.fromkeys(body.numbers("certificates")))
    if protocol == "http" and (http["redirect_http"] or http["certificates"]):
        body.note("certificates", "certificates and redirect_http are only for https")
    for number in http["certificates"]:
        if number not in call.project.certificates:
            body.note("certificates", f"there is no certificate {number}")
    return http


def _health(body: Body, known: Mapping[str, Any]) -> Json:
    body.only(*_HEALTH_FIELDS)
    protocol = body.text("protocol", choices=_HEALTH_PROTOCOLS) or known["protocol"]
    check: Json = {"protocol": protocol, "port": _port(body, "port", known["port"])}
    for field, bounds in balancers.HEALTH_BOUNDS.items():
        default = known.get(field, balancers.HEALTH_DEFAULTS[field])
        check[field] = _bounded(body, field, bounds, default)
    if protocol == "http":
        check["http"] = _health_http(body.nested("http"), known.get("http", {}))
    return check


def _health_http(body: Body, known: Mapping[str, Any]) -> Json:
    body.only(*_HEALTH_HTTP_FIELDS)
    http: Json = {
        "domain": body.text("domain") or known.get("domain", ""),
        "path": body.text("path") or known.get("path", "/"),
        "response": body.text("response") or known.get("response", ""),
        "status_codes": list(known.get("status_codes", balancers.STATUS_CODES)),
        "tls": body.flag("tls", bool(known.get("tls"))),
    }
    for field, longest in (
        ("domain", _MAX_DOMAIN),
        ("path", _MAX_PATH),
        ("response", _MAX_RESPONSE),
    ):
        if len(http[field]) > longest:
            body.note(field, "is too long")
    if body.has("status_codes"):
        http["status_codes"] = codes = body.texts("status_codes")
        if len(codes) > _MAX_CODES or not all(_STATUS_CODE.match(code) for code in codes):
            body.note("status_codes", f"must hold at most {_MAX_CODES} codes such as 200 or 2??")
    return http


def _bounded(body: Body, field: str, bounds: tuple[int, int], default: int) -> int:
    value = body.number(field)
    if value is not None and not bounds[0] <= value <= bounds[1]:
        body.note(field, f"must be between {bounds[0]} and {bounds[1]}")
    return value or default


def of_port(balancer: LoadBalancer, port: int) -> Service:
    """Return the service that listens on a port; raises `not_found`."""
    for service in balancer.services:
        if service_key(service) == port:
            return service
    raise errors.not_found("service", port)
