"""Large problems made small: parts that know nothing of each other, like classes, few kinds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hk3s_autoscaler.planning.problem import ANYBODY, Kind, Neighbours, Problem

_MANY_KINDS = 16
"""Up to so many kinds for the same classes are all looked at."""
_STEP = 1.25
"""How much dearer the next kind of a ladder is, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A problem of its own: its classes and kinds, as they are numbered in the whole."""

    problem: Problem
    classes: tuple[int, ...]
    kinds: tuple[int, ...]


def parts(problem: Problem) -> list[Part]:
    """Split a problem where no kind serves classes of both sides; limits are left whole."""
    leader = list(range(len(problem.counts)))

    def find(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    for kind in problem.kinds:
        for index in kind.classes[1:]:
            leader[find(index)] = find(kind.classes[0])
    members: dict[int, list[int]] = {}
    for index, count in enumerate(problem.counts):
        if count:
            members.setdefault(find(index), []).append(index)
    kinds: dict[int, list[int]] = {}
    for number, kind in enumerate(problem.kinds):
        if kind.classes:
            kinds.setdefault(find(kind.classes[0]), []).append(number)
    return [
        _part(problem, tuple(classes), tuple(kinds[root]))
        for root, classes in members.items()
        if root in kinds
    ]


def _part(problem: Problem, classes: tuple[int, ...], kinds: tuple[int, ...]) -> Part:
    number = {index: at for at, index in enumerate(classes)}
    near = problem.neighbours
    return Part(
        problem=replace(
            problem,
            demands=tuple(problem.demands[i] for i in classes),
            counts=tuple(problem.counts[i] for i in classes),
            kinds=tuple(
                replace(kind, classes=tuple(number[i] for i in kind.classes if i in number))
                for kind in (problem.kinds[k] for k in kinds)
            ),
            ports=tuple(problem.ports[i] for i in classes) if problem.ports else (),
            neighbours=tuple(
                replace(near[i], rivals=frozenset(number[r] for r in near[i].rivals if r in number))
                if near[i].rivals
                else near[i]
                for i in classes
            )
            if near
            else (),
        ),
        classes=classes,
        kinds=kinds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A smaller problem; `which` is the number there of each class, `kinds` are those of each kind.

    No purchase for the whole problem costs less than the cheapest for this one.
    """

    problem: Problem
    which: tuple[int, ...]
    kinds: tuple[tuple[int, ...], ...]


def folded(problem: Problem) -> Folded:
    """Make one of classes that ask for the same, of servers of the same sizes and prices.

    Kinds that differ only in which of such classes they serve are one, too. Of rules between pods
    it keeps how many pods of crowds may be on a server, all those crowds together.
    """
    sizes: list[set[tuple[object, ...]]] = [set() for _ in problem.counts]
    for kind in problem.kinds:
        for index in kind.classes:
            sizes[index].add((kind.room, kind.price, kind.uses))
    near = problem.neighbours
    numbers: dict[object, int] = {}
    known: dict[frozenset[tuple[object, ...]], int] = {}
    which = []
    for index, demand in enumerate(problem.demands):
        served_by = known.setdefault(frozenset(sizes[index]), len(known))
        crowded = bool(near and near[index].crowds)
        which.append(numbers.setdefault((demand, served_by, crowded), len(numbers)))
    counts = [0] * len(numbers)
    demands: list[tuple[int, ...]] = [()] * len(numbers)
    crowds: list[dict[int, int]] = [{} for _ in numbers]
    for index, number in enumerate(which):
        counts[number] += problem.counts[index]
        demands[number] = problem.demands[index]
        if near and problem.counts[index]:
            crowds[number].update(near[index].crowds)
    kinds: dict[Kind, list[int]] = {}
    for at, kind in enumerate(problem.kinds):
        classes = tuple(sorted({which[i] for i in kind.classes}))
        kinds.setdefault(replace(kind, classes=classes), []).append(at)
    small = Problem(
        demands=tuple(demands),
        counts=tuple(counts),
        kinds=tuple(kinds),
        limits=problem.limits,
        neighbours=_summed(crowds) if near else (),
    )
    return Folded(problem=small, which=tuple(which), kinds=tuple(map(tuple, kinds.values())))


def _summed(crowds: Sequence[dict[int, int]]) -> tuple[Neighbours, ...]:
    """One crowd for each set of crowds that a folded class is in, as large as all together."""
    numbers: dict[frozenset[int], int] = {}
    return tuple(
        Neighbours(crowds=((numbers.setdefault(frozenset(own), len(numbers)), sum(own.values())),))
        if own
        else ANYBODY
        for own in crowds
    )


def ladder(problem: Problem) -> tuple[int, ...]:
    """Numbers of kinds that are enough to choose from, when there are very many.

    For the same classes: the cheapest for each of them, then the best of every step in price.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, kind in enumerate(problem.kinds):
        groups.setdefault(kind.classes, []).append(number)
    kept: list[int] = []
    for classes, numbers in groups.items():
        few = len(numbers) <= _MANY_KINDS
        kept += numbers if few else _rungs(problem, classes, numbers)
    return tuple(sorted(kept))


def _rungs(problem: Problem, classes: Sequence[int], numbers: Sequence[int]) -> set[int]:
    kinds = problem.kinds
    order = sorted(numbers, key=lambda k: (kinds[k].price, k))
    kept: set[int] = set()
    for demand in dict.fromkeys(problem.demands[i] for i in classes):
        alone = (k for k in order if all(map(int.__le__, demand, kinds[k].room)))
        kept.update(k for k in (next(alone, None),) if k is not None)
    largest = [max(1, *(kinds[k].room[axis] for k in order)) for axis in range(len(kinds[0].room))]

    def yields(number: int) -> tuple[float, int]:
        kind = kinds[number]
        shares = [have / most for have, most in zip(kind.room, largest, strict=True)]
        return sum(shares) / max(1, kind.price), -number

    step: list[int] = []
    for number in order:
        if step and kinds[number].price > _STEP * max(1, kinds[step[0]].price):
            kept.add(max(step, key=yields))
            step = []
        step.append(number)
    kept.add(max(step, key=yields))
    return kept
