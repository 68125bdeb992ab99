"""What commands say at their end, as text and as JSON values. Pure."""

from typing import Any

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.create import Created, Plan
from hk3s_bootstrap.observed import Observed
from hk3s_bootstrap.removal import Leftovers


def plan_text(plan: Plan) -> str:
    """Return a plan, one line a step."""
    lines = [f"  {step}" for step in plan.steps]
    if plan.objects is None:
        lines.append("  wait for the API, then apply the cluster's objects")
    else:
        lines += [f"  apply {each}" for each in plan.objects]
    lines += [
        f"  leave NodePool {name} as it is, though the file differs (--replace-pools)"
        for name in plan.pools_that_differ
    ]
    return "\n".join(["create would:", *lines]) if lines else "nothing to do"


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan for programs; `objects` is null when the cluster does not answer."""
    return {
        "steps": [{"kind": type(step).__name__, "text": str(step)} for step in plan.steps],
        "objects": None if plan.objects is None else list(plan.objects),
        "poolsThatDiffer": list(plan.pools_that_differ),
    }


VERIFIED = {
    "masterReady": "the master is Ready",
    # Before k3s starts, a server sees a name resolve and k3s's artifacts answer (docs/contract.md).
    "dns": "names resolve on it",
    "egress": "its way out through the bastion works",
    # It is Available after a turn, which begins with Hetzner's list of servers.
    "autoscaler": "the autoscaler has reached Hetzner and the API",
}
"""What holds when `create` is done, by the name that programs know."""


def created_text(config: ClusterConfig, created: Created) -> str:
    """Return what a person needs next."""
    done = f"{created.steps} steps at Hetzner, {created.objects} objects applied"
    lines = [
        f"{config.cluster} is ready: {done}",
        f"  verified: {', '.join(VERIFIED.values())}",
        f"  export KUBECONFIG={created.kubeconfig}",
    ]
    lines += [
        f"  NodePool {name} differs from the file and was left as it is (--replace-pools)"
        for name in created.pools_that_differ
    ]
    return "\n".join(lines)


def created_json(config: ClusterConfig, created: Created) -> dict[str, Any]:
    """Return what a program needs next."""
    return {
        "ok": True,
        "cluster": config.cluster,
        "address": created.address,
        "kubeconfig": created.kubeconfig,
        "steps": created.steps,
        "objects": created.objects,
        "poolsThatDiffer": list(created.pools_that_differ),
        "verified": list(VERIFIED),
    }


def destroyed_text(found: Leftovers, left: Leftovers) -> str:
    """Return what went and what stays."""
    if not found.descriptions:
        return "nothing was there"
    lines = [f"deleted: {each}" for each in found.descriptions if each not in left.descriptions]
    lines += [f"kept, and billed: {each}" for each in left.descriptions]
    return "\n".join(lines)


def existing(world: Observed) -> tuple[str, ...]:
    """Return what exists of a cluster, for the report of a failure."""
    things = (
        ("network", world.network),
        ("firewall", world.firewall),
        ("primary IP", world.primary_ip),
    )
    named = (f"{kind} {thing.name}" for kind, thing in things if thing is not None)
    return (*named, *(f"server {server.name} ({server.status})" for server in world.servers))
