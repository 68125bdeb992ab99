"""A snapshot with its cross-references drawn: workers, and what is on which node."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.lifecycle import Phase, phase
from hk3s_autoscaler.planning.packing import Packer, pack
from hk3s_autoscaler.planning.reasons import Code, Reason

ENDED = ("Succeeded", "Failed")
GOING = ("deleting", "stopping")


class Worker(NamedTuple):
    """A server of ours, its Node, or both."""

    name: str
    pool: str
    server: Server | None
    node: Node | None
    phase: Phase


@dataclass(frozen=True, kw_only=True)
class World:
    """One snapshot at one time. Servers with another cluster's UID are not in it.

    `worked_out` remembers the room on nodes, with the Node and the pods that it was found for.
    `real` is the world that this one was imagined from: the same but for pods, of which none is
    left on the nodes `emptied`, and some that are `waiting` have come.
    """

    snapshot: Snapshot
    config: PlanConfig
    now: datetime
    packer: Packer = pack
    worked_out: dict[str, tuple[Node, tuple[Pod, ...], Any]] = field(
        default_factory=dict, compare=False, repr=False
    )
    real: "World | None" = field(default=None, compare=False, repr=False)
    emptied: frozenset[str] = frozenset()
    waiting: tuple[Pod, ...] = ()

    def without(self, names: Iterable[str], waiting: Iterable[Pod]) -> "World":
        """Imagine that nobody is left on some nodes, and that these pods wait for a place."""
        gone, come = frozenset(names), tuple(waiting)
        kept = [
            pod
            for pod in self.snapshot.pods
            if pod.node not in gone and (pod.node or pod.nominated_node not in gone)
        ]
        snapshot = replace(self.snapshot, pods=(*kept, *come))
        return replace(self, snapshot=snapshot, real=self, emptied=gone, waiting=come)

    @cached_property
    def pools(self) -> dict[str, NodePool]:
        """Pools by name."""
        return {pool.name: pool for pool in self.snapshot.pools}

    @cached_property
    def offerings(self) -> dict[OfferingKey, Offering]:
        """Offerings by type and location."""
        return {offering.key: offering for offering in self.snapshot.offerings}

    @cached_property
    def workers(self) -> tuple[Worker, ...]:
        """All workers by name: our servers, and Nodes that carry the ownership label."""
        if self.real is not None:
            return self.real.workers
        servers = [s for s in self.snapshot.servers if s.cluster_uid == self.snapshot.cluster_uid]
        by_id = {s.server_id: s for s in servers if s.server_id}
        by_name = {s.name: s for s in servers}
        found: list[Worker] = []
        joined: set[str] = set()
        for node in self.snapshot.nodes:
            if not node.pool or node.is_master:
                continue
            server = by_id.get(node.server_id) if node.server_id else by_name.get(node.name)
            if server is not None:
                joined.add(server.name)
            found.append(self._worker(server, node))
        found += [self._worker(server, None) for server in servers if server.name not in joined]
        return tuple(sorted(found, key=lambda worker: worker.name))

    def _worker(self, server: Server | None, node: Node | None) -> Worker:
        known = node or server
        assert known is not None  # noqa: S101 - the callers pass one of the two
        pool = server.pool if server is not None else known.pool
        return Worker(known.name, pool, server, node, phase(server, node, self.now))

    @cached_property
    def pods_by_node(self) -> dict[str, tuple[Pod, ...]]:
        """Pods that take room on a node: bound or nominated there, and not ended.

        Expendable pods are left out: they make way for any other pod.
        """
        if self.real is not None:
            before = self.real.pods_by_node
            return {node: pods for node, pods in before.items() if node not in self.emptied}
        found: dict[str, list[Pod]] = {}
        least = self.config.expendable_priority_cutoff
        for pod in self.snapshot.pods:
            node = pod.node or pod.nominated_node
            if node and pod.spec.priority >= least and pod.phase not in ENDED:
                found.setdefault(node, []).append(pod)
        return {node: tuple(pods) for node, pods in found.items()}

    @cached_property
    def unbound(self) -> tuple[Pod, ...]:
        """Pods that are on no node yet."""
        if self.real is None:
            return tuple(pod for pod in self.snapshot.pods if not pod.node)
        known = (pod for pod in self.real.unbound if pod.nominated_node not in self.emptied)
        return (*known, *self.waiting)

    @cached_property
    def shunning(self) -> dict[str, tuple[Pod, ...]]:
        """Pods on nodes that want to be apart from others."""
        if self.real is not None:
            before = self.real.shunning
            return {node: pods for node, pods in before.items() if node not in self.emptied}
        found = {
            node: tuple(pod for pod in pods if pod.spec.relations.anti_affinity)
            for node, pods in self.pods_by_node.items()
        }
        return {node: pods for node, pods in found.items() if pods}

    @cached_property
    def expendable_by_node(self) -> dict[str, tuple[Pod, ...]]:
        """Expendable pods that run on a node: they never keep it, but are evicted in good order."""
        found: dict[str, list[Pod]] = {}
        for pod in self.snapshot.pods:
            if pod.node and pod.phase not in ENDED and self.is_expendable(pod):
                found.setdefault(pod.node, []).append(pod)
        return {node: tuple(pods) for node, pods in found.items()}

    def offering_of(self, server: Server) -> Offering | None:
        """The offering that a server was bought as, while it is known."""
        exact = self.offerings.get(server.offering)
        if exact is not None:
            return exact
        # The type may be gone from that location; its size is the same everywhere.
        kind = server.offering.server_type
        return next((o for key, o in self.offerings.items() if key.server_type == kind), None)

    def price_of(self, server: Server) -> int:
        """What a server costs: as its label recorded it, else as it is sold now."""
        if server.micro_eur_per_hour:
            return server.micro_eur_per_hour
        offering = self.offering_of(server)
        return offering.micro_eur_per_hour if offering is not None else 0

    def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Pods that take room on a node."""
        return self.pods_by_node.get(node, ())

    def occupants(self, node: str) -> tuple[Pod, ...]:
        """Pods that keep a node in use: neither of a DaemonSet nor static nor expendable."""
        return tuple(pod for pod in self.pods_on(node) if not pod.is_daemon and not pod.mirror)

    def is_expendable(self, pod: Pod) -> bool:
        """Whether a pod neither makes the cluster grow nor keeps it from shrinking."""
        return pod.spec.priority < self.config.expendable_priority_cutoff

    @cached_property
    def frozen_for(self) -> str:
        """Say why nothing may be deleted now; empty when deletions are allowed."""
        since = self.snapshot.healthy_since
        if since is None:
            return "Hetzner or the apiserver does not answer: nothing is deleted"
        until = since + self.config.health_wait
        if self.now < until:
            return f"after an outage nothing is deleted until {until:%H:%M:%S} UTC"
        return ""

    @cached_property
    def no_growth(self) -> Reason | None:
        """Why nothing at all may be bought now."""
        if self.config.paused:
            return Reason(Code.PAUSED, "the autoscaler is paused")
        if self.snapshot.healthy_since is None:
            return Reason(
                Code.FROZEN, "Hetzner or the apiserver does not answer: nothing is bought blindly"
            )
        return None

    @cached_property
    def learnt_allocatable(self) -> dict[str, Resources]:
        """The least that Ready workers of a server type offer, by type."""
        if self.real is not None:
            return self.real.learnt_allocatable
        found: dict[str, Resources] = {}
        for worker in self.workers:
            if worker.server is None or worker.node is None or not worker.node.ready:
                continue
            kind = worker.server.offering.server_type
            have = worker.node.allocatable
            found[kind] = _least(found[kind], have) if kind in found else have
        return found

    def alive(self, pool: str, *, but: Iterable[str] = ()) -> tuple[Worker, ...]:
        """Workers of a pool that are there to stay, without those named."""
        gone = frozenset(but)
        return tuple(
            w
            for w in self.workers
            if w.pool == pool
            and w.name not in gone
            and w.server is not None
            and w.server.status not in GOING
            and w.phase is not Phase.DRAINING
        )


def _least(left: Resources, right: Resources) -> Resources:
    extended = dict(right.extended)
    return Resources(
        cpu_milli=min(left.cpu_milli, right.cpu_milli),
        memory_bytes=min(left.memory_bytes, right.memory_bytes),
        ephemeral_bytes=min(left.ephemeral_bytes, right.ephemeral_bytes),
        pods=min(left.pods, right.pods),
        extended=tuple((n, min(a, extended[n])) for n, a in left.extended if n in extended),
    )
