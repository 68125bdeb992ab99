"""What the lab can do to its cloud: stock, limits, faults, accidents, and scripts of these.

The control endpoint and scenario files pull the same levers; everything is checked before
anything is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.errors import invalid_input
from hk3s_lab.hetzner.events import NetworkRoutesChanged
from hk3s_lab.hetzner.faults import Fault, Faults
from hk3s_lab.hetzner.model import labels
from hk3s_lab.hetzner.model.project import DEFAULT_LIMITS, Project
from hk3s_lab.hetzner.model.records import Server
from hk3s_lab.hetzner.world import World

ACCIDENTS = ("vanish", "reboot", "nat_loss", "nat_back")
SETTINGS = ("stock", "limits", "faults", "clear_faults")
Json = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Levers:
    """Hands on the world and its faults."""

    world: World
    faults: Faults

    def check(self, step: Json) -> None:
        """Raise `invalid_input` unless `pull` would take the step."""
        problems: dict[str, list[str]] = {}
        for key in step:
            if key not in (*ACCIDENTS, *SETTINGS):
                problems[key] = ["is not a known lever"]
        if problems:
            raise invalid_input(problems)
        if "stock" in step:
            self._check_stock(_mapping(step, "stock"))
        if "limits" in step:
            _check_limits(_mapping(step, "limits"))
        for fault in _faults(step):
            self.faults.check(fault)
        for accident in ACCIDENTS:
            if accident in step:
                _target(_mapping(step, accident))

    def pull(self, step: Json) -> list[int]:
        """Do what a step says; returns the ids of the servers that an accident hit."""
        self.check(step)
        if "stock" in step:
            self.world.catalog.override(step["stock"])
        if "limits" in step:
            self.world.set_limits(step["limits"])
        if step.get("clear_faults"):
            self.faults.clear()
        for fault in _faults(step):
            self.faults.add(fault)
        hit: list[int] = []
        for accident in ACCIDENTS:
            if accident in step:
                hit += self._strike(accident, step[accident])
        return hit

    def arm(self, posted: Sequence[Json]) -> list[Fault]:
        """Arm faults, all or none."""
        for fault in posted:
            self.faults.check(fault)
        return [self.faults.add(fault) for fault in posted]

    def load(self, scenario: Json) -> None:
        """Pull the levers of a scenario now, and queue its timeline; all or nothing."""
        steps = scenario.get("timeline", [])
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise invalid_input({"timeline": ["must be a list of steps"]})
        now = {key: value for key, value in scenario.items() if key != "timeline"}
        self.check(now)
        moments = []
        for step in steps:
            at = step.get("at")
            if isinstance(at, bool) or not isinstance(at, (int, float)) or at < 0:
                raise invalid_input({"timeline.at": ["must be seconds, not negative"]})
            what = {key: value for key, value in step.items() if key != "at"}
            self.check(what)
            moments.append((float(at), what))
        self.pull(now)
        for at, what in moments:
            self.world.queue_step(at, what)

    def _check_stock(self, changes: Json) -> None:
        # By identity where it matters: 1 equals True and would be neither in stock nor out.
        if not all(v is None or isinstance(v, bool) or v == "refused" for v in changes.values()):
            raise invalid_input({"stock": ['values must be true, false, "refused" or null']})
        unknown = [name for name in changes if not self.world.catalog.is_pattern(name)]
        if unknown:
            raise invalid_input({name: ["matches no type/location"] for name in unknown})

    def _strike(self, accident: str, target: Json) -> list[int]:
        hit = []
        for project, server in list(self._targets(target)):
            if accident == "vanish":
                struck = self.world.vanish(project, server.id)
            elif accident == "reboot":
                struck = self.world.power_cycle(project, server.id)
            else:
                struck = self._nat(project, server, lost=accident == "nat_loss")
            if struck:
                hit.append(server.id)
        return hit

    def _nat(self, project: Project, server: Server, *, lost: bool) -> bool:
        """Let the routes through a server lead nowhere, or work again."""
        if (server.id in self.world.nat_lost) is lost:
            return False
        if lost:
            self.world.nat_lost.add(server.id)
        else:
            self.world.nat_lost.discard(server.id)
        addresses = {nic.ip for nic in server.nics}
        for network in project.networks.values():
            if any(route.gateway in addresses for route in network.routes):
                self.world.emit(NetworkRoutesChanged(network.id))
        return True

    def _targets(self, target: Json) -> list[tuple[Project, Server]]:
        wanted = _target(target)
        return [
            (project, server)
            for project in self.world.projects.values()
            if wanted.project in (None, project.name)
            for server in project.live_servers()
            if wanted.id in (None, server.id)
            and (wanted.name is None or fnmatchcase(server.name, wanted.name))
            and (wanted.selector is None or labels.matches(wanted.selector, server.labels))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    id: int | None
    name: str | None
    project: str | None
    selector: labels.Selector | None


def _target(value: Json) -> _Target:
    body = Body(value)
    body.only("id", "name", "label", "project")
    text = body.optional_text("label")
    selector = None
    if text is not None:
        try:
            selector = labels.parse_selector(text)
        except labels.SelectorError as error:
            body.note("label", str(error))
    if not {"id", "name", "label"} & set(value):
        body.note("name", "id, name or label must say which servers")
    name, project = body.optional_text("name"), body.optional_text("project")
    target = _Target(id=body.number("id"), name=name, project=project, selector=selector)
    body.check()
    return target


def _check_limits(changes: Json) -> None:
    problems = {}
    for name, value in changes.items():
        if name not in DEFAULT_LIMITS:
            problems[name] = ["is not a known limit"]
        elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
            problems[name] = ["must be an integer, not negative"]
    if problems:
        raise invalid_input(problems)


def _mapping(step: Json, key: str) -> Json:
    if not isinstance(step[key], dict):
        raise invalid_input({key: ["must be an object"]})
    value: Json = step[key]
    return value


def _faults(step: Json) -> list[Json]:
    posted = step.get("faults", [])
    if not isinstance(posted, list) or not all(isinstance(fault, dict) for fault in posted):
        raise invalid_input({"faults": ["must be a list of objects"]})
    return posted
