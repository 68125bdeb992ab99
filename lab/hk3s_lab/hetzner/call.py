"""One request as the resources see it, and the answer they give."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.body import MAX_ID, Body
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Action, ActionStatus, ResourceKey
from hk3s_lab.hetzner.world import Fate, World

OK = 200
CREATED = 201
NO_CONTENT = 204


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer; a body of None is an empty one."""

    status: int
    body: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Call:
    """A request past the gates: known route, valid token, within the rate."""

    world: World
    project: Project
    url: str
    """Without the query, for links."""
    parameters: Mapping[str, str]
    """What stands for the braces of the path template."""
    query: Sequence[tuple[str, str]]
    body: Body
    fate: Fate | None = None
    touched: list[int] = field(default_factory=list)
    """Ids of resources and actions, for the request log."""

    @property
    def now(self) -> datetime:
        """The time of day."""
        return self.world.clock.now()

    def id(self, name: str = "id", kind: str = "resource") -> int:
        """Return an id of the path; what is no id cannot be found."""
        text = self.parameters[name]
        number = positive(text)
        if number is None:
            raise errors.not_found(kind, text)
        return number

    def values(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def start(
        self,
        command: str,
        resources: Sequence[ResourceKey],
        *,
        locks: Sequence[ResourceKey] | None = None,
        arguments: Mapping[str, Any] | None = None,
        after: Action | None = None,
    ) -> Action:
        """Start an action that locks its first resource, unless `locks` says otherwise."""
        action = self.world.start(
            self.project,
            command,
            resources,
            locks=resources[:1] if locks is None else locks,
            arguments=arguments,
            after=after.id if after else None,
            fate=self._fate(command),
        )
        self.touched.append(action.id)
        return action

    def note(self, command: str, resources: Sequence[ResourceKey]) -> Action:
        """Record an action that had nothing to do."""
        action = self.world.note(self.project, command, resources)
        self.touched.append(action.id)
        return action

    def _fate(self, command: str) -> Fate | None:
        if self.fate is None or self.fate.command not in (None, command):
            return None
        fate, self.fate = self.fate, None
        return fate


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template below /v1, and who answers."""

    method: str
    template: str
    handler: Handler
    has_body: bool = False


def action_view(action: Action, monotonic: float) -> dict[str, Any]:
    """Return an action as the API shows it."""
    problem = action.problem
    return {
        "id": action.id,
        "command": action.command,
        "status": action.status.value,
        "progress": _progress(action, monotonic),
        "started": timestamp(action.started),
        "finished": timestamp(action.finished) if action.finished else None,
        "resources": [{"id": number, "type": kind} for kind, number in action.resources],
        "error": {"code": problem.code, "message": problem.message} if problem else None,
    }


def action_answer(call: Call, action: Action, status: int = CREATED) -> Answer:
    """Answer with one action."""
    return Answer(status, {"action": action_view(action, call.world.clock.monotonic())})


def actions_view(call: Call, actions: Iterable[Action]) -> list[dict[str, Any]]:
    """Return several actions as the API shows them."""
    monotonic = call.world.clock.monotonic()
    return [action_view(action, monotonic) for action in actions]


def positive(text: str) -> int | None:
    """Read a positive integer no greater than an id can be."""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_ID)):
        return None
    return int(text) if 0 < int(text) <= MAX_ID else None


def timestamp(moment: datetime) -> str:
    """Write a time as the API does, in whole seconds."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _progress(action: Action, monotonic: float) -> int:
    if action.status is not ActionStatus.RUNNING:
        return 100
    if action.begun is None or action.seconds <= 0:
        return 0
    return max(0, min(99, int(100 * (monotonic - action.begun) / action.seconds)))
