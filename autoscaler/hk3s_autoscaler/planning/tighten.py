"""A problem made smaller without changing its answer: room that no load can use is cut off.

Demands come in round numbers, so that the last few per cent of a server are often out of reach: of
15.58 CPUs pods of half a CPU use 15.5. Searches and bounds that know this are sharper.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hk3s_autoscaler.planning.problem import Kind, Problem

_MANY_UNITS = 1 << 18
"""Beyond so many multiples of the common divisor sums are not enumerated."""


def tightened(problem: Problem) -> Problem:
    """Return the problem with every kind's room cut to the largest load that some pods make."""
    known: dict[tuple[int, int, tuple[int, ...]], int] = {}

    def cut(kind: Kind) -> Kind:
        room = []
        for axis, have in enumerate(kind.room):
            key = (axis, have, kind.classes)
            if key not in known:
                known[key] = _reach(problem, kind.classes, axis, have)
            room.append(known[key])
        return replace(kind, room=tuple(room))

    return replace(problem, kinds=tuple(cut(kind) for kind in problem.kinds))


def simplified(problem: Problem) -> tuple[Problem, tuple[int, ...]]:
    """Return a problem with the same answer, and which kind of the given one each of its kinds is.

    Rooms are cut to size, kinds that another replaces are left out, and so are resources that
    nobody asks for.
    """
    sharp = tightened(problem)
    numbers = undominated(sharp.kinds, limited=True)
    axes = [d for d in range(len(problem.demands[0])) if any(x[d] for x in problem.demands)]
    kinds = [sharp.kinds[number] for number in numbers]
    return replace(
        sharp,
        demands=tuple(tuple(demand[d] for d in axes) for demand in problem.demands),
        kinds=tuple(replace(kind, room=tuple(kind.room[d] for d in axes)) for kind in kinds),
    ), tuple(numbers)


def undominated(kinds: Sequence[Kind], *, limited: bool) -> list[int]:
    """Numbers of the kinds that no other replaces at no higher price, cheapest first.

    With `limited`, the other must not take more of any limit either.
    """
    kept: list[int] = []
    order = sorted(range(len(kinds)), key=lambda k: (kinds[k].price, -sum(kinds[k].room), k))
    for number in order:
        if not any(_replaces(kinds[other], kinds[number], limited=limited) for other in kept):
            kept.append(number)
    return kept


def _replaces(other: Kind, kind: Kind, *, limited: bool) -> bool:
    """Whether one kind, which is no dearer, does all that another can."""
    if any(have < want for have, want in zip(other.room, kind.room, strict=True)):
        return False
    if limited:
        uses = dict(kind.uses)
        if any(amount > uses.get(limit, 0) for limit, amount in other.uses):
            return False
    return other.classes == kind.classes or set(other.classes) >= set(kind.classes)


def _reach(problem: Problem, classes: Iterable[int], axis: int, have: int) -> int:
    """The largest sum of demands, each taken at most as often as there are pods, within a room."""
    sizes: dict[int, int] = {}
    for index in classes:
        size = problem.demands[index][axis]
        if problem.counts[index] and 0 < size <= have:
            sizes[size] = sizes.get(size, 0) + problem.counts[index]
    if not sizes:
        return min(have, 0)
    if sum(size * count for size, count in sizes.items()) <= have:
        return sum(size * count for size, count in sizes.items())
    unit = math.gcd(*sizes)
    most = have // unit
    if most > _MANY_UNITS:
        return most * unit
    mask = (1 << (most + 1)) - 1
    sums = 1
    for size, count in sizes.items():
        left, step = min(count, have // size), 1
        while left > 0:
            taken = min(step, left)
            sums |= (sums << (taken * size // unit)) & mask
            left -= taken
            step *= 2
    return (sums.bit_length() - 1) * unit
