"""Gauges that a turn sets anew from its snapshot and plan."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from prometheus_client import Gauge

from hk3s_autoscaler.daemon.metrics import Metrics
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.result import Plan


def show(
    metrics: Metrics,
    snapshot: Snapshot,
    plan: Plan,
    config: PlanConfig,
    drain_blocked: Mapping[str, str],
) -> None:
    """Set every gauge that follows from one turn; label sets that ended are dropped."""
    _fill(metrics.pending_pods, Counter((report.reason.code,) for report in plan.pods))
    nodes = {node.name: node for node in snapshot.nodes}
    _fill(
        metrics.nodes,
        Counter(
            (server.pool, phase(server, nodes.get(server.name))) for server in snapshot.servers
        ),
    )
    _fill(metrics.pool_max_nodes, {(pool.name,): pool.max_nodes for pool in snapshot.pools})
    _fill(metrics.pool_min_nodes, {(pool.name,): pool.min_nodes for pool in snapshot.pools})
    _fill(
        metrics.pool_at_limit,
        {(pool.pool, reason.code): 1 for pool in plan.pools for reason in pool.blocked},
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


def phase(server: Server, node: Node | None) -> str:
    """Return where a machine is in its life, as the `phase` label of the `nodes` gauge."""
    if server.status == "deleting":
        return "deleting"
    if node is None:
        return "requested" if server.status == "requested" else "launched"
    if node.draining_since is not None:
        return "draining"
    if not node.ready:
        return "not-ready"
    return "ready" if node.unneeded_since is None else "unneeded"


def until_text(until: datetime | None) -> str:
    """Return a time for a person, empty for none."""
    return "" if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"


def _fill(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
