"""The emulated cloud in motion: projects, the actions that run in them, and what is due when.

Synchronous and without I/O: whoever owns a world calls `settle` before it looks
and whenever `on_scheduled` told it that something will be due.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner.events import (
    ServerDeleted,
    ServerEvent,
    ServerPoweredOff,
    ServerPoweredOn,
)
from hk3s_lab.hetzner.model import effects, transitions
from hk3s_lab.hetzner.model.catalog import Catalog
from hk3s_lab.hetzner.model.moment import Moment
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import (
    Action,
    ActionStatus,
    Problem,
    ResourceKey,
    ServerStatus,
)

FIRST_ID = 100_001
TOLERANCE = 1e-6
"""Seconds by which a sleeper may wake early without missing what is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How actions are to end by decree of a fault; the default is to succeed in time."""

    problem: Problem | None = None
    hang_seconds: float | None = None
    command: str | None = None
    """Only actions of this command; None for the first action of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Independent streams of chance from one seed, so that one use does not disturb another."""

    durations: random.Random
    choices: random.Random
    secrets: random.Random
    faults: random.Random

    @classmethod
    def seeded(cls, seed: int) -> "Chances":
        """Derive the streams."""
        names = ("durations", "choices", "secrets", "faults")
        streams = {name: random.Random(f"{seed}/{name}") for name in names}  # noqa: S311 - reproducible by design
        return cls(**streams)

    def streams(self) -> dict[str, random.Random]:
        """Return the streams by name."""
        return {
            "durations": self.durations,
            "choices": self.choices,
            "secrets": self.secrets,
            "faults": self.faults,
        }


class Due(NamedTuple):
    """Something that happens at a moment of the monotonic clock; `order` breaks ties."""

    at: float
    order: int
    kind: str
    """`action`, `acpi`, `rescue` or `step` (of a scenario, which has no project)."""
    project: str
    number: int
    """Id of the action or the server."""


@dataclass(slots=True)
class World:
    """All projects under one clock."""

    clock: Clock
    chances: Chances
    speed: float
    catalog: Catalog
    public_addresses: Iterator[str]
    emit: Callable[[ServerEvent], None]
    on_scheduled: Callable[[float], None]
    limits: dict[str, int] = field(default_factory=dict)
    """Limits set for every project, present and future."""
    projects: dict[str, Project] = field(default_factory=dict)
    taken_addresses: set[str] = field(default_factory=set)
    """Public addresses that are not fresh, though `public_addresses` may yield them."""
    last_id: int = FIRST_ID - 1
    due: list[Due] = field(default_factory=list)
    """A heap of what is to happen."""
    last_due: int = 0
    timeline: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Steps of scenarios that are still to come, by the number of their `Due`."""
    run_step: Callable[[Mapping[str, Any]], object] = lambda _step: None
    """Carries out a step of a scenario."""
    nat_lost: set[int] = field(default_factory=set)
    """Servers through which no route leads any more."""

    def project(self, name: str) -> Project:
        """Return a project, made on first use."""
        if name not in self.projects:
            self.projects[name] = Project(name)
            self.projects[name].limits.update(self.limits)
        return self.projects[name]

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Change limits of all projects."""
        self.limits.update(limits)
        for project in self.projects.values():
            project.limits.update(limits)

    def new_id(self) -> int:
        """Return an id that no resource or action of any project has had."""
        self.last_id += 1
        return self.last_id

    def new_address(self, version: str) -> str | None:
        """Return a public IPv4 address or IPv6 network that nobody has; None without any left."""
        if version == "ipv6":
            number = self.new_id()
            return f"2001:db8:{number // 65536:x}:{number % 65536:x}::/64"
        for address in self.public_addresses:
            if address not in self.taken_addresses:
                return address
        return self._returned_address()

    def _returned_address(self) -> str | None:
        """Return the address that was given back first, among those that nobody has."""
        used, back = set(), []
        for project in self.projects.values():
            used |= {ip.ip for ip in project.primary_ips.values()}
            used |= {ip.ip for ip in project.floating_ips.values()}
            used |= {str(lb.ipv4) for lb in project.load_balancers.values()}
            back += [(ip.id, ip.ip) for ip in project.gone.primary_ips if ip.type == "ipv4"]
            back += [(ip.id, ip.ip) for ip in project.gone.floating_ips if ip.type == "ipv4"]
            back += [(lb.id, lb.ipv4) for lb in project.gone.load_balancers if lb.ipv4]
        return next((address for _, address in sorted(back) if address not in used), None)

    def start(
        self,
        project: Project,
        command: str,
        resources: Sequence[ResourceKey],
        *,
        locks: Sequence[ResourceKey] = (),
        arguments: Mapping[str, Any] | None = None,
        after: int | None = None,
        fate: Fate | None = None,
        seconds: float | None = None,
    ) -> Action:
        """Start an action, or queue it behind the action `after`; it takes what it usually does."""
        if seconds is None:
            shortest, longest = transitions.DURATIONS.get(command, transitions.DEFAULT_DURATION)
            seconds = self.chances.durations.uniform(shortest, longest) / self.speed
        problem = None
        if fate is not None:
            problem = fate.problem
            if fate.hang_seconds is not None:
                seconds = fate.hang_seconds / self.speed
        action = Action(
            id=self.new_id(),
            command=command,
            status=ActionStatus.RUNNING,
            started=self.clock.now(),
            resources=tuple(resources),
            locks=tuple(locks),
            arguments=arguments or {},
            after=after,
            doom=problem,
            seconds=seconds,
        )
        project.put_action(action)
        if after is None:
            self._begin(project, action, self.clock.monotonic())
        return project.actions[action.id]

    def note(self, project: Project, command: str, resources: Sequence[ResourceKey]) -> Action:
        """Record an action that had nothing to do and has ended."""
        action = Action(
            id=self.new_id(),
            command=command,
            status=ActionStatus.SUCCESS,
            started=self.clock.now(),
            finished=self.clock.now(),
            resources=tuple(resources),
            seconds=0,
        )
        project.put_action(action)
        return action

    def power_cycle(self, project: Project, server_id: int) -> bool:
        """Reboot a server as a crash of its host would; False when it is not running."""
        server = project.servers.get(server_id)
        if server is None or server.deleted or server.status is not ServerStatus.RUNNING:
            return False
        self.emit(ServerPoweredOff(server_id, graceful=False))
        self.emit(ServerPoweredOn(server_id))
        return True

    def vanish(self, project: Project, server_id: int) -> bool:
        """Take a server away as if somebody had deleted it elsewhere; False when it is gone."""
        server = project.servers.get(server_id)
        if server is None:
            return False
        for action in [a for a in project.running.values() if ("server", server_id) in a.resources]:
            problem = Problem(code="server_error", message="The server does not exist any more")
            ended = replace(action, status=ActionStatus.ERROR, problem=problem, doom=problem)
            project.put_action(replace(ended, finished=self.clock.now()))
        self.start(project, "delete_server", [("server", server_id)], seconds=0.0)
        self.emit(ServerDeleted(server_id))
        self.settle()
        return True

    def settle(self) -> None:
        """Let everything happen that is due by now, in order."""
        now = self.clock.monotonic() + TOLERANCE
        while self.due and self.due[0].at <= now:
            due = heapq.heappop(self.due)
            if due.kind == "step":
                self.run_step(self.timeline.pop(due.number))
                continue
            project = self.projects[due.project]
            if due.kind == "acpi":
                self._power_down(project, due.number)
            elif due.kind == "rescue":
                project.update_server(due.number, rescue_enabled=False)
            elif due.number in project.running:
                self._end(project, project.running[due.number], due.at)

    def _schedule(self, at: float, kind: str, project: Project, number: int) -> None:
        self.last_due += 1
        self.put_due(Due(at, self.last_due, kind, project.name, number))

    def put_due(self, due: Due) -> None:
        """Plan what is due, and tell that it is."""
        heapq.heappush(self.due, due)
        self.on_scheduled(due.at)

    def queue_step(self, seconds: float, step: Mapping[str, Any]) -> None:
        """Plan a step of a scenario; the speed does not hurry it."""
        self.last_due += 1
        self.timeline[self.last_due] = step
        at = self.clock.monotonic() + seconds
        self.put_due(Due(at, self.last_due, "step", "", self.last_due))

    def _begin(self, project: Project, action: Action, at: float) -> None:
        begun = replace(action, begun=at)
        if action.command in transitions.TRANSITIONS:
            begun = replace(begun, arguments=_with_status(project, begun))
        project.put_action(begun)
        effects.begin(self._moment(project, begun, at))
        self._schedule(at + action.seconds, "action", project, action.id)

    def _end(self, project: Project, action: Action, at: float) -> None:
        moment = self._moment(project, action, at)
        status = ActionStatus.SUCCESS if action.doom is None else ActionStatus.ERROR
        ended = replace(action, status=status, finished=moment.now, problem=action.doom)
        # First the action, then its effect: subscribers must see a resource that is not locked.
        project.put_action(ended)
        if action.doom is None:
            effects.succeed(moment)
        else:
            effects.fail(moment)
        waiting = [a for a in project.running.values() if a.after == action.id]
        for follower in waiting:
            if action.doom is None:
                self._begin(project, follower, at)
            else:
                self._end(project, replace(follower, doom=action.doom), at)

    def _moment(self, project: Project, action: Action, at: float) -> Moment:
        def shut_down_later(server_id: int) -> None:
            wait = self.chances.durations.uniform(*transitions.ACPI_OFF) / self.speed
            self._schedule(at + wait, "acpi", project, server_id)

        def end_rescue_later(server_id: int) -> None:
            self._schedule(at + transitions.RESCUE_SECONDS, "rescue", project, server_id)

        return Moment(
            project=project,
            action=action,
            now=self._wall(at),
            emit=self.emit,
            shut_down_later=shut_down_later,
            end_rescue_later=end_rescue_later,
        )

    def _wall(self, at: float) -> datetime:
        return self.clock.now() - timedelta(seconds=max(0.0, self.clock.monotonic() - at))

    def _power_down(self, project: Project, server_id: int) -> None:
        server = project.servers.get(server_id)
        if server is None or server.deleted or server.status is not ServerStatus.STOPPING:
            return
        if project.is_locked(("server", server_id)):
            return  # somebody pulled the plug meanwhile
        project.update_server(server_id, status=ServerStatus.OFF)
        self.emit(ServerPoweredOff(server_id, graceful=True))


def _with_status(project: Project, action: Action) -> dict[str, Any]:
    """Remember the status in which the action met its server, for its end or its failure."""
    server_id = next(number for kind, number in action.resources if kind == "server")
    server = project.servers.get(server_id)
    return {**action.arguments, "status": server.status.value if server else None}
