"""Gauges that a turn sets anew from its snapshot and plan."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from prometheus_client import Gauge

from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.lifecycle import phase
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.result import Plan

NO_LIMITS = frozenset({Code.OUT_OF_STOCK, Code.POOL_PAUSED, Code.POOL_INVALID, Code.PAUSED})
"""Reasons that hold growth back and are not a limit that somebody could raise."""


def show(
    metrics: Metrics,
    snapshot: Snapshot,
    plan: Plan,
    config: PlanConfig,
    drain_blocked: Mapping[str, str],
    now: datetime,
) -> None:
    """Set every gauge that follows from one turn; label sets that ended are dropped."""
    _fill(metrics.pending_pods, Counter((report.reason.code,) for report in plan.pods))
    nodes = {node.name: node for node in snapshot.nodes}
    _fill(
        metrics.nodes,
        Counter(
            (server.pool, phase(server, nodes.get(server.name), now)) for server in snapshot.servers
        ),
    )
    _fill(metrics.pool_max_nodes, {(pool.name,): pool.max_nodes for pool in snapshot.pools})
    _fill(metrics.pool_min_nodes, {(pool.name,): pool.min_nodes for pool in snapshot.pools})
    _fill(
        metrics.pool_at_limit,
        {
            (pool.pool, reason.code): 1
            for pool in plan.pools
            for reason in pool.blocked
            if reason.code not in NO_LIMITS
        },
    )
    _fill(
        metrics.pool_paused,
        {(pool.name,): int(pool.paused_until is not None) for pool in snapshot.pools},
    )
    prices = Counter({(pool.name,): 0 for pool in snapshot.pools})
    for server in snapshot.servers:
        prices[server.pool,] += server.micro_eur_per_hour
    _fill(metrics.eur_per_hour, {key: value / 1_000_000 for key, value in prices.items()})
    _fill(
        metrics.offering_blocked,
        {
            (block.key.server_type, block.key.location, block.reason): 1
            for pool in snapshot.pools
            for block in pool.blocks
        },
    )
    _fill(
        metrics.drain_blocked,
        Counter(
            (nodes[name].pool, reason) for name, reason in drain_blocked.items() if name in nodes
        ),
    )
    metrics.network_attachments.set(snapshot.attachments_used)
    metrics.network_attachments_max.set(config.max_attachments)
    metrics.paused.set(int(config.paused))


def until_text(until: datetime | None) -> str:
    """Return a time for a person, empty for none."""
    return "" if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"


def _fill(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
