"""Workers that are no longer what their pool asks for, or too old."""

import re
from collections.abc import Callable

from hk3s_autoscaler.model import template
from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.supply import takes
from hk3s_autoscaler.planning.world import World

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:[-+].*?k3s(\d+))?")

_SYSTEM_DOMAINS = (
    ".kubernetes.io",
    ".k8s.io",
    ".cattle.io",
    ".hetzner.cloud",
    ".hk3s.dev",
    ".cilium.io",
)

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


def removed_labels(candidate: Candidate, _: World) -> str:
    """It has a label that its pool asked for when it was made, and does not any more."""
    made = template.marks(candidate.server.template)
    wanted = frozenset(candidate.pool.labels)
    if made is None or made[0] == template.labels_mark(wanted):
        return ""
    extra = sorted(frozenset(candidate.node.labels) - wanted)
    gone = template.dropped(extra, wanted, made[0], template.labels_mark)
    # More has changed than can be named: what nobody but people and pools sets may be left of it.
    gone = gone or tuple(label for label in extra if not _is_of_the_system(label[0]))
    return _no_longer("label", [f"{key}={value}" for key, value in gone])


def removed_taints(candidate: Candidate, _: World) -> str:
    """It has a taint that its pool asked for when it was made, and does not any more."""
    made = template.marks(candidate.server.template)
    wanted = frozenset(candidate.pool.taints)
    if made is None or made[1] == template.taints_mark(wanted):
        return ""
    others = wanted.union(candidate.pool.startup_taints)
    extra = sorted(frozenset(candidate.node.taints) - others, key=lambda t: (t.key, t.effect))
    gone = template.dropped(extra, wanted, made[1], template.taints_mark)
    gone = gone or tuple(taint for taint in extra if not _is_of_the_system(taint.key))
    return _no_longer("taint", [f"{taint.key}:{taint.effect}" for taint in gone])


def _is_of_the_system(key: str) -> bool:
    """Whether kubelet, cloud controller, network plugin or hk3s itself set such a key."""
    domain = f".{key.partition('/')[0]}" if "/" in key else ""
    return domain.endswith(_SYSTEM_DOMAINS)


def _no_longer(what: str, names: list[str]) -> str:
    if not names:
        return ""
    many = f"{what}s {', '.join(names)} are" if len(names) > 1 else f"{what} {names[0]} is"
    return f"{many} not asked for by the pool any more"


def server_type(candidate: Candidate, world: World) -> str:
    """Its type or location is no longer among those that the pool takes."""
    offering = world.offerings.get(candidate.server.offering)
    # What is not sold any more cannot be compared with the pool's bounds: it stays.
    if offering is None or takes(candidate.pool, offering):
        return ""
    return f"the pool does not take {offering.key} any more"


DRIFT_CHECKS: tuple[Check, ...] = (
    image,
    k3s_version,
    labels,
    taints,
    removed_labels,
    removed_taints,
    server_type,
)


def _version(text: str) -> tuple[int, ...]:
    match = _VERSION.match(text)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def _words(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:g} hours"
