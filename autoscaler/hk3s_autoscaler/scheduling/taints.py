"""Taints and tolerations, with the meaning of kube-scheduler's TaintToleration filter."""

from collections.abc import Iterable

from hk3s_autoscaler.model.pod import Taint, Toleration

_NUMERIC = ("Lt", "Gt")


def blocks(taint: Taint) -> bool:
    """Whether a taint keeps pods away; `PreferNoSchedule` only asks them to."""
    return taint.effect != "PreferNoSchedule"


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers one taint.

    No effect covers every effect; no key with `Exists` covers every key. `Lt` and `Gt` compare the
    taint's value with the toleration's as integers (KEP-5471).
    """
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.key) and toleration.value == taint.value
        case "Lt" | "Gt":
            return bool(toleration.key) and _compares(toleration, taint)


def untolerated(tolerations: Iterable[Toleration], taints: Iterable[Taint]) -> Taint | None:
    """Return the first taint that keeps a pod with these tolerations away."""
    held = tuple(tolerations)
    for taint in taints:
        if blocks(taint) and not any(tolerates(toleration, taint) for toleration in held):
            return taint
    return None


def _compares(toleration: Toleration, taint: Taint) -> bool:
    try:
        have, bound = int(taint.value), int(toleration.value)
    except ValueError:
        return False
    return have < bound if toleration.operator == "Lt" else have > bound
