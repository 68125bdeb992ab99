"""Kubernetes in memory: as `ports.py` has it, and it can say no."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from autoscaler.fake_cloud import Faulty
from autoscaler.fakes import CLUSTER_UID, ManualClock
from hk3s_autoscaler.model.node import STARTING_TAINT, Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod, PodKey
from hk3s_autoscaler.model.volumes import NO_STORAGE, Storage
from hk3s_autoscaler.ports import (
    EvictionBlocked,
    NotLeader,
    ObjectRef,
    PoolStatus,
)


class FakeCluster(Faulty):
    """Kubernetes objects by name; watches are always up to date."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.node_objects: dict[str, Node] = {}
        self.pod_objects: dict[PodKey, Pod] = {}
        self.pool_objects: dict[str, NodePool] = {}
        self.tokens: dict[str, str] = {}
        self.volumes: dict[str, int] = {}
        self.protected: set[PodKey] = set()
        self.events: list[tuple[ObjectRef, str, str]] = []
        self.statuses: dict[str, PoolStatus] = {}
        self.report: dict[str, str] = {}
        self.contact: float | None = None
        self.leader = True
        self.on_look: Callable[[str], None] = lambda _: None

    def add(self, *things: Node | Pod | NodePool) -> None:
        for thing in things:
            match thing:
                case Node():
                    self.node_objects[thing.name] = thing
                case Pod():
                    self.pod_objects[thing.key] = thing
                case NodePool():
                    self.pool_objects[thing.name] = thing

    def nodes(self) -> tuple[Node, ...]:
        self.calls.append("nodes")
        return tuple(self.node_objects.values())

    def pods(self) -> tuple[Pod, ...]:
        self.calls.append("pods")
        return tuple(self.pod_objects.values())

    def daemonsets(self) -> tuple[DaemonSet, ...]:
        return ()

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        return ()

    def storage(self) -> Storage:
        return NO_STORAGE

    def budgets(self) -> tuple[DisruptionBudget, ...]:
        return ()

    def pools(self) -> tuple[NodePool, ...]:
        return tuple(self.pool_objects.values())

    def cluster_uid(self) -> str:
        return CLUSTER_UID

    def synced(self) -> bool:
        return True

    def oldest_contact(self) -> float:
        return self._clock.monotonic() if self.contact is None else self.contact

    async def get_node(self, name: str) -> Node | None:
        self._enter("get_node")
        self.on_look(name)
        return self.node_objects.get(name)

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        self._enter("pods_on")
        return tuple(p for p in self.pod_objects.values() if p.node == node)

    async def volumes_attached(self, node: str) -> int:
        self._enter("volumes_attached")
        return self.volumes.get(node, 0)

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        assert expires_at > self._clock.now()
        self._enter("create_join_token")
        self._check_leader()
        self.tokens[server_name] = f"K10{'0' * 64}::abcdef.{server_name[-6:]:0>16}"
        return self.tokens[server_name]

    async def revoke_join_token(self, server_name: str) -> None:
        self._enter("revoke_join_token")
        self.tokens.pop(server_name, None)

    async def invite_pods(self, node: str, pods: tuple[Pod, ...], since: datetime) -> int:
        self._enter("invite_pods")
        self._check_leader()
        taken = [pod for pod in pods if pod.key in self.pod_objects and not pod.node]
        for pod in taken:
            invited = (*pod.invited_to, *({node} - set(pod.invited_to)))
            self.pod_objects[pod.key] = replace(pod, nominated_node=node, invited_to=invited)
        self._change(node, opening_since=since)
        return len(taken)

    async def open_node(self, node: str) -> None:
        self._enter("open_node")
        self._check_leader()
        taints = self.node_objects[node].taints
        self._change(node, taints=tuple(t for t in taints if t.key != STARTING_TAINT))

    async def mark_unneeded(self, node: str, since: datetime | None) -> None:
        self._enter("mark_unneeded")
        self._change(node, unneeded_since=since)

    async def mark_replacing(self, node: str, since: datetime | None, reason: str) -> None:
        self._enter("mark_replacing")
        self._change(node, replacing_since=since, replacing_reason=reason)

    async def cordon(self, node: str, reason: str, since: datetime) -> None:
        self._enter("cordon")
        self._check_leader()
        self._change(node, unschedulable=True, draining_since=since, draining_reason=reason)

    async def uncordon(self, node: str) -> None:
        self._enter("uncordon")
        self._change(
            node,
            unschedulable=False,
            draining_since=None,
            draining_reason="",
            unneeded_since=None,
            replacing_since=None,
            replacing_reason="",
        )

    async def evict(self, pod: Pod) -> None:
        self._enter("evict")
        self._check_leader()
        if pod.key in self.protected:
            raise EvictionBlocked("the budget needs 2 pods and has 2")
        self.pod_objects.pop(pod.key, None)

    async def delete_node(self, name: str, uid: str) -> None:
        self._enter("delete_node")
        if name in self.node_objects and self.node_objects[name].uid == uid:
            del self.node_objects[name]

    async def emit(
        self, about: ObjectRef, *, reason: str, message: str, warning: bool = False
    ) -> None:
        self._enter("emit")
        self.events.append((about, reason, f"Warning: {message}" if warning else message))

    async def write_pool_status(self, status: PoolStatus) -> None:
        self._enter("write_pool_status")
        self.statuses[status.pool.name] = status
        kept = self.pool_objects[status.pool.name]
        self.pool_objects[status.pool.name] = replace(
            kept, blocks=status.pool.blocks, paused_until=status.pool.paused_until
        )

    async def read_report(self) -> Mapping[str, str]:
        self._enter("read_report")
        return self.report

    async def write_report(self, entries: Mapping[str, str]) -> None:
        self._enter("write_report")
        self.report = dict(entries)

    def reasons(self, kind: str = "NodePool") -> list[str]:
        """The reasons of the Events about objects of a kind, in order."""
        return [reason for about, reason, _ in self.events if about.kind == kind]

    def _change(self, name: str, **fields: object) -> None:
        self.node_objects[name] = replace(self.node_objects[name], **fields)  # type: ignore[arg-type]

    def _check_leader(self) -> None:
        if not self.leader:
            raise NotLeader("the Lease is not ours")
