"""Whether the last plan still stands: while nothing changes, only the clock could change it."""

from dataclasses import dataclass, replace

from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.result import Plan

LONGEST = 120.0
"""Seconds that a plan holds. What the clock alone can change by then, where no node waits for
anything, are ages and schedules of hours."""


@dataclass(frozen=True, slots=True)
class LastPlan:
    """A plan, the facts it was made from, and the monotonic time of that."""

    plan: Plan
    snapshot: Snapshot
    at: float

    def holds(self, snapshot: Snapshot, monotonic: float) -> bool:
        """Whether planning again would find the same.

        Never while something is to be done, or a pod or a machine waits for something: these are
        served at the loop's own pace.
        """
        if self.plan.actions or monotonic - self.at >= LONGEST or _is_waiting(snapshot):
            return False
        # Facts that did not change are the same objects: this compares places, hardly contents.
        return self.snapshot == replace(snapshot, servers_read_at=self.snapshot.servers_read_at)


def _is_waiting(snapshot: Snapshot) -> bool:
    joined = {node.name for node in snapshot.nodes if node.pool and node.ready}
    return (
        any(pod.unschedulable_since for pod in snapshot.pods)
        or any(
            node.unneeded_since or node.replacing_since or node.draining_since or not node.ready
            for node in snapshot.nodes
        )
        or joined != {server.name for server in snapshot.servers}
    )
