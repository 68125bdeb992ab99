"""Why given servers cannot hold all pods, shown by one resource alone.

Of memory that pods ask for in round numbers some is left over on every server. How little that can
be at best, over all ways to share the pods among the servers, is a small column generation with
exact knapsacks; a few hundredths of a per cent so found rule out most purchases that are cheaper.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from hk3s_autoscaler.exact.valuation import Valuation, solver
from hk3s_autoscaler.planning.problem import Problem

_MOST_CELLS = 100_000
_MOST_ROUNDS = 300
_SURE = 1e-7
"""By what part pods must be worth more than servers hold: far more than rounding makes."""
_TINY = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Group:
    """Pods of one size that the same kinds may hold."""

    size: int
    count: int
    classes: tuple[int, ...]


def refute(
    problem: Problem, fleet: Sequence[int], running: Callable[[], bool]
) -> tuple[Valuation, ...]:
    """Return valuations by which so many servers of each kind hold less than all pods are worth.

    They hold for any servers. None is returned where each resource alone seems to suffice.
    """
    found = (_Axis(problem, axis).refute(fleet, running) for axis in range(len(problem.demands[0])))
    return tuple(valuation for valuation in found if valuation is not None)


class _Axis:
    """A problem as one resource sees it."""

    def __init__(self, problem: Problem, axis: int) -> None:
        self._problem = problem
        rooms = [max(0, kind.room[axis]) for kind in problem.kinds]
        sizes = [demand[axis] for demand in problem.demands]
        unit = math.gcd(*sizes) or 1
        unit *= 1 + max(rooms, default=0) // unit // _MOST_CELLS
        self._rooms = [room // unit for room in rooms]
        may = [frozenset(kind.classes) for kind in problem.kinds]
        members: dict[tuple[int, tuple[bool, ...]], list[int]] = {}
        for index, size in enumerate(sizes):
            if size and problem.counts[index]:
                key = size // unit, tuple(index in classes for classes in may)
                members.setdefault(key, []).append(index)
        self._groups = [
            _Group(size, sum(problem.counts[i] for i in classes), tuple(classes))
            for (size, _), classes in sorted(members.items())
        ]
        self._held = [
            [g for g, (_, allowed) in enumerate(sorted(members)) if allowed[kind]]
            for kind in range(len(problem.kinds))
        ]

    def refute(self, fleet: Sequence[int], running: Callable[[], bool]) -> Valuation | None:
        """Share pods out in fractions of loads; what cannot be placed shows what pods are worth."""
        if not any(group.size for group in self._groups):
            return None
        groups = len(self._groups)
        master = self._master(fleet)
        for _ in range(_MOST_ROUNDS):
            if not running():
                return None
            master.run()
            duals = [abs(dual) for dual in master.getSolution().row_dual]
            values, dues = duals[:groups], duals[groups:]
            best = {kind: self._best(kind, values) for kind, number in enumerate(fleet) if number}
            worth = sum(v * group.count for v, group in zip(values, self._groups, strict=True))
            held = sum(most * fleet[kind] for kind, (most, _) in best.items())
            if worth > held * (1 + _SURE) + _SURE:
                return self._valuation(values)
            better = {k: load for k, (most, load) in best.items() if most > dues[k] + _TINY}
            if not better:
                return None
            for kind, load in better.items():
                _add(master, load, groups + kind)
        return None

    def _master(self, fleet: Sequence[int]) -> highspy.Highs:
        """Loads for all pods on these servers; the share of the resource that is missed costs."""
        master = solver()
        none = np.array([], dtype=np.int32), np.array([], dtype=np.float64)
        for group in self._groups:
            master.addRow(float(group.count), highspy.kHighsInf, 0, *none)
        for number in fleet:
            master.addRow(-highspy.kHighsInf, float(number), 0, *none)
        whole = sum(group.size * group.count for group in self._groups)
        for row, group in enumerate(self._groups):
            one = np.array([row], dtype=np.int32), np.array([1.0], dtype=np.float64)
            master.addCol(group.size / whole, 0.0, highspy.kHighsInf, 1, *one)
        return master

    def _valuation(self, values: Sequence[float]) -> Valuation:
        spread = [0.0] * len(self._problem.counts)
        for group, value in zip(self._groups, values, strict=True):
            for index in group.classes:
                spread[index] = value
        most = [self._best(kind, values)[0] * (1 + _SURE) for kind in range(len(self._rooms))]
        return Valuation(tuple(spread), tuple(most))

    def _best(self, kind: int, values: Sequence[float]) -> tuple[float, dict[int, int]]:
        """The most valuable load of a kind, by group: exact but for the unit."""
        room = self._rooms[kind]
        worth: Floats = np.zeros(room + 1)
        steps: list[tuple[int, int, NDArray[np.bool_]]] = []
        free = 0.0
        for number in self._held[kind]:
            group = self._groups[number]
            if values[number] <= 0:
                continue
            if not group.size:
                free += values[number] * group.count
                continue
            left, step = min(group.count, room // group.size), 1
            while left > 0:
                taken = min(step, left)
                moved = group.size * taken
                candidate = worth[: room + 1 - moved] + values[number] * taken
                better = candidate > worth[moved:]
                steps.append((number, taken, better))
                np.maximum(worth[moved:], candidate, out=worth[moved:])
                left -= taken
                step *= 2
        load: dict[int, int] = {}
        cell = room
        for number, taken, better in reversed(steps):
            moved = self._groups[number].size * taken
            if cell >= moved and better[cell - moved]:
                load[number] = load.get(number, 0) + taken
                cell -= moved
        return float(worth[room]) + free, load


def _add(master: highspy.Highs, load: dict[int, int], row: int) -> None:
    rows = np.array([*load, row], dtype=np.int32)
    amounts = np.array([*load.values(), 1.0], dtype=np.float64)
    master.addCol(0.0, 0.0, highspy.kHighsInf, len(rows), rows, amounts)
