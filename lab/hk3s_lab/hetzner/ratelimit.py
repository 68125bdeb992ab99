"""The rate limit: a bucket of requests a project, refilled steadily over the hour."""

import math
from dataclasses import dataclass

HOUR = 3600.0
_ROUNDING = 1e-6
"""Of a request or a second: what floating-point sums may be off."""


@dataclass(slots=True)
class Bucket:
    """Requests left for one project or, together, for callers without a valid token.

    `level` is None until the first request, which finds it full.
    """

    level: float | None = None
    updated: float = 0.0

    def take(self, limit: int, monotonic: float) -> bool:
        """Count a request; False when none is left, which costs nothing."""
        gained = (monotonic - self.updated) * limit / HOUR
        self.level = limit if self.level is None else min(limit, self.level + gained)
        self.updated = monotonic
        if self.level < 1 - _ROUNDING:
            return False
        self.level = max(0.0, self.level - 1)
        return True

    def remaining(self) -> int:
        """Return the whole requests left."""
        return int((self.level or 0) + _ROUNDING)

    def full_after(self, limit: int) -> int:
        """Return the seconds until the bucket is full again."""
        missing = limit - (self.level or 0)
        return math.ceil(missing * HOUR / limit - _ROUNDING) if limit else 0
