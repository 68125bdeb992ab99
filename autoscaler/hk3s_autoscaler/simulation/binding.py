"""kube-scheduler as plain as can be: of the nodes that fit the fullest, or the emptiest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from hk3s_autoscaler.model.node import STARTING_TAINT, Node
from hk3s_autoscaler.model.pod import Pod, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.bonds import UNBOUND, bonds
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import Place, fits, node_place, with_daemons
from hk3s_autoscaler.simulation.cluster import Cluster


def bind(cluster: Cluster, now: datetime) -> list[Pod]:
    """Bind every pending pod that fits somewhere, and return those."""
    pending = [pod for pod in cluster.pods.values() if not pod.node]
    if not pending or not cluster.nodes:
        return []
    scheduler = _Scheduler(cluster, now, pending)
    bound = []
    hopeless: set[PodSpec] = set()
    for pod in sorted(pending, key=_order):
        if pod.spec in hopeless:
            continue
        name = scheduler.choose(pod)
        if name is None:
            # What rules about other pods forbid may be allowed once another pod is there.
            if not (pod.spec.relations.any or pod.nominated_node):
                hopeless.add(pod.spec)
            continue
        scheduler.put(pod, name)
        placed = replace(
            pod, node=name, nominated_node="", phase="Running", unschedulable_since=None
        )
        cluster.pods[pod.key] = placed
        bound.append(placed)
    return bound


def _order(pod: Pod) -> tuple[object, ...]:
    return (not pod.nominated_node, -pod.spec.priority, pod.created_at, pod.key)


class _Scheduler:
    """Room and rules of one pass."""

    def __init__(self, cluster: Cluster, now: datetime, pending: list[Pod]) -> None:
        self._places = dict(_places(cluster))
        self._nodes = cluster.nodes
        self._packing = cluster.trace.packing
        related = any(pod.spec.relations.any for pod in cluster.pods.values())
        ties = bonds(_unnominated(cluster, now), pending) if related else UNBOUND
        self._board = ties.board()
        self._numbers = {site.name: number for number, site in enumerate(ties.sites)}
        self._roles = ties.roles

    def choose(self, pod: Pod) -> str | None:
        """The node that a pod goes to: the one it is nominated to, else the one of most points."""
        if pod.nominated_node in self._places and self._takes(pod, pod.nominated_node):
            return pod.nominated_node
        fitting = [name for name in self._places if self._takes(pod, name)]
        return max(fitting, key=lambda name: (self._score(name), name), default=None)

    def put(self, pod: Pod, name: str) -> None:
        """A pod is on a node now."""
        place = self._places[name]
        self._places[name] = replace(
            place,
            room=place.room - pod.spec.requests,
            ports=place.ports | frozenset(pod.spec.host_ports),
        )
        role = self._roles.get(pod.key)
        if role is not None:
            self._board.put(role, self._numbers[name])

    def _takes(self, pod: Pod, name: str) -> bool:
        place = self._places[name]
        if name in pod.invited_to:
            others = tuple(taint for taint in place.taints if taint.key != STARTING_TAINT)
            place = replace(place, taints=others)
        if not fits(pod.spec, place):
            return False
        role = self._roles.get(pod.key)
        return role is None or self._board.allows(role, self._numbers[name])

    def _score(self, name: str) -> int:
        """Shares of CPU and memory that are taken, in thousandths; or free, without the profile."""
        room, whole = self._places[name].room, self._nodes[name].allocatable
        taken = _share(whole.cpu_milli, room.cpu_milli) + _share(
            whole.memory_bytes, room.memory_bytes
        )
        return taken if self._packing else -taken


def _unnominated(cluster: Cluster, now: datetime) -> World:
    """The world without nominations: such pods are put on their nodes in this very pass."""
    seen = cluster.snapshot(now)
    pods = tuple(replace(pod, nominated_node="") for pod in seen.pods)
    return World(snapshot=replace(seen, pods=pods), config=cluster.market.config, now=now)


def _share(whole: int, room: int) -> int:
    return (whole - room) * 1000 // max(1, whole)


def _places(cluster: Cluster) -> Iterator[tuple[str, Place]]:
    used: dict[str, Resources] = {}
    ports: dict[str, set[tuple[str, str, int]]] = {}
    for pod in cluster.pods.values():
        if pod.node:
            used[pod.node] = used.get(pod.node, Resources()) + pod.spec.requests
            ports.setdefault(pod.node, set()).update(pod.spec.host_ports)
    for node in cluster.nodes.values():
        if _is_open(node):
            room = node.allocatable - used.get(node.name, Resources())
            place = node_place(node, room=room, ports=ports.get(node.name, ()))
            yield node.name, with_daemons(place, cluster.trace.daemonsets)


def _is_open(node: Node) -> bool:
    return node.ready and not node.unschedulable
