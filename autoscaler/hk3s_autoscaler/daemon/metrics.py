"""Every metric of the daemon, on a registry of its own. Names are an interface: alerts use them."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PREFIX: Final = "hk3s_autoscaler"
_JOIN_BUCKETS: Final = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 450, 600, 900)
_REACTION_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5, 10, 30)
_LOOP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One attribute a metric; labels as the alerts expect them."""

    def __init__(self, version: str, *, dry_run: bool = False) -> None:
        self.registry = CollectorRegistry()
        gauge, counter, histogram = self._gauge, self._counter, self._histogram

        self.leader = gauge("leader", "1 while this process holds the Lease")
        self.loop_last_success = gauge(
            "loop_last_success_timestamp_seconds", "When a turn of the loop last ended well"
        )
        self.loop_duration = histogram(
            "loop_duration_seconds", "Observe, plan and execute", _LOOP_BUCKETS
        )
        self.loop_errors = counter("loop_errors", "Failed turns and actions", "kind")

        self.pending_pods = gauge("pending_pods", "Unschedulable pods by reason", "reason")
        self.nodes = gauge("nodes", "Servers and their nodes by phase", "pool", "phase")
        self.pool_max_nodes = gauge("pool_max_nodes", "maxNodes of a pool", "pool")
        self.pool_min_nodes = gauge("pool_min_nodes", "minNodes of a pool", "pool")
        self.pool_at_limit = gauge(
            "pool_at_limit", "1 while a limit holds growth back", "pool", "reason"
        )
        self.pool_paused = gauge("pool_paused", "1 while a pool does not buy", "pool")
        self.eur_per_hour = gauge("eur_per_hour", "Net price of a pool's servers", "pool")

        self.servers_created = counter(
            "servers_created", "Servers bought", "pool", "server_type", "location"
        )
        self.nodes_joined = counter("nodes_joined", "Nodes that became Ready", "pool")
        self.servers_deleted = counter("servers_deleted", "Servers given back", "pool", "reason")
        self.servers_replaced = counter(
            "servers_replaced", "Servers given back for another one", "pool", "reason"
        )
        self.create_failures = counter(
            "create_failures",
            "Create calls that bought nothing",
            *("pool", "server_type", "location", "reason"),
        )
        self.fallbacks = counter(
            "fallbacks",
            "Servers bought as another offering than the first choice",
            *("pool", "server_type", "location"),
        )
        self.join_failures = counter(
            "join_failures", "Servers that did not become nodes in time", "pool", "step"
        )
        self.join_seconds = histogram(
            "join_seconds", "From the create call to a Ready node", _JOIN_BUCKETS, "pool"
        )
        self.reaction_seconds = histogram(
            "reaction_seconds",
            "From the watch event of an unschedulable pod to the create call",
            _REACTION_BUCKETS,
        )
        self.evictions = counter("evictions", "Evictions asked for", "result")
        self.drain_blocked = gauge(
            "drain_blocked", "Draining nodes that cannot go on", "pool", "reason"
        )
        self.offering_blocked = gauge(
            "offering_blocked",
            "1 while an offering is left alone",
            *("server_type", "location", "reason"),
        )
        self.orphans_collected = counter(
            "orphans_collected", "Servers without a node, nodes without a server", "kind"
        )
        self.network_attachments = gauge("network_attachments", "Members of the network")
        self.network_attachments_max = gauge("network_attachments_max", "How many it may have")
        self.hetzner_requests = counter(
            "hetzner_requests", "Attempts of calls to Hetzner", "method", "code"
        )
        self.hetzner_ratelimit_remaining = gauge(
            "hetzner_ratelimit_remaining", "Calls left in the project's budget"
        )
        self.paused = gauge("paused", "1 while the pause switch is on")
        self.dry_run = gauge("dry_run", "1 when nothing is ever written")
        self.build_info = gauge("build_info", "The running version", "version")

        self.dry_run.set(int(dry_run))
        self.build_info.labels(version).set(1)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
