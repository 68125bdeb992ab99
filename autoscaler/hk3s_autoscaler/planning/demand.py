"""Pending pods as numbers, and their distribution over slots."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.bonds import UNBOUND, Bonds
from hk3s_autoscaler.planning.capacity import Slot
from hk3s_autoscaler.planning.filling import Filling, Rule, by_density, by_match, by_size, by_value
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.problem import (
    ANYBODY,
    Kind,
    Neighbours,
    Pattern,
    Problem,
    Vector,
)
from hk3s_autoscaler.planning.relaxation import area_values
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.classes import ALONE, BEYOND, PodClass, Shape, classify
from hk3s_autoscaler.scheduling.place import Place, conflicts, mismatch

_MANY_SLOTS = 200
_PACKED_SLOTS = 48
_NEARLY = 8
"""The quick ways leave hardly any pod: less than one of so many."""
_AXES = 2
"""CPU and memory tell how large a slot is."""
_RULES: tuple[Rule, ...] = (by_match, by_size, by_density, by_value)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Classes of pending pods, most demanding first, and their bonds with pods that run."""

    classes: tuple[PodClass, ...]
    bonds: Bonds = UNBOUND

    @cached_property
    def extended(self) -> tuple[str, ...]:
        """Names of the extended resources that any pod asks for."""
        names = {name for c in self.classes for name, _ in c.spec.requests.extended}
        return tuple(sorted(names))

    def vector(self, amount: Resources) -> Vector:
        """An amount of resources as numbers, in the order that the whole demand shares."""
        extended = dict(amount.extended)
        return (
            amount.cpu_milli,
            amount.memory_bytes,
            amount.ephemeral_bytes,
            amount.pods,
            *(extended.get(name, 0) for name in self.extended),
        )

    @cached_property
    def problem(self) -> Problem:
        """The demand without anything for sale."""
        return Problem(
            demands=tuple(self.vector(c.spec.requests) for c in self.classes),
            counts=tuple(len(c.pods) for c in self.classes),
            kinds=(),
            ports=tuple(c.spec.host_ports for c in self.classes)
            if any(c.spec.host_ports for c in self.classes)
            else (),
            neighbours=_neighbours(self.classes),
        )

    @cached_property
    def packable(self) -> tuple[int, ...]:
        """How many of each class packing may place."""
        return tuple(0 if c.near is BEYOND else len(c.pods) for c in self.classes)

    @cached_property
    def class_of(self) -> dict[PodKey, int]:
        """Each pod's class."""
        return {pod.key: index for index, c in enumerate(self.classes) for pod in c.pods}

    def is_overdue(self, pod: Pod) -> bool:
        """Whether kube-scheduler has long looked for a place for a pod."""
        return self.classes[self.class_of[pod.key]].overdue

    @cached_property
    def _alike(self) -> tuple[tuple[PodSpec, tuple[tuple[int, ...], ...]], ...]:
        """Classes whose rules about nodes are the same, and of those the ones of the same size."""
        found: dict[object, dict[Resources, list[int]]] = {}
        for index, c in enumerate(self.classes):
            spec = c.spec
            rules = (
                spec.node_selector,
                spec.affinity_terms,
                spec.volume_terms,
                spec.tolerations,
            )
            found.setdefault(rules, {}).setdefault(spec.requests, []).append(index)
        return tuple(
            (
                self.classes[next(iter(sizes.values()))[0]].spec,
                tuple(tuple(same) for same in sizes.values()),
            )
            for sizes in found.values()
        )

    @cached_property
    def _least(self) -> Resources:
        """What every pod asks for at least: most nodes in service are too full for any."""
        asked = [c.spec.requests for c in self.classes]
        return Resources(
            cpu_milli=min((r.cpu_milli for r in asked), default=0),
            memory_bytes=min((r.memory_bytes for r in asked), default=0),
            pods=min((r.pods for r in asked), default=0),
        )

    @cached_property
    def _plain(self) -> frozenset[int]:
        """Classes for which room and the rules about nodes are all that matters."""
        return frozenset(
            index
            for index, c in enumerate(self.classes)
            if c.near is ALONE and not c.spec.host_ports
        )

    def suited(self, place: Place, *, tried: bool = False) -> tuple[int, ...]:
        """Classes of which at least one pod may run at a place."""
        found: list[int] = []
        if not self._least.fits(place.room):
            return ()
        for spec, sizes in self._alike:
            if mismatch(spec, place):
                continue
            for same in sizes:
                if self.classes[same[0]].spec.requests.fits(place.room):
                    found += same
        new = place.name not in self.bonds.names
        return tuple(
            index
            for index in sorted(found)
            if not (tried and self.classes[index].overdue)
            and (index in self._plain or self._may_join(self.classes[index], place, new=new))
        )

    def _may_join(self, pods: PodClass, place: Place, *, new: bool) -> bool:
        if pods.spec.host_ports and conflicts(pods.spec.host_ports, place.ports):
            return False
        if pods.near is ALONE or pods.near is BEYOND:
            return pods.near is ALONE
        return new or not self.bonds.bars(place.name, self.bonds.roles[pods.pods[0].key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What goes to which slot, and how many of each class are left."""

    loads: tuple[tuple[Slot, Pattern], ...]
    left: tuple[int, ...]


def pending(world: World) -> tuple[Pod, ...]:
    """Pods that may make the cluster grow: kube-scheduler found no place for them.

    Not those that are gated, nominated, going, expendable or a DaemonSet's.
    """
    return tuple(
        pod
        for pod in world.unbound
        if pod.unschedulable_since is not None
        and pod.phase == "Pending"
        and pod.deleted_at is None
        and not (pod.nominated_node or pod.gated or pod.is_daemon or pod.mirror)
        and not world.is_expendable(pod)
    )


def demand(
    world: World,
    pods: Sequence[Pod],
    *,
    bonds: Bonds = UNBOUND,
    shapes: Mapping[PodKey, Shape] | None = None,
) -> Demand:
    """Group pods; those unschedulable for long count as unfit for the room that is there."""
    return Demand(classes=classify(pods, overdue(world, pods), shapes), bonds=bonds)


def overdue(world: World, pods: Sequence[Pod]) -> list[Pod]:
    """Pods that kube-scheduler has been looking for a place for long enough."""
    last = world.now - world.config.unfit_after
    return [p for p in pods if p.unschedulable_since is not None and p.unschedulable_since <= last]


def place(
    wanted: Demand,
    counts: Sequence[int],
    slots: Sequence[Slot],
    loads: Mapping[str, Pattern] | None = None,
    *,
    sale: Callable[[], Sequence[Kind]] = tuple,
    only_all: bool = False,
) -> Placement:
    """Put as many pods as possible into slots: those they were bought for first, then by priority.

    Which slots hold all pods is a packing question too, so several ways are tried until one leaves
    nothing, at last the packing itself; with very many slots one way has to do. When each leaves
    some, the one is taken whose rest costs least of what is on `sale` (asked only then): many small
    pods in the room that is there may be a worse bargain than a few large ones.
    With `only_all` it is given up early where not all will find a place.
    `loads` are pods of the same demand that slots hold already; their room is not in the slot's.
    """
    loads = loads or {}
    suited = {slot.name: wanted.suited(slot.place, tried=slot.tried) for slot in slots}
    useful = [slot for slot in slots if any(counts[i] for i in suited[slot.name])]
    if not useful:
        return Placement(loads=(), left=tuple(counts))
    rules = _RULES[1:2] if len(useful) > _MANY_SLOTS else _RULES
    ways = (True, False) if any(slot.expected for slot in useful) else (False,)
    tried: dict[tuple[int, ...], Placement] = {}
    for rule in rules:
        for order in (useful, useful[::-1]):
            for expected in ways:
                found = _Placing(wanted, counts, suited, loads).run(order, rule, expected=expected)
                if not sum(found.left):
                    return found
                tried.setdefault(found.left, found)
        if only_all and min(map(sum, tried)) * _NEARLY > sum(counts):
            break
    nearly = min(map(sum, tried)) * _NEARLY <= sum(counts)
    if nearly and len(useful) <= _PACKED_SLOTS and not loads and _may_hold(wanted, counts, useful):
        packed = _packed(wanted, counts, useful, suited)
        if not sum(packed.left):
            return packed
    if len(tried) == 1 or rules is not _RULES:
        return min(tried.values(), key=lambda found: sum(found.left))
    kinds = tuple(sale())
    return min(tried.values(), key=lambda found: _cost(wanted, found.left, kinds))


def _cost(wanted: Demand, left: Sequence[int], sale: tuple[Kind, ...]) -> tuple[int, float, int]:
    """How many pods nothing on sale can hold, what the others cost by their size, how many all."""
    held = {index for kind in sale for index in kind.classes}
    lost = sum(n for index, n in enumerate(left) if index not in held)
    rest = replace(wanted.problem, kinds=sale, counts=tuple(left))
    price = sum(v * n for v, n in zip(area_values(rest), left, strict=True)) if sale else 0.0
    return (lost, price, sum(left))


def _may_hold(wanted: Demand, counts: Sequence[int], slots: Sequence[Slot]) -> bool:
    """Whether the slots together have what all pods together ask for."""
    asked = wanted.problem.load(tuple(enumerate(counts)))
    rooms = [wanted.vector(slot.place.room) for slot in slots]
    return all(
        not want or want <= sum(max(0, have) for have in haves)
        for want, *haves in zip(asked, *rooms, strict=True)
    )


def _packed(
    wanted: Demand,
    counts: Sequence[int],
    slots: Sequence[Slot],
    suited: Mapping[str, tuple[int, ...]],
) -> Placement:
    """Pack the slots as if they were for sale, each once."""
    alike: dict[tuple[Vector, tuple[int, ...]], list[Slot]] = {}
    for slot in slots:
        classes = tuple(i for i in suited[slot.name] if counts[i])
        alike.setdefault((wanted.vector(slot.place.room), classes), []).append(slot)
    largest = [max(1, *(room[axis] for room, _ in alike)) for axis in range(_AXES)]
    kinds = tuple(
        Kind(
            room=room,
            price=1 + sum(1000 * max(0, r) // most for r, most in zip(room, largest, strict=False)),
            classes=classes,
            uses=((number, 1),),
        )
        for number, (room, classes) in enumerate(alike)
    )
    limits = tuple(len(same) for same in alike.values())
    problem = replace(wanted.problem, counts=tuple(counts), kinds=kinds, limits=limits)
    packing = pack(problem)
    free = [list(same) for same in alike.values()]
    loads = [
        (free[batch.kind].pop(0), batch.pattern)
        for batch in packing.batches
        for _ in range(batch.number)
    ]
    return Placement(loads=tuple(loads), left=packing.missed)


class _Placing:
    def __init__(
        self,
        wanted: Demand,
        counts: Sequence[int],
        suited: Mapping[str, tuple[int, ...]],
        before: Mapping[str, Pattern],
    ) -> None:
        self._wanted = wanted
        self._before = before
        self._left = list(counts)
        self._suited = suited
        self._loads: dict[str, dict[int, int]] = {}
        self._values = [max(demand[:2]) for demand in wanted.problem.demands]

    def run(self, slots: Sequence[Slot], rule: Rule, *, expected: bool) -> Placement:
        if expected:
            for slot in slots:
                self._put_expected(slot)
        for priority in sorted({c.spec.priority for c in self._wanted.classes}, reverse=True):
            for slot in slots:
                self._put(slot, rule, priority)
        return Placement(
            loads=tuple(
                (slot, tuple(sorted(self._loads[slot.name].items())))
                for slot in slots
                if slot.name in self._loads
            ),
            left=tuple(self._left),
        )

    def _put_expected(self, slot: Slot) -> None:
        keys = frozenset(slot.expected)
        if not keys:
            return
        filling = self._filling(slot, [])
        for index in self._suited[slot.name]:
            known = sum(pod.key in keys for pod in self._wanted.classes[index].pods)
            for _ in range(min(known, self._left[index])):
                if filling.fit(index, 1):
                    filling.put(index, 1)
        self._take(slot, filling.pattern())

    def _put(self, slot: Slot, rule: Rule, priority: int) -> None:
        waiting = [
            (index, self._left[index])
            for index in self._suited[slot.name]
            if self._left[index] and self._wanted.classes[index].spec.priority == priority
        ]
        if waiting:
            self._take(slot, rule(self._filling(slot, waiting)))

    def _filling(self, slot: Slot, waiting: Sequence[tuple[int, int]]) -> Filling:
        problem = self._wanted.problem
        pattern = self._loads.get(slot.name, {})
        ports = [*slot.place.ports, *(p for i in pattern for p in problem.ports_of(i))]
        used = problem.load(tuple(pattern.items()))
        whole = self._wanted.vector(slot.place.room)
        room = tuple(have - taken for have, taken in zip(whole, used, strict=True))
        beside = Counter(dict(self._before.get(slot.name, ()))) + Counter(pattern)
        return Filling(problem, room, waiting, self._values, ports, tuple(beside.items()))

    def _take(self, slot: Slot, pattern: Pattern) -> None:
        for index, number in pattern:
            load = self._loads.setdefault(slot.name, {})
            load[index] = load.get(index, 0) + number
            self._left[index] -= number


def _neighbours(classes: Sequence[PodClass]) -> tuple[Neighbours, ...]:
    """What classes say about others on their server, as the packing understands it."""
    if all(c.near is ALONE for c in classes):
        return ()
    crowds: dict[tuple[int, int], int] = {}
    avoided: dict[int, set[int]] = {}
    for index, c in enumerate(classes):
        for matcher in c.near.avoided:
            avoided.setdefault(matcher, set()).add(index)
    rivals: list[set[int]] = [set() for _ in classes]
    sizes: list[dict[int, int]] = [{} for _ in classes]
    for index, c in enumerate(classes):
        for matcher, most in c.near.at_most:
            sizes[index][crowds.setdefault((matcher, most), len(crowds))] = most
        for matcher in c.near.avoids:
            for other in avoided.get(matcher, ()):
                if matcher in c.near.avoided and matcher in classes[other].near.avoids:
                    # They keep each other away: at most one of them all.
                    sizes[index][crowds.setdefault((matcher, -1), len(crowds))] = 1
                else:
                    rivals[index].add(other)
                    rivals[other].add(index)
    return tuple(
        Neighbours(crowds=tuple(sorted(own.items())), rivals=frozenset(others))
        if own or others
        else ANYBODY
        for own, others in zip(sizes, rivals, strict=True)
    )
