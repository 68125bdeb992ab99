"""Make given servers hold all pods: overfill them, then deal pods out anew between two at a time.

For two servers every way to deal out the pods that both may hold is weighed at once, up to some
thousands, and the one that overfills least is taken. Room that is wasted in small parts on many
servers so gathers where it is needed. Uses numpy and so belongs to the extra `exact`.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hk3s_autoscaler.planning.cover import Batch
from hk3s_autoscaler.planning.problem import Problem

_MOST_WAYS = 4_096
_RIVALS = 4
_ELSEWHERE = 0.1
"""How often two servers are taken of which neither need be overfilled: what is stuck gets loose."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def refit(
    problem: Problem,
    batches: Sequence[Batch],
    wanted: Sequence[int],
    chance: random.Random,
    running: Callable[[], bool],
) -> list[Batch] | None:
    """Return `wanted` servers of each kind that hold all pods of these batches, or `None`.

    The batches are a valid packing of all pods; those whose kind is still wanted stay as they are
    to begin with.
    """
    exchange = Exchange(problem, wanted, chance)
    if not exchange.start(batches):
        return None
    while running():
        if not exchange.overfilled():
            return exchange.batches()
        exchange.step()
    return None


class Exchange:
    """Servers with loads that may be too much for them."""

    def __init__(self, problem: Problem, wanted: Sequence[int], chance: random.Random) -> None:
        self._problem, self._chance = problem, chance
        self._kinds = [kind for kind, number in enumerate(wanted) for _ in range(number)]
        self._loads: list[Counter[int]] = [Counter() for _ in self._kinds]
        self._classes = [frozenset(kind.classes) for kind in problem.kinds]
        self._demands: Ints = np.array(problem.demands, dtype=np.int64)
        self._room: Ints = np.array([problem.kinds[k].room for k in self._kinds], dtype=np.int64)
        self._used: Ints = np.zeros_like(self._room)
        self._weights: Floats = 1.0 / np.maximum(1, self._room.max(axis=0, initial=1))
        # Rooms are not those that servers have for what nobody asks for.
        picky = problem.picky
        self._free = [index for index, one in enumerate(picky) if not one]

    def start(self, batches: Sequence[Batch]) -> bool:
        """Load the servers; false if a pod that cares about others finds no place."""
        vacant: dict[int, list[int]] = {}
        for server in reversed(range(len(self._kinds))):
            vacant.setdefault(self._kinds[server], []).append(server)
        spilt: Counter[int] = Counter()
        for batch in batches:
            for _ in range(batch.number):
                places = vacant.get(batch.kind)
                if places:
                    server = places.pop()
                    for index, n in batch.pattern:
                        self._put(server, index, n)
                else:
                    spilt.update(dict(batch.pattern))
        sizes = (self._demands * self._weights).sum(axis=1)
        picky = self._problem.picky
        order = sorted(spilt.elements(), key=lambda index: (not picky[index], -sizes[index]))
        return all(self._place(index) for index in order)

    def overfilled(self) -> list[int]:
        """The servers that hold more than they can."""
        return [int(server) for server in np.flatnonzero((self._used > self._room).any(axis=1))]

    def step(self) -> None:
        """Deal pods out anew between an overfilled server and one that has room to spare."""
        chance, many = self._chance, len(self._kinds)
        if many < 2:  # noqa: PLR2004 - nobody to exchange with
            return
        anywhere = chance.random() < _ELSEWHERE
        one = chance.randrange(many) if anywhere else chance.choice(self.overfilled())
        others = [other for _ in range(_RIVALS) if (other := chance.randrange(many)) != one]
        if not others:
            return
        spare = ((self._room[others] - self._used[others]) * self._weights).sum(axis=1)
        self._deal(one, others[int(spare.argmax())])

    def batches(self) -> list[Batch]:
        """What the servers hold, as batches."""
        same = Counter(
            (kind, tuple(sorted((i, n) for i, n in load.items() if n)))
            for kind, load in zip(self._kinds, self._loads, strict=True)
        )
        return [Batch(kind, pattern, n) for (kind, pattern), n in same.items() if pattern]

    def _put(self, server: int, index: int, number: int) -> None:
        self._loads[server][index] += number
        self._used[server] += self._demands[index] * number

    def _place(self, index: int) -> bool:
        """Put a pod where it overfills least."""
        after = np.maximum(self._used + self._demands[index] - self._room, 0)
        worse = (after - np.maximum(self._used - self._room, 0)) * self._weights
        for server in np.argsort(worse.sum(axis=1), kind="stable"):
            if self._admits(int(server), index):
                self._put(int(server), index, 1)
                return True
        return False

    def _admits(self, server: int, index: int) -> bool:
        """Whether a pod may be on a server, room aside."""
        problem, load = self._problem, self._loads[server]
        if index not in self._classes[self._kinds[server]]:
            return False
        if not problem.picky[index]:
            return True
        if problem.neighbours and not problem.beside(index, load.items(), 1):
            return False
        return not problem.clash((*load.elements(), index))

    def _deal(self, one: int, other: int) -> None:
        moved = self._movable(one, other)
        if not moved:
            return
        used: list[Ints] = []
        both = self._used[one] + self._used[other]
        for axis in range(self._room.shape[1]):
            sums: Ints = np.array([self._used[one, axis]], dtype=np.int64)
            for index, low, high in moved:
                steps = np.arange(low, high + 1, dtype=np.int64) * self._demands[index, axis]
                sums = (sums[:, None] + steps[None, :]).ravel()
            used.append(sums)
        over: Floats = np.zeros(len(used[0]))
        for axis, sums in enumerate(used):
            here = np.maximum(sums - self._room[one, axis], 0)
            there = np.maximum(both[axis] - sums - self._room[other, axis], 0)
            over += (here + there) * self._weights[axis]
        least = np.flatnonzero(over <= over.min() + 1e-12)
        way = int(least[self._chance.randrange(len(least))])
        for index, low, high in reversed(moved):
            way, step = divmod(way, high - low + 1)
            self._put(one, index, low + step)
            self._put(other, index, -(low + step))

    def _movable(self, one: int, other: int) -> list[tuple[int, int, int]]:
        """Classes, and the least and the most pods of each that may come to one from the other."""
        suited = self._classes[self._kinds[one]] & self._classes[self._kinds[other]]
        here, there = self._loads[one], self._loads[other]
        shared = [i for i in self._free if i in suited and here[i] + there[i]]
        self._chance.shuffle(shared)
        ways, found = 1, []
        for index in shared:
            most = _MOST_WAYS // ways
            if most < 2:  # noqa: PLR2004 - no choice left
                break
            low, high = -here[index], there[index]
            if high - low + 1 > most:
                low = max(low, -(most // 2))
                high = min(high, low + most - 1)
            found.append((index, low, high))
            ways *= high - low + 1
        return found
