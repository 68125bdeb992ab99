"""`simulate`: files in, the planner played in virtual time, a report out."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase

from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.offline.input import read_sale
from hk3s_autoscaler.offline.question import NO_SUCH_OFFERING, OfflineError, Question
from hk3s_autoscaler.offline.trace_check import TRACE_FILE, check
from hk3s_autoscaler.offline.trace_file import TraceFile, trace_of
from hk3s_autoscaler.simulation.result import Result
from hk3s_autoscaler.simulation.run import simulate
from hk3s_autoscaler.simulation.trace import Market
from hk3s_findings.finding import Finding, Report, report
from hk3s_findings.reading import read_file

_MICRO = 1_000_000
_PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A result, and what it was played with."""

    result: Result
    seed: int


def simulate_command_core(question: Question, *, seed: int) -> Played:
    """Play the trace that `question.workload` names on what the question says is for sale.

    Raises:
        OfflineError: files that cannot be read or understood; all problems at once.
    """
    sale: list[Report] = []
    pools, offerings = read_sale(question, sale)
    parsed = read_file(question.workload, TRACE_FILE)
    findings, file = list(parsed.findings), parsed.value
    if file is not None:
        findings += check(file)
        findings += _unmatched(file, [str(offering.key) for offering in offerings])
    if file is None or findings or sale:
        trace = report(str(question.workload), parsed.document, findings)
        raise OfflineError((trace, *sale))
    euro = file.max_euro_per_hour
    market = Market(
        pools=pools,
        offerings=offerings,
        config=PlanConfig(
            max_servers=file.max_servers,
            max_micro_eur_per_hour=None if euro is None else round(euro * _MICRO),
        ),
    )
    chance = random.Random(seed)  # noqa: S311 - a repeatable story, not a secret
    return Played(result=simulate(trace_of(file), market, chance), seed=seed)


def render_json(played: Played) -> str:
    """Write a result for programs; money is euro, net, times are seconds."""
    found = played.result
    return json.dumps(
        {
            "seed": played.seed,
            "hours": found.duration / timedelta(hours=1),
            "eur_paid": found.micro_eur / _MICRO,
            "eur_lower_bound": found.bound_micro_eur / _MICRO,
            "most_eur_per_hour": found.most_micro_eur_per_hour / _MICRO,
            "waiting_seconds": {
                **{f"p{p}": found.wait(p).total_seconds() for p in _PERCENTILES[:-1]},
                "max": found.wait(100).total_seconds(),
            },
            "pods_bound": len(found.waits),
            "unserved": [
                {"reason": u.reason.value, "message": u.message, "pods": u.pods}
                for u in found.unserved
            ],
            "servers": {
                "bought": found.servers_bought,
                "deleted": found.deleted,
                "most": found.most_servers,
                "churned": found.churned,
                "failed_to_join": found.failed,
                "refused": found.refused,
                "by_offering": {str(key): number for key, number in found.bought},
            },
            "evictions": found.evictions,
            "blocked_evictions": found.blocked,
            "plans": found.looks,
            "samples": [
                {
                    "seconds": sample.at.total_seconds(),
                    "waiting": sample.waiting,
                    "running": sum(sample.by_workload),
                    "nodes": sample.nodes,
                    "servers": sample.servers,
                    "eur_per_hour": sample.micro_eur_per_hour / _MICRO,
                }
                for sample in found.samples
            ],
        },
        indent=2,
    )


def render_text(played: Played) -> str:
    """Write a result for people."""
    found = played.result
    paid, bound = found.micro_eur / _MICRO, found.bound_micro_eur / _MICRO
    hours, most = found.duration / timedelta(hours=1), found.most_micro_eur_per_hour / _MICRO
    waits = ", ".join(
        f"{'all' if p == 100 else f'{p} %'} {found.wait(p).total_seconds():.0f} s"  # noqa: PLR2004 - per cent
        for p in _PERCENTILES
    )
    bought = ", ".join(f"{number} {key}" for key, number in found.bought) or "none"
    lines = [
        f"{'hours':14}{hours:g} (seed {played.seed}, {found.looks} plans)",
        f"{'paid':14}{paid:.4f} EUR (each begun hour is whole)",
        f"{'lower bound':14}{bound:.4f} EUR (same pods, same times, billed by the second)",
        f"{'waiting':14}{waits} ({len(found.waits)} pods)",
        f"{'bought':14}{found.servers_bought} servers: {bought}",
        f"{'deleted':14}{found.deleted}, of which {found.churned} in their first hour",
        f"{'at most':14}{found.most_servers} servers, {most:.4f} EUR/h",
        f"{'evictions':14}{found.evictions}, and {found.blocked} that a budget did not allow",
    ]
    if found.failed:
        lines.append(f"{'never joined':14}{found.failed} servers")
    if found.refused:
        lines.append(f"{'sold out':14}{found.refused} purchases were refused")
    lines += [f"not served: {u.pods} pods: {u.reason}: {u.message}" for u in found.unserved]
    return "\n".join(lines)


def _unmatched(file: TraceFile, keys: Sequence[str]) -> Iterator[Finding]:
    """Stock that names nothing in the catalogue: a typing error that would go unnoticed."""
    for number, item in enumerate(file.stock):
        if keys and not any(fnmatchcase(key, item.offering) for key in keys):
            yield Finding(
                code=NO_SUCH_OFFERING,
                path=("stock", number, "offering"),
                cause=f"no offering is like {item.offering}",
                fix="write type/location, such as cx23/fsn1 or cx*/*",
            )
