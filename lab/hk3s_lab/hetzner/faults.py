"""Faults on demand: which requests they hit and what happens to those."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import positive
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model import labels
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Problem
from hk3s_lab.hetzner.world import Fate

_FIRST_ERROR, _LAST_ERROR = 400, 599

HANG_SECONDS = 300.0
"""How long a hanging action runs before it fails: it must end some day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What happens to a request that a fault hits."""

    error: ApiError | None = None
    latency_seconds: float = 0.0
    drop_before: bool = False
    drop_after: bool = False
    fate: Fate | None = None


@dataclass(slots=True, kw_only=True)
class Fault:
    """A fault as it was posted, read, with its counters."""

    id: int
    posted: Mapping[str, Any]
    method: str | None
    path: re.Pattern[str] | None
    selector: labels.Selector | None
    name: str | None
    nth: int | None
    probability: float | None
    times: int | None
    effect: Effect
    matched: int = 0
    fired: int = 0

    def view(self) -> dict[str, Any]:
        """Return the fault with its counters."""
        return {"id": self.id, **self.posted, "matched": self.matched, "fired": self.fired}

    def state(self) -> dict[str, Any]:
        """Return all that `Faults.restore` needs."""
        return self.view()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a request is about, as far as faults look at it; `path` is below /v1."""

    method: str
    path: str
    names: tuple[str, ...]
    labels: tuple[Mapping[str, str], ...]


@dataclass(slots=True)
class Faults:
    """All faults in the order in which they were posted; the first that fires wins."""

    chance: Random
    active: list[Fault] = field(default_factory=list)
    _next_id: int = 1

    def add(self, posted: Mapping[str, Any]) -> Fault:
        """Read and arm a fault; raises `invalid_input`."""
        fault = read(posted, self._next_id)
        self._next_id += 1
        self.active.append(fault)
        return fault

    @staticmethod
    def check(posted: Mapping[str, Any]) -> None:
        """Raise `invalid_input` unless the fault can be read."""
        read(posted, 0)

    def clear(self, fault_id: int | None = None) -> None:
        """Disarm one fault or all."""
        self.active = [f for f in self.active if fault_id is not None and f.id != fault_id]

    def restore(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Arm faults again with their counters, as `Fault.state` gave them."""
        counters = ("id", "matched", "fired")
        for state in states:
            posted = {key: value for key, value in state.items() if key not in counters}
            fault = read(posted, state["id"])
            fault.matched, fault.fired = state["matched"], state["fired"]
            self.active.append(fault)
            self._next_id = max(self._next_id, fault.id + 1)

    def strike(self, target: Target) -> Effect | None:
        """Return the effect of the fault that hits the request."""
        effect = None
        for fault in self.active:
            if not _matches(fault, target):
                continue
            fault.matched += 1
            if effect is None and self._fires(fault):
                fault.fired += 1
                effect = fault.effect
        return effect

    def _fires(self, fault: Fault) -> bool:
        if fault.times is not None and fault.fired >= fault.times:
            return False
        if fault.nth is not None and fault.matched != fault.nth:
            return False
        return fault.probability is None or self.chance.random() < fault.probability


def read(posted: Mapping[str, Any], fault_id: int) -> Fault:
    """Read a fault as docs/lab.md describes it."""
    body = Body(posted)
    body.only("match", "nth", "probability", "times", "effect")
    match = body.nested("match")
    match.only("method", "path", "label", "name")
    fault = Fault(
        id=fault_id,
        posted=posted,
        method=match.optional_text("method"),
        path=_pattern(match),
        selector=_selector(match),
        name=match.optional_text("name"),
        nth=body.number("nth"),
        probability=_fraction(body, posted.get("probability")),
        times=body.number("times"),
        effect=_effect(body.nested("effect", required=True), posted.get("effect")),
    )
    body.check()
    return fault


def target_of(project: Project, method: str, path: str, body: Body) -> Target:
    """Find the names and labels that a request is about: of its resource, or of its body."""
    plural, _, rest = path.strip("/").partition("/")
    number = rest.partition("/")[0]
    table: Mapping[int, Any] = getattr(project, plural, {}) if plural in _TABLES else {}
    record = table.get(positive(number) or 0)
    names, found = [], []
    if record is not None:
        names.append(record.name)
        found.append(record.labels)
    elif method == "POST":
        silent = Body(body.value)
        names.append(silent.text("name"))
        found.append(silent.labels() or {})
    return Target(method=method, path=path, names=tuple(names), labels=tuple(found))


_TABLES = frozenset(
    {
        "servers",
        "networks",
        "firewalls",
        "placement_groups",
        "primary_ips",
        "ssh_keys",
        "volumes",
        "floating_ips",
        "images",
        "certificates",
        "load_balancers",
    }
)


def _matches(fault: Fault, target: Target) -> bool:
    if fault.method is not None and fault.method.upper() != target.method:
        return False
    if fault.path is not None and not fault.path.search(target.path):
        return False
    if fault.name is not None and not any(fnmatchcase(n, fault.name) for n in target.names):
        return False
    selector = fault.selector
    return selector is None or any(labels.matches(selector, found) for found in target.labels)


def _pattern(match: Body) -> re.Pattern[str] | None:
    text = match.optional_text("path")
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        match.note("path", f"is not a regular expression: {error}")
        return None


def _selector(match: Body) -> labels.Selector | None:
    text = match.optional_text("label")
    if text is None:
        return None
    try:
        return labels.parse_selector(text)
    except labels.SelectorError as error:
        match.note("label", str(error))
        return None


def _fraction(body: Body, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        body.note("probability", "must be between 0 and 1")
        return None
    return float(value)


def _effect(body: Body, posted: object) -> Effect:
    body.only("error", "latency_ms", "drop_before", "drop_after", "action_fails", "action_hangs")
    if posted == {}:
        body.note("effect", "must not be empty")
    return Effect(
        error=_error(body.nested("error")) if body.has("error") else None,
        latency_seconds=(body.number("latency_ms") or 0) / 1000,
        drop_before=body.flag("drop_before"),
        drop_after=body.flag("drop_after"),
        fate=_fate(body),
    )


def _error(body: Body) -> ApiError:
    body.only("status", "code", "message")
    code = body.text("code", required=True)
    message = body.optional_text("message") or "injected fault"
    status = body.number("status")
    if status is not None and not _FIRST_ERROR <= status <= _LAST_ERROR:
        body.note("status", "must be between 400 and 599")
    return ApiError(code, message, status=status)


def _fate(body: Body) -> Fate | None:
    if body.has("action_fails"):
        failure = body.nested("action_fails")
        failure.only("code", "message", "command")
        code = failure.text("code", required=True)
        message = failure.optional_text("message") or "injected fault"
        problem = Problem(code=code, message=message)
        return Fate(problem=problem, command=failure.optional_text("command"))
    if body.has("action_hangs"):
        hang = body.nested("action_hangs") if body.is_object("action_hangs") else Body({})
        if not body.is_object("action_hangs") and not body.flag("action_hangs"):
            return None
        hang.only("seconds", "command")
        seconds = float(hang.number("seconds") or HANG_SECONDS)
        problem = Problem(code="timeout", message="The action took too long")
        command = hang.optional_text("command")
        return Fate(problem=problem, hang_seconds=seconds, command=command)
    return None
