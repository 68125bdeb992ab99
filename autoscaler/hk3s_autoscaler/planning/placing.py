"""Which pending pods the room that is there takes in."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hk3s_autoscaler.planning.capacity import Slot
from hk3s_autoscaler.planning.demand import Demand
from hk3s_autoscaler.planning.filling import RULES, Filling, Rule
from hk3s_autoscaler.planning.packing import pack
from hk3s_autoscaler.planning.problem import Kind, Pattern, Vector
from hk3s_autoscaler.planning.relaxation import area_values

_MANY_SLOTS = 200
_PACKED_SLOTS = 48
_NEARLY = 8
"""The quick ways leave hardly any pod: less than one of so many."""
_AXES = 2
"""CPU and memory tell how large a slot is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What goes to which slot, and how many of each class are left."""

    loads: tuple[tuple[Slot, Pattern], ...]
    left: tuple[int, ...]


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
    rules = RULES[1:2] if len(useful) > _MANY_SLOTS else RULES
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
    if len(tried) == 1 or rules is not RULES:
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
