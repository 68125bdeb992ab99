"""The request log: what was asked when, by whom, and how it ended. Tokens are never in it."""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

CAPACITY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request; `monotonic` is the clock's monotonic time of its arrival, in seconds."""

    seq: int
    monotonic: float
    time: datetime
    seconds: float
    method: str
    path: str
    query: str
    template: str | None
    token: str | None
    """Name of the token's project; None without a valid token."""
    status: int | None
    """None when the connection was dropped instead of an answer."""
    code: str | None
    """Error code, or `dropped_before` / `dropped_after`."""
    agent: str
    """First product of the User-Agent, such as `hk3s-autoscaler`."""
    ids: tuple[int, ...]
    """Resources and actions that the request created or named."""


@dataclass(slots=True)
class RequestLog:
    """The latest requests, oldest first."""

    _entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=CAPACITY))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def next_number(self) -> int:
        """Return the number of the next request."""
        return next(self._numbers)

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self._entries.append(entry)

    def view(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the entries with a number greater than `after`."""
        return [
            asdict(entry) | {"time": entry.time.isoformat(), "ids": list(entry.ids)}
            for entry in self._entries
            if entry.seq > after
        ]
