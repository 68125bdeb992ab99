"""The most valuable load of a server: dynamic programming over CPU and memory.

Two resources span a grid in their common divisors, or in multiples of those where that would be
too fine: demands are then rounded down, and so are rooms. The other resources are left out. So the
value found is never too low.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hk3s_autoscaler.planning.problem import Kind, Pattern, Problem

_MOST_CELLS = 400_000
_AXES = (0, 1)

Grid = NDArray[np.float32]


def best_load(
    problem: Problem, kind: Kind, values: Sequence[float]
) -> tuple[float, tuple[Pattern, ...]]:
    """Return a value that no load of a kind exceeds, and good loads."""
    items = [
        (i, most)
        for i in kind.classes
        if values[i] > 0 and (most := problem.most(i, kind.room)) and problem.counts[i]
    ]
    if not items or len(kind.room) < len(_AXES):
        return (0.0 if not items else math.inf), ()
    units = [math.gcd(*(problem.demands[i][axis] for i, _ in items)) or 1 for axis in _AXES]
    while True:
        shape = [max(0, kind.room[axis]) // unit + 1 for axis, unit in enumerate(units)]
        if shape[0] * shape[1] <= _MOST_CELLS:
            break
        longer = int(shape[1] > shape[0])
        units[longer] *= 1 + shape[0] * shape[1] // _MOST_CELLS
    sizes = {
        i: tuple(problem.demands[i][axis] // unit for axis, unit in zip(_AXES, units, strict=True))
        for i, _ in items
    }
    worth: Grid = np.zeros(tuple(shape), dtype=np.float32)
    steps: list[tuple[int, int, NDArray[np.bool_]]] = []
    for index, most in items:
        taken, step = 0, 1
        while taken < most:
            number = min(step, most - taken)
            steps.append((index, number, _take(worth, sizes[index], number, values[index])))
            taken += number
            step *= 2
    loads = (_trace(steps, sizes, cell) for cell in _ends(worth))
    good = tuple(load for load in loads if load and problem.holds(kind, load))
    # Single precision: a little more than what was found is still a bound.
    return float(worth[-1, -1]) * (1 + 1e-5), good


def _take(worth: Grid, size: Sequence[int], number: int, value: float) -> NDArray[np.bool_]:
    down, right = size[0] * number, size[1] * number
    chosen = np.zeros(worth.shape, dtype=np.bool_)
    rows, columns = worth.shape
    if down >= rows or right >= columns:
        return chosen
    candidate = worth[: rows - down, : columns - right] + np.float32(value * number)
    here = worth[down:, right:]
    np.greater(candidate, here, out=chosen[down:, right:])
    np.maximum(here, candidate, out=here)
    return chosen


def _ends(worth: Grid) -> list[tuple[int, int]]:
    """The best cell, and the best ones with a little less of each resource."""
    rows, columns = worth.shape
    return [
        (rows - 1, columns - 1),
        (max(0, rows - 1 - rows // 40), columns - 1),
        (rows - 1, max(0, columns - 1 - columns // 40)),
    ]


def _trace(
    steps: Sequence[tuple[int, int, NDArray[np.bool_]]],
    sizes: dict[int, tuple[int, ...]],
    cell: tuple[int, int],
) -> Pattern:
    row, column = cell
    found: dict[int, int] = {}
    for index, number, chosen in reversed(steps):
        if chosen[row, column]:
            found[index] = found.get(index, 0) + number
            row -= sizes[index][0] * number
            column -= sizes[index][1] * number
    return tuple(sorted(found.items()))
