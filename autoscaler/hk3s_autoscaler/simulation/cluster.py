"""Hetzner, the kubelets and the controllers, as far as a plan can tell: they obey at once."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, assert_never

from hk3s_autoscaler.daemon.memory import Memory
from hk3s_autoscaler.model.node import STARTING_TAINT, Node, Server
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import DisruptionBudget, Pod, PodKey, Taint
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DeleteNode,
    DeleteServer,
    DrainNode,
    FinishServer,
    InvitePods,
    MarkReplacing,
    MarkUnneeded,
    OpenNode,
    UncordonNode,
)
from hk3s_autoscaler.scheduling.place import new_place
from hk3s_autoscaler.simulation.disruptions import budgets
from hk3s_autoscaler.simulation.result import Life
from hk3s_autoscaler.simulation.trace import Market, Stock, Trace

_HEALTHY = timedelta(days=1)
_UID = "simulated"
_IN_SERVICE: dict[str, Any] = {
    "unschedulable": False,
    "draining_since": None,
    "draining_reason": "",
    "unneeded_since": None,
    "replacing_since": None,
    "replacing_reason": "",
}
_OTHER_MEMBERS = 2
"""Bastion and master are in the network, too."""


@dataclass(slots=True)
class Cluster:
    """What there is. `lives` are all servers ever bought, `refused` purchases for want of stock.

    `blocked` are evictions that a PodDisruptionBudget did not allow.
    """

    trace: Trace
    market: Market
    chance: random.Random
    servers: dict[str, Server] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[PodKey, Pod] = field(default_factory=dict)
    workload_of: dict[PodKey, str] = field(default_factory=dict)
    offerings: dict[OfferingKey, Offering] = field(default_factory=dict)
    left: dict[OfferingKey, int | None] = field(default_factory=dict)
    joins_at: dict[str, datetime] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)
    refused: int = 0
    evictions: int = 0
    blocked: int = 0
    memory: Memory = field(default_factory=Memory)
    _serials: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for sold in self.market.offerings:
            self.offerings[sold.key] = sold
            self.left[sold.key] = None if sold.published_available else 0

    def snapshot(self, now: datetime) -> Snapshot:
        """What the planner sees."""
        pools = (self.memory.overlay(pool, now) for pool in self.market.pools)
        return Snapshot(
            pools=tuple(pools),
            nodes=tuple(self.nodes.values()),
            servers=tuple(self.memory.expected(server) for server in self.servers.values()),
            pods=tuple(self.pods.values()),
            daemonsets=self.trace.daemonsets,
            budgets=self._budgets(),
            offerings=tuple(self.offerings.values()),
            servers_read_at=now,
            healthy_since=self.trace.start - _HEALTHY,
            attachments_used=len(self.servers) + _OTHER_MEMBERS,
            cluster_uid=_UID,
        )

    def add_pod(self, like: Pod, workload: str, now: datetime) -> Pod:
        """Have one more pod of a workload, which waits."""
        self._serials[workload] += 1
        name = f"{workload}-{self._serials[workload]:05}"
        key = PodKey(like.key.namespace, name)
        made = replace(like, key=key, uid=name, created_at=now, unschedulable_since=now)
        self.pods[key] = made
        self.workload_of[key] = workload
        return made

    def remove_pod(self, key: PodKey) -> None:
        """A pod has ended, or is wanted no more."""
        self.pods.pop(key, None)
        self.workload_of.pop(key, None)

    def _budgets(self) -> tuple[DisruptionBudget, ...]:
        return budgets(self.trace.workloads, self.pods, self.workload_of)

    def restock(self, change: Stock) -> None:
        """Hetzner has more, or fewer, of some offerings."""
        for key, sold in self.offerings.items():
            if fnmatchcase(str(key), change.offering):
                self.left[key] = change.left
                if change.announced:
                    self.offerings[key] = replace(sold, published_available=change.left != 0)

    def join(self, name: str, now: datetime) -> None:
        """A server's node registers and is Ready, closed until the planner opens it."""
        server = self.servers[name]
        pool = next(pool for pool in self.market.pools if pool.name == server.pool)
        sold = self.offerings[server.offering]
        place = new_place(pool, sold, name=name, allocatable=sold.allocatable)
        self.nodes[name] = Node(
            name=name,
            uid=name,
            created_at=now,
            labels=tuple(sorted(place.labels.items())),
            taints=(*place.taints, Taint(key=STARTING_TAINT)),
            allocatable=sold.allocatable,
            pool=server.pool,
            server_id=server.server_id,
            ready_since=now,
        )
        self.lives[name] = replace(self.lives[name], joined=True)
        self.memory.joined(server.pool)

    def carry_out(self, actions: Iterable[Action], now: datetime) -> None:
        """Do what a plan asks for, as the daemon does it.

        What a failed join means for its pool, the next plan knows: until then it buys nothing.
        """
        in_doubt: set[str] = set()
        for action in actions:
            match action:
                case CreateServer() if action.pool not in in_doubt:
                    self._create(action, now)
                case DeleteServer():
                    if action.name not in self.nodes:
                        in_doubt.add(action.pool)
                    self._delete(action, now)
                case InvitePods():
                    self._invite(action, now)
                case _:
                    self._change_node(action, now)

    def _change_node(self, action: Action, now: datetime) -> None:
        match action:
            case DrainNode():
                self._drain(action, now)
            case DeleteNode():
                self.nodes.pop(action.node, None)
            case MarkUnneeded():
                self._change(action.node, unneeded_since=action.since)
            case MarkReplacing():
                why = action.why or ""
                self._change(action.node, replacing_since=action.since, replacing_reason=why)
            case CordonNode():
                self._change(
                    action.node,
                    unschedulable=True,
                    draining_since=now,
                    draining_reason=action.reason.code.value,
                )
            case OpenNode():
                node = self.nodes[action.node]
                kept = tuple(taint for taint in node.taints if taint.key != STARTING_TAINT)
                self._change(action.node, taints=kept)
            case UncordonNode():
                self._change(action.node, **_IN_SERVICE)
            case CreateServer() | FinishServer() | DeleteServer() | InvitePods():
                pass  # not of a node, or put off; and no server here stops half-way
            case _:
                assert_never(action)

    def _drain(self, action: DrainNode, now: datetime) -> None:
        for key in action.pods:
            allowed = (b.disruptions_allowed for b in self._budgets() if key in b.pods)
            if all(allowed):
                self._evict(key, now)
            else:
                self.blocked += 1

    def _create(self, action: CreateServer, now: datetime) -> None:
        """Buy the first offering that is there; those that are not are left alone for a while."""
        for key in (action.offering, *action.fallbacks):
            if self.memory.is_blocked(action.pool, key, now):
                continue
            if self.left[key] == 0:
                self.refused += 1
                self.memory.block(action.pool, key, "resource_unavailable", now)
                continue
            self._buy(action, key, now)
            return

    def _buy(self, action: CreateServer, key: OfferingKey, now: datetime) -> None:
        left = self.left[key]
        if left is not None:
            self.left[key] = left - 1
        number = len(self.lives) + 1
        name = f"{action.pool}-{number:04}"
        price = self.offerings[key].micro_eur_per_hour
        self.servers[name] = Server(
            name=name,
            server_id=number,
            pool=action.pool,
            offering=key,
            status="running",
            created_at=now,
            cluster_uid=_UID,
            micro_eur_per_hour=price,
            attached=True,
        )
        self.memory.bought(action.pool, key)
        self.memory.expect(name, action.pods)
        self.lives[name] = Life(offering=key, bought_at=now, micro_eur_per_hour=price)
        joining = self.trace.joining
        spare = (joining.longest - joining.shortest).total_seconds()
        took = joining.shortest + timedelta(seconds=round(self.chance.random() * spare))
        if self.chance.random() * 100 >= joining.failing_percent:
            self.joins_at[name] = now + took

    def _delete(self, action: DeleteServer, now: datetime) -> None:
        self.servers.pop(action.name)
        self.joins_at.pop(action.name, None)
        self.lives[action.name] = replace(
            self.lives[action.name], ended_at=now, why=action.reason.code
        )
        if action.name not in self.nodes:
            self.memory.join_failed(action.pool, "no report", "never registered", now)
        for key in [key for key, pod in self.pods.items() if pod.node == action.name]:
            self._evict(key, now)

    def _invite(self, action: InvitePods, now: datetime) -> None:
        self._change(action.node, opening_since=now)
        for key in action.pods:
            pod = self.pods.get(key)
            if pod is not None and not pod.node:
                here = (*pod.invited_to, action.node)
                self.pods[key] = replace(pod, nominated_node=action.node, invited_to=here)

    def _evict(self, key: PodKey, now: datetime) -> None:
        """Its controller makes it anew."""
        pod = self.pods.get(key)
        if pod is None:
            return
        self.evictions += 1
        self.pods[key] = replace(
            pod,
            node="",
            nominated_node="",
            invited_to=(),
            phase="Pending",
            created_at=now,
            unschedulable_since=now,
        )

    def _change(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - the node's own fields
        if name in self.nodes:
            self.nodes[name] = replace(self.nodes[name], **changes)
