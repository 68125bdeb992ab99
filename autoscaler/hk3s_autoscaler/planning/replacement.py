"""Make before break: servers are bought in others' stead, and those go once their pods fit."""

from collections.abc import Sequence
from datetime import timedelta

from hk3s_autoscaler.planning.actions import MarkReplacing
from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.capacity import arriving
from hk3s_autoscaler.planning.drift import aged
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.rehearsal import rehearse
from hk3s_autoscaler.planning.world import World

REPLACING_LIMIT = timedelta(hours=4)
"""So long a node may wait for its paid hour, its turn in the budget and its replacement."""
CLOCK_SLACK = timedelta(minutes=1)


def being_replaced(found: Sequence[Candidate]) -> list[Candidate]:
    """Nodes for which a replacement was bought, dearest first."""
    return [c for c in found if c.node.replacing_since is not None]


def stands_in(candidate: Candidate, replaced: Sequence[Candidate]) -> bool:
    """Whether a server is young enough to be the replacement of one that is still there."""
    begun = [c.node.replacing_since for c in replaced if c.node.replacing_since is not None]
    if not begun or candidate.node.replacing_since is not None:
        return False
    return candidate.server.created_at >= min(begun) - CLOCK_SLACK


def why(candidate: Candidate) -> Code:
    """The reason that was noted when the replacement was bought."""
    known = (Code.UNDERUTILIZED, Code.DRIFTED, Code.EXPIRED)
    return next((c for c in known if c == candidate.node.replacing_reason), Code.UNDERUTILIZED)


def ready_to_go(
    world: World, replaced: Sequence[Candidate]
) -> tuple[list[Candidate], frozenset[str]]:
    """Those whose pods fit into what is there, all together or as many as do, and where they go."""
    if not replaced:
        return [], frozenset()
    outcome = rehearse(world, replaced, buy=False)
    if outcome.fits:
        return list(replaced), outcome.targets
    going: list[Candidate] = []
    targets: frozenset[str] = frozenset()
    for candidate in replaced:
        others = [c.name for c in replaced if c not in going]
        outcome = rehearse(world, [*going, candidate], hidden=others, buy=False)
        if outcome.fits:
            going.append(candidate)
            targets = outcome.targets
    return going, targets


def hold_up(world: World, candidate: Candidate) -> tuple[MarkReplacing | None, Reason]:
    """Say what a node waits for whose pods do not fit elsewhere yet, or end its replacement."""
    since = candidate.node.replacing_since or world.now
    pool = candidate.pool
    found = arriving(world)
    coming = [w.name for w in found if w.pool == pool.name] or [w.name for w in found]
    if coming and world.now < since + REPLACING_LIMIT:
        words = f"{', '.join(coming[:3])} is on its way to take over"
        return None, Reason(Code.WAITING_FOR_REPLACEMENT, words)
    words = "no replacement came that holds its pods"
    return take_back(candidate, Reason(Code.REPLACEMENT_FAILED, words))


def take_back(candidate: Candidate, reason: Reason) -> tuple[MarkReplacing, Reason]:
    """End a replacement; the next plan may think of another."""
    return MarkReplacing(node=candidate.name, since=None, why=None, reason=reason), reason


def outdated(world: World, candidate: Candidate) -> Reason | None:
    """Why a replacement is not wanted any more."""
    since = candidate.node.replacing_since or world.now
    if since + REPLACING_LIMIT <= world.now:
        hours = REPLACING_LIMIT // timedelta(hours=1)
        return Reason(Code.REPLACEMENT_FAILED, f"it could not leave within {hours} hours")
    if why(candidate) in (Code.DRIFTED, Code.EXPIRED) and aged(candidate, world) is None:
        return Reason(Code.NO_LONGER_UNNEEDED, "it is what its pool asks for again")
    return None
