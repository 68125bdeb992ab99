"""What an effect is told: an action at a turning point, and where its consequences go."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hk3s_lab.hetzner.events import ServerEvent
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An action at a turning point, and where its consequences go."""

    project: Project
    action: Action
    now: datetime
    emit: Callable[[ServerEvent], None]
    shut_down_later: Callable[[int], None]
    """Takes the id of a server that was asked to shut down."""
    end_rescue_later: Callable[[int], None]
    """Takes the id of a server whose rescue mode ends unless it boots into it before."""

    def resource(self, kind: str) -> int:
        """Return the id of the first resource of a kind."""
        return next(number for name, number in self.action.resources if name == kind)

    def find(self, kind: str) -> int | None:
        """Return the id of the first resource of a kind, if there is one."""
        found = (number for name, number in self.action.resources if name == kind)
        return next(found, None)


Effect = Callable[[Moment], None]


def nothing(_moment: Moment) -> None:
    """Most failures leave everything as it was."""
