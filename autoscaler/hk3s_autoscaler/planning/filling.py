"""Rules for filling one server: each takes room and what is waiting, and returns a pattern.

Identical pods are taken in runs, and classes of one size are weighed once, so that the work grows
neither with pods nor with the rules by which equal pods differ.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import mul, truediv

from hk3s_autoscaler.planning.problem import Company, Pattern, Problem, Vector
from hk3s_autoscaler.scheduling.place import HostPort, conflicts

Rule = Callable[["Filling"], Pattern]
_RUN = 4
"""Dot product: how many runs a server that would hold only one class is filled in."""


class Filling:
    """One server being filled: its room, what may still go in, and what a pod of it is worth.

    `work` counts how many classes were weighed, again and again.
    """

    def __init__(
        self,
        problem: Problem,
        room: Vector,
        waiting: Sequence[tuple[int, int]],
        values: Sequence[float],
        taken: Sequence[HostPort] = (),
        beside: Pattern = (),
    ) -> None:
        """`beside` and the host ports `taken` belong to pods that are there already."""
        self.problem = problem
        self.size = tuple(max(1, have) for have in room)
        self.values = values
        self.waiting = [(i, n) for i, n in waiting if n]
        # What nobody asks for may be overdrawn: it keeps nobody away.
        self.room = [max(0, have) for have in room]
        self.work = 0
        self._ports = list(taken)
        near = problem.neighbours
        self._company = Company(near, beside) if near else None
        self._pattern: dict[int, int] = {}

    def shares(self, index: int) -> Iterator[float]:
        """What part of the whole server a pod asks for, by resource."""
        return map(truediv, self.problem.demands[index], self.size)

    def fit(self, index: int, limit: int) -> int:
        """How many more pods of a class fit, up to a limit."""
        most = limit
        for wanted, have in zip(self.problem.demands[index], self.room, strict=True):
            if wanted * most > have:
                most = have // wanted
        if not most or not self.problem.picky[index]:
            return most
        if self._company is not None:
            most = self._company.admits(index, most)
        ports = self.problem.ports_of(index)
        if ports and most:
            return 0 if conflicts(ports, self._ports) else 1
        return most

    def put(self, index: int, number: int) -> None:
        """Put pods in."""
        demand = self.problem.demands[index]
        self.room = [have - number * w for have, w in zip(self.room, demand, strict=True)]
        self._ports += self.problem.ports_of(index)
        self._pattern[index] = self._pattern.get(index, 0) + number
        if self._company is not None:
            self._company.join(index, number)

    def pattern(self) -> Pattern:
        """What was put in."""
        return tuple(sorted(self._pattern.items()))


def _in_order(filling: Filling, rates: Sequence[float]) -> Pattern:
    """Fill with the highest rate first; rates are those of what is waiting."""
    filling.work += len(rates)
    for _, (index, waiting) in sorted(zip([-rate for rate in rates], filling.waiting, strict=True)):
        number = filling.fit(index, waiting)
        if number:
            filling.put(index, number)
    return filling.pattern()


def by_size(filling: Filling) -> Pattern:
    """Largest first, by the resource of which a pod asks most (first-fit decreasing)."""
    return _in_order(filling, [max(filling.shares(i)) for i, _ in filling.waiting])


def by_value(filling: Filling) -> Pattern:
    """Most valuable pod first."""
    return _in_order(filling, [filling.values[i] for i, _ in filling.waiting])


def by_density(filling: Filling) -> Pattern:
    """Most valuable first for its size, all resources counting alike."""
    return _in_order(
        filling,
        [filling.values[i] / (sum(filling.shares(i)) + 1e-12) for i, _ in filling.waiting],
    )


def by_match(filling: Filling) -> Pattern:
    """The pod whose demand points most where room is left (dot product; Panigrahy et al., 2011)."""
    alike = filling.problem.alike
    return _by_match(filling, [(alike[i], 1.0) for i, _ in filling.waiting])


def by_pressure(filling: Filling) -> Pattern:
    """Like `by_match`, with the values as weights."""
    alike, values = filling.problem.alike, filling.values
    return _by_match(filling, [(alike[i], values[i]) for i, _ in filling.waiting])


_Members = list[tuple[int, int]]
"""Classes of one size: who is waiting, and how many."""


def _by_match(filling: Filling, groups: Sequence[tuple[int, float]]) -> Pattern:
    """Most of the time of a purchase goes here: scores are kept up, not worked out again."""
    problem, room = filling.problem, filling.room
    likeness = problem.likeness(filling.size)
    found = _grouped(filling, groups)
    members, sizes, weights = list(found.values()), [k for k, _ in found], [w for _, w in found]
    demands = [problem.demands[size] for size in sizes]
    free = [have / (size * size) for have, size in zip(room, filling.size, strict=True)]
    scores = [
        weight * sum(map(mul, demand, free))
        for demand, weight in zip(demands, weights, strict=True)
    ]
    while members:
        best = scores.index(max(scores))
        most = _most(demands[best], filling.room, members[best])
        left: _Members = []
        if most:
            filling.work += len(members)
            run = max(1, most // _RUN)
            left, put = _take(filling, members[best], run)
            row = likeness.row(sizes[best])
            scores = [
                score - weight * put * row[size]
                for score, weight, size in zip(scores, weights, sizes, strict=True)
            ]
        if left:
            members[best] = left
        else:
            # Room only shrinks: who finds none now is never asked again.
            del members[best], sizes[best], weights[best], demands[best], scores[best]
    return filling.pattern()


def _grouped(
    filling: Filling, groups: Sequence[tuple[int, float]]
) -> dict[tuple[int, float], _Members]:
    """Who is waiting, by size and weight."""
    picky = filling.problem.picky
    found: dict[tuple[int, float], _Members] = {}
    for entry, group in zip(filling.waiting, groups, strict=True):
        found.setdefault(group, []).append(entry)
    for same in found.values():
        if len(same) > 1:
            # Those who care who is beside them go first: the others find a place anywhere.
            same.sort(key=lambda member: not picky[member[0]])
    return found


def _most(demand: Vector, room: Sequence[int], members: _Members) -> int:
    """How many pods of a size fit, whatever their rules say."""
    most = members[0][1] if len(members) == 1 else sum([number for _, number in members])
    for wanted, have in zip(demand, room, strict=True):
        if wanted * most > have:
            most = have // wanted
    return most


def _take(filling: Filling, members: _Members, run: int) -> tuple[_Members, int]:
    """Take a run of a size in, and return who of it may still come in, and how many did."""
    left, put = [], 0
    for index, waiting in members:
        number = filling.fit(index, min(waiting, run - put)) if put < run else 0
        if number:
            filling.put(index, number)
            put += number
        elif put < run:
            continue
        if waiting > number:
            left.append((index, waiting - number))
    return left, put


RULES: tuple[Rule, ...] = (by_match, by_size, by_density, by_value)
