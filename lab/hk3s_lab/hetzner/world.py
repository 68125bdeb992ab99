"""The emulated cloud in motion: projects, the actions that run in them, and what is due when.

Synchronous and without I/O: whoever owns a world calls `settle` before it looks
and whenever `on_scheduled` told it that something will be due.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hk3s_lab.clock import Clock
from hk3s_lab.hetzner.events import ServerEvent, ServerPoweredOff
from hk3s_lab.hetzner.model import effects, transitions
from hk3s_lab.hetzner.model.catalog import Catalog
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
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_ID))
    _order: Iterator[int] = field(default_factory=itertools.count)
    _due: list[tuple[float, int, str, str, int]] = field(default_factory=list)

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
        return next(self._ids)

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
    ) -> Action:
        """Start an action, or queue it behind the action `after`."""
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

    def settle(self) -> None:
        """Let everything happen that is due by now, in order."""
        now = self.clock.monotonic() + TOLERANCE
        while self._due and self._due[0][0] <= now:
            due, _, kind, project_name, number = heapq.heappop(self._due)
            project = self.projects[project_name]
            if kind == "acpi":
                self._power_down(project, number)
            elif number in project.running:
                self._end(project, project.running[number], due)

    def _schedule(self, due: float, kind: str, project: Project, number: int) -> None:
        heapq.heappush(self._due, (due, next(self._order), kind, project.name, number))
        self.on_scheduled(due)

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

    def _moment(self, project: Project, action: Action, at: float) -> effects.Moment:
        def shut_down_later(server_id: int) -> None:
            wait = self.chances.durations.uniform(*transitions.ACPI_OFF) / self.speed
            self._schedule(at + wait, "acpi", project, server_id)

        return effects.Moment(
            project=project,
            action=action,
            now=self._wall(at),
            emit=self.emit,
            shut_down_later=shut_down_later,
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
