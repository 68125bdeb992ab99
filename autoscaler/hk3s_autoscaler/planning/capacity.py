"""Room that is there or on its way: nodes and servers as slots that pods may be counted onto."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.node import STARTING_TAINT, Node, Server
from hk3s_autoscaler.model.pod import Pod, PodKey, Taint
from hk3s_autoscaler.model.resources import Resources, total
from hk3s_autoscaler.planning.lifecycle import ON_THE_WAY, Phase
from hk3s_autoscaler.planning.world import GOING, Worker, World
from hk3s_autoscaler.scheduling.place import (
    CORDON_TAINT,
    Place,
    new_place,
    node_place,
    runs_daemon,
    with_daemons,
)

# Taints that young nodes carry until kubelet, cloud controller and network plugin are done.
_TRANSIENT = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "node.cilium.io/agent-not-ready",
        STARTING_TAINT,
    }
)


def is_starting(taint_key: str) -> bool:
    """Whether a taint says that its node is not in service yet."""
    return taint_key in _TRANSIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A node, or a server that becomes one, with the room it has for pods that are pending.

    `tried`: kube-scheduler has long known this room, so it does not suit pods that are overdue.
    `expected` are the pods that the server was bought for.
    """

    name: str
    place: Place
    tried: bool = False
    expected: tuple[PodKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Slots in the order in which they are used: there now, on the way, about to be given back."""

    ready: tuple[Slot, ...]
    coming: tuple[Slot, ...]
    leaving: tuple[Slot, ...]


def capacity(world: World, doomed: Iterable[str]) -> Capacity:
    """Return the room of every node and server but those that are about to be deleted."""
    gone = frozenset(doomed)
    workers = {worker.name: worker for worker in world.workers}
    ready, coming, leaving = [], [], []
    for node in world.snapshot.nodes:
        worker = workers.get(node.name)
        if node.name in gone or (worker is not None and _is_going(worker)):
            continue
        if node.draining_since is not None:
            if node.ready and worker is not None and worker.server is not None:
                leaving.append(_slot(world, _uncordoned(node), worker))
        elif _is_settling(world, node, worker):
            coming.append(_slot(world, _settled(world, node, worker), worker))
        elif node.ready:
            ready.append(_slot(world, node, worker))
    coming += _unregistered(world, gone)
    return Capacity(ready=tuple(ready), coming=tuple(coming), leaving=tuple(leaving))


def arriving(world: World) -> list[Worker]:
    """Workers that are not in service yet, those included whose node waits to be opened."""
    return [
        worker
        for worker in world.workers
        if worker.phase in ON_THE_WAY
        or (worker.node is not None and _is_settling(world, worker.node, worker))
    ]


def free_rooms(world: World) -> dict[str, Resources]:
    """What each node in service has left; what is overdrawn counts as nothing."""
    return {slot.name: _positive(slot.place.room) for slot in capacity(world, ()).ready}


def _positive(room: Resources) -> Resources:
    return Resources(
        cpu_milli=max(0, room.cpu_milli),
        memory_bytes=max(0, room.memory_bytes),
        ephemeral_bytes=max(0, room.ephemeral_bytes),
        pods=max(0, room.pods),
        extended=room.extended,
    )


def _unregistered(world: World, gone: frozenset[str]) -> Iterator[Slot]:
    for worker in world.workers:
        server, pool = worker.server, world.pools.get(worker.pool)
        if server is None or pool is None or worker.node is not None:
            continue
        offering = world.offering_of(server)
        if offering is None or worker.name in gone or _is_going(worker):
            continue
        room = _expected_room(world, server) or offering.allocatable
        actual = replace(offering, key=server.offering)
        place = new_place(pool, actual, name=server.name, allocatable=room)
        daemons = with_daemons(place, world.snapshot.daemonsets)
        yield Slot(name=server.name, place=daemons, expected=server.bought_for)


def _slot(world: World, node: Node, worker: Worker | None) -> Slot:
    """The room on a node; worlds that are imagined from one another work it out once."""
    pods = world.pods_on(node.name)
    known = world.worked_out.get(node.name)
    if known is not None and known[:2] == (node, pods):
        found: Slot = known[2]
        return found
    slot = _work_out(world, node, worker, pods)
    world.worked_out[node.name] = (node, pods, slot)
    return slot


def _work_out(world: World, node: Node, worker: Worker | None, pods: tuple[Pod, ...]) -> Slot:
    used = total(pod.spec.requests for pod in pods)
    ports = {port for pod in pods for port in pod.spec.host_ports}
    place = node_place(node, room=node.allocatable - used, ports=ports)
    running = {(pod.key.namespace, pod.owner.name) for pod in pods if pod.is_daemon and pod.owner}
    missing = [
        daemonset
        for daemonset in world.snapshot.daemonsets
        if (daemonset.key.namespace, daemonset.key.name) not in running
        and runs_daemon(daemonset, place)
    ]
    known_since = max(node.ready_since or node.created_at, node.created_at)
    server = worker.server if worker is not None else None
    return Slot(
        name=node.name,
        place=with_daemons(place, missing),
        tried=node.ready
        and not _young_taints(world, node)
        and known_since + world.config.unfit_after <= world.now,
        expected=server.bought_for if server is not None else (),
    )


def _is_going(worker: Worker) -> bool:
    return worker.server is not None and worker.server.status in GOING


def _is_settling(world: World, node: Node, worker: Worker | None) -> bool:
    """Whether a node of ours has joined but is not in service yet, and still in time for it."""
    if worker is None or worker.server is None:
        return False
    pool = world.pools.get(worker.pool)
    if pool is None or node.created_at + pool.join_timeout <= world.now:
        return False
    if not node.ready:
        return worker.phase in ON_THE_WAY
    return worker.phase in (Phase.READY, Phase.UNNEEDED) and bool(_young_taints(world, node))


def _uncordoned(node: Node) -> Node:
    kept = tuple(taint for taint in node.taints if taint.key != CORDON_TAINT)
    return replace(node, unschedulable=False, taints=kept)


def _settled(world: World, node: Node, worker: Worker | None) -> Node:
    """The node as it is once it is in service: without young taints, its size known."""
    young = _young_taints(world, node)
    room = node.allocatable
    if not room.cpu_milli and worker is not None and worker.server is not None:
        # Registered, but its kubelet has not written a status yet.
        room = _expected_room(world, worker.server) or room
    kept = tuple(taint for taint in node.taints if taint not in young)
    return replace(node, taints=kept, allocatable=room)


def _expected_room(world: World, server: Server) -> Resources | None:
    offering = world.offering_of(server)
    if offering is None:
        return None
    return world.learnt_allocatable.get(offering.key.server_type, offering.allocatable)


def _young_taints(world: World, node: Node) -> tuple[Taint, ...]:
    pool = world.pools.get(node.pool)
    startup = {(t.key, t.effect) for t in pool.startup_taints} if pool is not None else set()
    return tuple(t for t in node.taints if t.key in _TRANSIENT or (t.key, t.effect) in startup)
