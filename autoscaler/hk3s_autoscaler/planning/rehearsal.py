"""What if these workers went? Their pods are counted as pending, and growth says where they go."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.capacity import capacity
from hk3s_autoscaler.planning.lifecycle import ON_THE_WAY, Phase
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.scale_up import plan_scale_up
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import ENDED, World
from hk3s_autoscaler.scheduling.place import Place, conflicts, mismatch

_MOST_TRIALS = 50_000
"""Pods times places up to which kube-scheduler's own order is tried out as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What would become of the pods.

    `creates` would be bought; `unserved` is the first reason for which a pod finds no place;
    `targets` are the nodes that take pods in.
    """

    creates: tuple[CreateServer, ...]
    unserved: Reason | None
    targets: frozenset[str]

    @property
    def price(self) -> int:
        """Micro-euro an hour of what would be bought."""
        return sum(create.micro_eur_per_hour for create in self.creates)

    @property
    def fits(self) -> bool:
        """Whether everything finds a place in what is there."""
        return self.unserved is None and not self.creates


def rehearse(
    world: World,
    going: Sequence[Candidate],
    *,
    hidden: Iterable[str] = (),
    buy: bool = True,
) -> Rehearsal:
    """Take workers out of service in thought; servers on their way are not counted on.

    `hidden` names others that are not to be counted on. Without `buy` it is only asked whether
    everything finds a place in what is there, which is much less work.
    """
    leaving = _draining(world)
    names = {c.name for c in going} | leaving
    doomed = names | set(hidden) | _on_the_way(world)
    moved = (*_pods_of(going), *_left_on(world, leaving))
    imagined = _without(world, names, moved)
    growth = plan_scale_up(imagined, doomed=doomed, buy=buy)
    keys = {pod.key for pod in moved}
    bought = {key for create in growth.creates for key in create.pods}
    stuck = [
        report.reason
        for report in growth.pods
        if report.pod in keys and not report.target and report.pod not in bought
    ]
    unserved = stuck[0] if stuck else None
    if unserved is None and not _is_schedulable(imagined, moved, doomed, growth.creates):
        unserved = Reason(Code.NO_PLACE, "kube-scheduler might not find the places that are there")
    targets = frozenset(report.target for report in growth.pods if report.pod in keys)
    return Rehearsal(creates=growth.creates, unserved=unserved, targets=targets)


def homeless(world: World) -> frozenset[PodKey]:
    """Pods on draining nodes that would have no place if they were evicted now.

    Servers on their way count: they may have been bought for just these pods.
    """
    leaving = _draining(world)
    moved = _left_on(world, leaving)
    if not moved:
        return frozenset()
    growth = plan_scale_up(_without(world, leaving, moved), doomed=leaving, buy=False)
    placed = {r.pod for r in growth.pods if r.target}
    return frozenset(pod.key for pod in moved if pod.key not in placed)


def _draining(world: World) -> set[str]:
    return {worker.name for worker in world.workers if worker.phase is Phase.DRAINING}


def _left_on(world: World, names: Iterable[str]) -> tuple[Pod, ...]:
    """Pods on nodes that are being drained, those that are ending already not counted."""
    return tuple(p for name in names for p in world.occupants(name) if p.deleted_at is None)


def _on_the_way(world: World) -> set[str]:
    return {worker.name for worker in world.workers if worker.phase in ON_THE_WAY}


def _pods_of(going: Sequence[Candidate]) -> tuple[Pod, ...]:
    return tuple(pod for candidate in going for pod in candidate.pods)


def _without(world: World, names: set[str], moved: Sequence[Pod]) -> World:
    waiting = (
        replace(
            pod,
            node="",
            nominated_node="",
            phase="Pending",
            unschedulable_since=world.now,
            deleted_at=None,
            gated=False,
        )
        for pod in moved
        if pod.phase not in ENDED
    )
    return world.without(names, waiting)


def _is_schedulable(
    world: World, moved: Sequence[Pod], doomed: set[str], creates: Sequence[CreateServer]
) -> bool:
    """Whether the pods also fit when they are placed one by one, as kube-scheduler does.

    It does not know our plan. Both its ways of scoring are tried: fullest and emptiest node first.
    """
    places = [slot.place for slot in capacity(world, doomed).ready]
    known = (
        {(offer.pool.name, offer.key): offer.place for offer in offers(world)} if creates else {}
    )
    places += [known[create.pool, create.offering] for create in creates]
    if len(moved) * len(places) > _MOST_TRIALS:
        return True
    return all(_place_all(moved, places, sign) for sign in (1, -1))


def _place_all(pods: Sequence[Pod], places: Sequence[Place], sign: int) -> bool:
    rooms = [place.room for place in places]
    ports = [place.ports for place in places]
    order = sorted((sign * room.cpu_milli, number) for number, room in enumerate(rooms))
    for pod in sorted(pods, key=lambda p: (-p.spec.priority, p.key)):
        spec = pod.spec
        best = next(
            (
                entry
                for entry in order
                if spec.requests.fits(rooms[entry[1]])
                and not conflicts(spec.host_ports, ports[entry[1]])
                and not mismatch(spec, places[entry[1]])
            ),
            None,
        )
        if best is None:
            return False
        number = best[1]
        rooms[number] -= spec.requests
        ports[number] |= frozenset(spec.host_ports)
        del order[bisect_left(order, best)]
        insort(order, (sign * rooms[number].cpu_milli, number))
    return True
