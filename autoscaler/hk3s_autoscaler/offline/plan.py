"""`plan -f`: what a workload costs, without a cluster, decided by the daemon's own planner."""

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from hk3s_autoscaler.exact.packer import ExactPacker
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.offline.input import read_input
from hk3s_autoscaler.offline.pools import UNLIMITED
from hk3s_autoscaler.offline.question import Question
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.lower_bound import lower_bound
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLine:
    """Equal servers that run equally many pods."""

    server_type: str
    location: str
    count: int
    micro_eur_per_hour: int
    allocatable: Resources
    pods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """A pod that nothing can be bought for, and why."""

    pod: str
    reason: Code
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The purchase. `lower_bound_micro_eur_per_hour` is for the pods that are served.

    `not_priced` counts the objects that add nothing to it, by what they are.
    """

    servers: tuple[ServerLine, ...]
    micro_eur_per_hour: int
    micro_eur_per_month: int
    lower_bound_micro_eur_per_hour: int
    seconds: float
    unschedulable: tuple[Unserved, ...]
    not_priced: tuple[tuple[str, int], ...]


def plan_command_core(
    question: Question, *, now: datetime, monotonic: Callable[[], float], exact: float = 0.0
) -> Answer:
    """Answer a question; `monotonic` times the planning alone.

    With `exact` the purchase is improved for about so many seconds.

    Raises:
        OfflineError: files that cannot be read or understood; all problems at once.
        ExactUnavailable: the exact pass needs a solver that is not installed.
    """
    packer = ExactPacker(exact) if exact else None
    given = read_input(question, now)
    snapshot = Snapshot(
        pools=given.pools,
        pods=given.workload.pods,
        daemonsets=given.workload.daemonsets,
        storage=given.storage,
        offerings=given.offerings,
        servers_read_at=now,
        healthy_since=now,
    )
    config = PlanConfig(
        max_servers=UNLIMITED,
        max_attachments=UNLIMITED,
        expendable_priority_cutoff=-(1 << 31),
    )
    begun = monotonic()
    found = plan(snapshot, config, now, packer=packer or pack)
    seconds = monotonic() - begun
    world = World(snapshot=snapshot, config=config, now=now)
    answer = _answer(world, found, seconds, given.workload.passed_over)
    if packer is None or len(packer.answers) != 1 or answer.unschedulable:
        return answer
    # One problem was the whole purchase, so that its bound is that of the purchase.
    (exactly,) = packer.answers.values()
    bound = max(answer.lower_bound_micro_eur_per_hour, math.floor(exactly.whole_bound))
    return replace(answer, lower_bound_micro_eur_per_hour=bound)


def render_json(answer: Answer) -> str:
    """Write an answer for programs; amounts of money are euro, net."""
    return json.dumps(
        {
            "servers": [
                {
                    "server_type": line.server_type,
                    "location": line.location,
                    "count": line.count,
                    "eur_per_hour": _euro(line.micro_eur_per_hour),
                    "allocatable": {
                        "cpu_milli": line.allocatable.cpu_milli,
                        "memory_bytes": line.allocatable.memory_bytes,
                        "pods": line.allocatable.pods,
                    },
                    "pods": line.pods,
                }
                for line in answer.servers
            ],
            "eur_per_hour": _euro(answer.micro_eur_per_hour),
            "eur_per_month": _euro(answer.micro_eur_per_month),
            "lower_bound_eur_per_hour": _euro(answer.lower_bound_micro_eur_per_hour),
            "seconds": round(answer.seconds, 3),
            "unschedulable": [
                {"pod": u.pod, "reason": u.reason.value, "message": u.message}
                for u in answer.unschedulable
            ],
            "not_priced": [{"what": what, "count": n} for what, n in answer.not_priced],
        },
        indent=2,
    )


def render_text(answer: Answer) -> str:
    """Write an answer for people."""
    rows = [("COUNT", "TYPE", "LOCATION", "EUR/H EACH", "PODS EACH")]
    rows += [
        (
            str(line.count),
            line.server_type,
            line.location,
            f"{_euro(line.micro_eur_per_hour):.4f}",
            str(line.pods),
        )
        for line in answer.servers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    bound = answer.lower_bound_micro_eur_per_hour
    proved = f"no purchase is below {_euro(bound):.4f} EUR/h"
    if answer.servers and bound >= answer.micro_eur_per_hour:
        proved = "proved: no purchase is cheaper"
    lines.append(
        f"{_euro(answer.micro_eur_per_hour):.4f} EUR/h,"
        f" {_euro(answer.micro_eur_per_month):.2f} EUR/month ({proved})"
    )
    reasons = Counter((u.reason, u.message) for u in answer.unschedulable)
    first = {(u.reason, u.message): u.pod for u in reversed(answer.unschedulable)}
    for (reason, message), number in reasons.items():
        others = f" and {number - 1} more" if number > 1 else ""
        lines.append(f"not served: {first[reason, message]}{others}: {reason}: {message}")
    if answer.not_priced:
        lines.append(f"not priced: {', '.join(f'{what} ({n})' for what, n in answer.not_priced)}")
    return "\n".join(lines)


def _answer(
    world: World, found: Plan, seconds: float, not_priced: tuple[tuple[str, int], ...]
) -> Answer:
    creates = [action for action in found.actions if isinstance(action, CreateServer)]
    lines = Counter((create.pool, create.offering, len(create.pods)) for create in creates)
    sale = [offer for offer in offers(world) if offer.hindrance is None]
    rooms = {(offer.pool.name, offer.key): offer.offering for offer in sale}
    served = {key for create in creates for key in create.pods}
    publicly = [offer for offer in sale if offer.offering.published_available]
    bought = {create.offering for create in creates}
    # What is published as sold out counts only where the plan could not do without it.
    if any(not world.offerings[key].published_available for key in bought):
        publicly = sale
    bound = lower_bound((pod for pod in world.snapshot.pods if pod.key in served), publicly)
    return Answer(
        servers=tuple(
            ServerLine(
                server_type=key.server_type,
                location=key.location,
                count=count,
                micro_eur_per_hour=rooms[pool, key].micro_eur_per_hour,
                allocatable=rooms[pool, key].allocatable,
                pods=pods,
            )
            for (pool, key, pods), count in sorted(lines.items())
        ),
        micro_eur_per_hour=sum(create.micro_eur_per_hour for create in creates),
        micro_eur_per_month=sum(
            world.offerings[create.offering].micro_eur_per_month for create in creates
        ),
        lower_bound_micro_eur_per_hour=bound,
        seconds=seconds,
        unschedulable=tuple(
            Unserved(pod=str(report.pod), reason=report.reason.code, message=report.reason.message)
            for report in found.pods
            if report.pod not in served
        ),
        not_priced=not_priced,
    )


def _euro(micro: int) -> float:
    return micro / 1_000_000
