"""The way of a request: route, token, rate, method, faults, then the resource's handler."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hk3s_lab.hetzner import body as bodies
from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.call import Answer, Call, Route
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.faults import Effect, Faults, target_of
from hk3s_lab.hetzner.model.project import DEFAULT_LIMITS
from hk3s_lab.hetzner.ratelimit import Bucket
from hk3s_lab.hetzner.resources import (
    actions,
    catalogue,
    certificates,
    firewalls,
    floating_ips,
    images,
    load_balancer_actions,
    load_balancers,
    networks,
    placement_groups,
    primary_ips,
    server_actions,
    server_options,
    servers,
    ssh_keys,
    volumes,
)
from hk3s_lab.hetzner.routing import Match, Router
from hk3s_lab.hetzner.world import World

BASE = "/v1"
TOKEN_LENGTH = 64
NO_EFFECT = Effect()

ROUTES: tuple[Route, ...] = (
    *actions.ROUTES,
    *catalogue.ROUTES,
    *certificates.ROUTES,
    *firewalls.ROUTES,
    *floating_ips.ROUTES,
    *images.ROUTES,
    *load_balancers.ROUTES,
    *load_balancer_actions.ROUTES,
    *networks.ROUTES,
    *placement_groups.ROUTES,
    *primary_ips.ROUTES,
    *server_actions.ROUTES,
    *server_options.ROUTES,
    *servers.ROUTES,
    *ssh_keys.ROUTES,
    *volumes.ROUTES,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire, except for headers that every answer has."""

    status: int
    content: bytes
    headers: Mapping[str, str]
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is known, and what it may."""

    project: str
    readonly: bool = False


@dataclass(slots=True, kw_only=True)
class Visit:
    """A request on its way, with what became known about it so far."""

    method: str
    path: str
    """Below /v1."""
    url: str
    query: Sequence[tuple[str, str]]
    authorization: str
    raw_body: bytes | None
    """None when the body was larger than the server reads."""
    match: Match | None = None
    token: Token | None = None
    headers: dict[str, str] = field(default_factory=dict)
    touched: list[int] = field(default_factory=list)
    body: bodies.Body = field(default_factory=lambda: bodies.Body({}))
    route: Route | None = None


class Gate:
    """Lets requests through to the resources, one at a time and without waiting."""

    def __init__(self, world: World, faults: Faults, tokens: Mapping[str, Token] | None) -> None:
        self._world = world
        self._faults = faults
        self._tokens = tokens
        self._router = Router(ROUTES)
        self.buckets: dict[str | None, Bucket] = {}

    def admit(self, visit: Visit) -> Effect:
        """Check all that comes before the resource; raises `ApiError`.

        Returns:
            What a fault does to the request.
        """
        visit.match = self._router.match(visit.path)
        secret = _bearer(visit.authorization)
        visit.token = self._known(secret)
        self._count(visit, secret)
        if visit.match is None:
            raise errors.route_not_found()
        if visit.token is None:
            message = "the token you have provided is invalid" if secret else "token is required"
            raise ApiError("unauthorized", message)
        visit.route = visit.match.routes.get(visit.method)
        if visit.route is None:
            raise ApiError("method_not_allowed", "the method is not allowed for this path")
        if visit.token.readonly and visit.method != "GET":
            raise ApiError("token_readonly", "the token is only allowed to perform GET requests")
        if visit.raw_body is None:
            raise errors.invalid_input({"body": ["is too large"]})
        if visit.method != "GET":
            visit.body = bodies.parse(visit.raw_body, required=visit.route.has_body)
        self._world.settle()
        project = self._world.project(visit.token.project)
        target = target_of(project, visit.method, visit.path, visit.body)
        return self._faults.strike(target) or NO_EFFECT

    def serve(self, visit: Visit, effect: Effect) -> Reply:
        """Let the resource answer an admitted request; raises `ApiError`."""
        if visit.match is None or visit.token is None or visit.route is None:
            raise ValueError("the request was not admitted")
        self._world.settle()
        call = Call(
            world=self._world,
            project=self._world.project(visit.token.project),
            url=visit.url,
            parameters=visit.match.parameters,
            query=visit.query,
            body=visit.body,
            fate=effect.fate,
            touched=visit.touched,
        )
        answer = visit.route.handler(call)
        return reply(answer, visit.headers)

    def _known(self, secret: str) -> Token | None:
        if self._tokens is not None:
            return self._tokens.get(secret)
        if len(secret) != TOKEN_LENGTH:
            return None
        return Token(f"project-{hashlib.sha256(secret.encode()).hexdigest()[:8]}")

    def _count(self, visit: Visit, secret: str) -> None:
        name = visit.token.project if visit.token else None
        limits = self._world.project(name).limits if name else DEFAULT_LIMITS
        limit = limits["requests_per_hour"]
        bucket = self.buckets.setdefault(name, Bucket())
        allowed = bucket.take(limit, self._world.clock.monotonic())
        reset = int(self._world.clock.now().timestamp()) + bucket.full_after(limit)
        visit.headers |= {
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": str(bucket.remaining()),
            "RateLimit-Reset": str(reset),
        }
        if not allowed:
            # The real message quotes half of the token; clients must not log it as it is.
            half = secret[: len(secret) // 2]
            message = f"limit of {limit} requests per hour reached for token {half}..."
            raise ApiError("rate_limit_exceeded", message)


def reply(answer: Answer, headers: Mapping[str, str]) -> Reply:
    """Write a successful answer."""
    content = b"" if answer.body is None else _dump(answer.body)
    return Reply(answer.status, content, {**headers, **answer.headers})


def failure(error: ApiError, headers: Mapping[str, str]) -> Reply:
    """Write an error."""
    return Reply(error.status, _dump(error.body()), dict(headers), error.code)


def _dump(value: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, which a client may have sent
        return json.dumps(value, separators=(",", ":")).encode()


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
