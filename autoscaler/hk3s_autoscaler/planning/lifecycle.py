"""The life of a worker, derived from its server and its Node; nothing remembers it.

`MOVES` holds every change of phase that may be seen between two looks at the world, a missed look
aside. The diagram in the documentation is drawn from it.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from hk3s_autoscaler.model.node import Node, Server

BLIP = timedelta(minutes=2)
"""A Node that was Ready and is not for less than this is not called lost: kubelets restart."""
FIRST_STATUS = timedelta(seconds=30)
"""A Node's Ready condition is first written within this time of its registration."""


class Phase(StrEnum):
    """Where a worker is in its life."""

    REQUESTED = "Requested"
    LAUNCHED = "Launched"
    BOOTING = "Booting"
    REGISTERED = "Registered"
    READY = "Ready"
    UNNEEDED = "Unneeded"
    DRAINING = "Draining"
    LOST = "Lost"


ON_THE_WAY = frozenset({Phase.REQUESTED, Phase.LAUNCHED, Phase.BOOTING, Phase.REGISTERED})

FIRST = (Phase.REQUESTED, Phase.LAUNCHED)

MOVES: dict[Phase, tuple[Phase, ...]] = {
    Phase.REQUESTED: (Phase.LAUNCHED,),  # the create call was answered
    Phase.LAUNCHED: (Phase.BOOTING,),  # attached and powered on
    Phase.BOOTING: (Phase.REGISTERED, Phase.READY, Phase.LAUNCHED),  # joined, or powered off
    Phase.REGISTERED: (Phase.READY, Phase.LOST),
    Phase.READY: (Phase.UNNEEDED, Phase.DRAINING, Phase.LOST),
    Phase.UNNEEDED: (Phase.READY, Phase.DRAINING, Phase.LOST),  # in use again, or on its way out
    Phase.DRAINING: (Phase.READY, Phase.UNNEEDED),  # taken back
    Phase.LOST: (Phase.READY, Phase.UNNEEDED),  # it answers again
}

LAST = (
    Phase.REQUESTED,
    Phase.LAUNCHED,
    Phase.BOOTING,
    Phase.REGISTERED,
    Phase.DRAINING,
    Phase.LOST,
)
"""Phases that a worker may vanish from: a failed create, a failed join, a removal, a loss."""


def phase(server: Server | None, node: Node | None, now: datetime) -> Phase:
    """Return the phase of a worker; one of `server` and `node` may be missing.

    Raises:
        ValueError: both are missing.
    """
    if node is not None:
        return _joined(server, node, now)
    if server is None:
        raise ValueError("a worker has a server or a Node")
    if server.status == "requested":
        return Phase.REQUESTED
    if server.status == "running" and server.attached:
        return Phase.BOOTING
    return Phase.LAUNCHED


def _joined(server: Server | None, node: Node, now: datetime) -> Phase:
    if node.draining_since is not None:
        return Phase.DRAINING
    if server is None:
        return Phase.LOST
    if never_ready(node):
        return Phase.REGISTERED
    if not node.ready and (node.not_ready_since or node.created_at) + BLIP <= now:
        return Phase.LOST
    return Phase.READY if node.unneeded_since is None else Phase.UNNEEDED


def never_ready(node: Node) -> bool:
    """Whether a Node has not been Ready since it registered.

    Its Ready condition then last changed when the kubelet first wrote it.
    """
    if node.ready:
        return False
    return node.not_ready_since is None or node.not_ready_since <= node.created_at + FIRST_STATUS


def diagram() -> str:
    """Draw the phases and their moves as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {first}" for first in FIRST]
    lines += [f"    {before} --> {after}" for before, moves in MOVES.items() for after in moves]
    lines += [f"    {last} --> [*]" for last in LAST]
    return "\n".join(lines) + "\n"
