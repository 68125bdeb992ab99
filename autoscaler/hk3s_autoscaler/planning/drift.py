"""Workers that are no longer what their pool asks for, or too old."""

import re
from collections.abc import Callable

from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.supply import takes
from hk3s_autoscaler.planning.world import World

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:[-+].*?k3s(\d+))?")

Check = Callable[[Candidate, World], str]


def aged(candidate: Candidate, world: World) -> Reason | None:
    """Say why a worker is to be replaced whatever it costs: expired or drifted; else None."""
    lifetime = candidate.pool.expire_after
    if lifetime is not None and candidate.server.created_at + lifetime <= world.now:
        return Reason(Code.EXPIRED, f"it is older than {_words(lifetime.total_seconds())}")
    if candidate.pool.problem:
        return None
    for check in DRIFT_CHECKS:
        difference = check(candidate, world)
        if difference:
            return Reason(Code.DRIFTED, difference)
    return None


def image(candidate: Candidate, _: World) -> str:
    """It was made from another image. Images that lost their name cannot be compared."""
    have, want = candidate.server.image, candidate.pool.image
    return f"its image is {have}, the pool wants {want}" if have and want and have != want else ""


def k3s_version(candidate: Candidate, world: World) -> str:
    """It runs an older k3s. A newer one was upgraded in place, which is nobody's mistake."""
    have, want = candidate.node.kubelet_version, world.config.k3s_version
    old, new = _version(have), _version(want)
    return f"it runs k3s {have}, workers get {want}" if old and new and old < new else ""


def labels(candidate: Candidate, _: World) -> str:
    """It lacks a label of its pool."""
    have = dict(candidate.node.labels)
    for key, value in candidate.pool.labels:
        if have.get(key) != value:
            return f"label {key} is {have.get(key, 'missing')}, the pool wants {value}"
    return ""


def taints(candidate: Candidate, _: World) -> str:
    """It lacks a taint of its pool; others may have been added for a purpose."""
    have = set(candidate.node.taints)
    for taint in candidate.pool.taints:
        if taint not in have:
            return f"taint {taint.key}:{taint.effect} of the pool is missing"
    return ""


def server_type(candidate: Candidate, world: World) -> str:
    """Its type or location is no longer among those that the pool takes."""
    offering = world.offerings.get(candidate.server.offering)
    # What is not sold any more cannot be compared with the pool's bounds: it stays.
    if offering is None or takes(candidate.pool, offering):
        return ""
    return f"the pool does not take {offering.key} any more"


DRIFT_CHECKS: tuple[Check, ...] = (image, k3s_version, labels, taints, server_type)


def _version(text: str) -> tuple[int, ...]:
    match = _VERSION.match(text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def _words(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:g} hours"
