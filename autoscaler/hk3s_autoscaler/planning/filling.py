"""Rules for filling one server: each takes room and what is waiting, and returns a pattern.

Identical pods are taken in runs, so that the work grows with classes and not with pods.
"""

from collections.abc import Callable, Sequence
from operator import mul

from hk3s_autoscaler.planning.problem import Pattern, Problem, Vector
from hk3s_autoscaler.scheduling.place import HostPort, conflicts

Rule = Callable[["Filling"], Pattern]
_RUN = 4
"""Dot product: how many runs a server that would hold only one class is filled in."""


class Filling:
    """One server being filled: its room, what may still go in, and what a pod of it is worth."""

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
        self._room = list(room)
        self._ports = list(taken)
        self._beside = dict(beside)
        self._pattern: dict[int, int] = {}

    def shares(self, index: int) -> tuple[float, ...]:
        """What part of the whole server a pod asks for, by resource."""
        return tuple(w / s for w, s in zip(self.problem.demands[index], self.size, strict=True))

    def free(self) -> tuple[float, ...]:
        """What part of the server is still free, by resource."""
        return tuple(have / s for have, s in zip(self._room, self.size, strict=True))

    def fit(self, index: int, limit: int) -> int:
        """How many more pods of a class fit, up to a limit."""
        most = limit
        for wanted, have in zip(self.problem.demands[index], self._room, strict=True):
            if wanted:
                most = min(most, have // wanted) if have > 0 else 0
        if most and self.problem.neighbours:
            most = self.problem.beside(index, self._beside.items(), most)
        ports = self.problem.ports_of(index)
        if ports and most:
            return 0 if conflicts(ports, self._ports) else 1
        return most

    def put(self, index: int, number: int) -> None:
        """Put pods in."""
        demand = self.problem.demands[index]
        self._room = [have - number * w for have, w in zip(self._room, demand, strict=True)]
        self._ports += self.problem.ports_of(index)
        self._pattern[index] = self._pattern.get(index, 0) + number
        if self.problem.neighbours:
            self._beside[index] = self._beside.get(index, 0) + number

    def pattern(self) -> Pattern:
        """What was put in."""
        return tuple(sorted(self._pattern.items()))


def _in_order(filling: Filling, key: Callable[[int], object]) -> Pattern:
    for index, waiting in sorted(filling.waiting, key=lambda entry: (key(entry[0]), entry[0])):
        number = filling.fit(index, waiting)
        if number:
            filling.put(index, number)
    return filling.pattern()


def by_size(filling: Filling) -> Pattern:
    """Largest first, by the resource of which a pod asks most (first-fit decreasing)."""
    return _in_order(filling, lambda index: -max(filling.shares(index)))


def by_value(filling: Filling) -> Pattern:
    """Most valuable pod first."""
    return _in_order(filling, lambda index: -filling.values[index])


def by_density(filling: Filling) -> Pattern:
    """Most valuable first for its size, all resources counting alike."""
    return _in_order(
        filling, lambda index: -filling.values[index] / (sum(filling.shares(index)) + 1e-12)
    )


def by_match(filling: Filling) -> Pattern:
    """The pod whose demand points most where room is left (dot product; Panigrahy et al., 2011)."""
    return _by_match(filling, [1.0] * len(filling.values))


def by_pressure(filling: Filling) -> Pattern:
    """Like `by_match`, with the values as weights."""
    return _by_match(filling, filling.values)


def _by_match(filling: Filling, weights: Sequence[float]) -> Pattern:
    waiting = [(i, n, [s * weights[i] for s in filling.shares(i)]) for i, n in filling.waiting]
    while waiting:
        free = filling.free()
        best, best_score, best_fit = -1, -1.0, 0
        still: list[tuple[int, int, list[float]]] = []
        for entry in waiting:
            index, left, shares = entry
            fit = filling.fit(index, left)
            if fit:
                score = sum(map(mul, shares, free))
                if score > best_score:
                    best, best_score, best_fit = len(still), score, fit
                still.append(entry)
        if best < 0:
            break
        index, left, shares = still[best]
        number = max(1, best_fit // _RUN)
        filling.put(index, number)
        if left > number:
            still[best] = (index, left - number, shares)
        else:
            del still[best]
        waiting = still
    return filling.pattern()


RULES: tuple[Rule, ...] = (by_match, by_size, by_density, by_value)
