"""How the daemon is doing: for probes, for the planner's freeze, for the length of pauses."""

from dataclasses import dataclass, field
from datetime import datetime

from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.ports import Clock

CONTACT_LOST_AFTER = 45.0
"""Seconds without a word from the apiserver (bookmarks included) that count as an outage."""

JUMP = 60.0
"""Seconds by which the wall clock may leave the monotonic one between two looks: more is a jump."""

_STUCK_AFTER = 180.0
_LONGEST_PAUSE = 120.0

_log = logger("health")


@dataclass(slots=True)
class Health:
    """State of this process. The outage it remembers goes into the status ConfigMap.

    `standby` says that another process leads. `healthy_since` is since when both APIs answer;
    `None` while one does not.
    """

    clock: Clock
    healthy_since: datetime | None = None
    ready: bool = False
    standby: bool = False
    last_error: str = ""
    failures: int = 0
    _progress: float = field(init=False)
    _looked: bool = field(init=False, default=False)
    _offset: float = field(init=False)

    def __post_init__(self) -> None:
        self._progress = self.clock.monotonic()
        self._offset = self._wall_offset()

    def observed(self, *, cloud: bool, cluster: bool, before: datetime | None) -> None:
        """Note whether both sides answered.

        A restart changes nothing: at the first look health goes on from `before`, where the last
        process left it; `None` means that it left during an outage. A wall clock that jumped
        makes every deadline doubtful: it counts as the end of an outage.
        """
        offset = self._wall_offset()
        if abs(offset - self._offset) > JUMP:
            _log.warning("clock.jumped", seconds=round(offset - self._offset))
            self.healthy_since, self._looked = None, True
        self._offset = offset
        first, self._looked = not self._looked, True
        if not (cloud and cluster):
            self.healthy_since = None
        elif self.healthy_since is None:
            since = before if first else None
            self.healthy_since = self.clock.now() if since is None else since

    def _wall_offset(self) -> float:
        return self.clock.now().timestamp() - self.clock.monotonic()

    def progressed(self) -> None:
        """Note that the loop lives, as leader or in waiting."""
        self._progress = self.clock.monotonic()

    def succeeded(self) -> None:
        """Note a turn without errors."""
        self.progressed()
        self.ready = True
        self.failures = 0
        self.last_error = ""

    def failed(self, kind: str) -> None:
        """Note an unexpected error; `kind` is its class, for texts of others may be long."""
        self.progressed()
        self.failures += 1
        self.last_error = kind

    def problem(self) -> str:
        """Return why the process is not ready, empty when it is."""
        if self.failures:
            return f"the last turn failed: {self.last_error}"
        if not self.ready and not self.standby:
            return "no turn has ended yet"
        return ""

    def pause(self, interval: float) -> float:
        """Return the pause before the next turn: doubled with each failure in a row."""
        if not self.failures:
            return interval
        return float(min(_LONGEST_PAUSE, max(1.0, interval) * 2 ** min(self.failures, 7)))

    @property
    def is_stuck(self) -> bool:
        """Whether the loop has not moved for minutes: only a restart helps."""
        return self.clock.monotonic() - self._progress > _STUCK_AFTER
