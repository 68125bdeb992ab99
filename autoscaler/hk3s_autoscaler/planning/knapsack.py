"""The most valuable load of one server: branch and bound over several resources.

Several resources are folded into one by multipliers (a surrogate relaxation), which orders the
classes by value per size and bounds what any load can be worth; good multipliers are found by
halving between the resource that the relaxed load overdraws most and another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import le, mul

from hk3s_autoscaler.planning.problem import Kind, Pattern, Problem

_STEPS = 6
_POWERS = (0.0, 1.0, 2.0)
_RUN = 4
_CLOSE_ENOUGH = 1 + 5e-4


@dataclass(slots=True)
class Knapsack:
    """One kind of server, to be filled again and again under changing values."""

    problem: Problem
    kind: Kind
    multipliers: list[float] = field(default_factory=list)
    items: list[tuple[int, int, tuple[float, ...]]] = field(default_factory=list)
    work: int = 0

    def __post_init__(self) -> None:
        room = self.kind.room
        for index in self.kind.classes:
            most = self.problem.most(index, room)
            if most:
                demand = self.problem.demands[index]
                shares = tuple(w / have if w else 0.0 for w, have in zip(demand, room, strict=True))
                self.items.append((index, most, shares))
        self.multipliers = [1 / len(room)] * len(room)

    def weigh(self, prices: Sequence[float]) -> None:
        """Start from what a unit of each resource costs."""
        total = sum(p * have for p, have in zip(prices, self.kind.room, strict=True))
        if total > 0:
            self.multipliers = [p * h / total for p, h in zip(prices, self.kind.room, strict=True)]

    def solve(
        self, values: Sequence[float], nodes: int, price: float
    ) -> tuple[float, Pattern, float]:
        """Return the best load found: its value, itself, and a value that no load exceeds.

        A server that cannot be worth its price is not searched; the bound then says so.
        """
        bound = self._tune(values)
        if bound <= price:
            return 0.0, (), bound
        multipliers = self.multipliers
        rated = []
        for index, most, shares in self.items:
            value = values[index]
            if value > 0:
                size = sum(m * s for m, s in zip(multipliers, shares, strict=True))
                rated.append((value / max(size, 1e-12), index, most, shares, size))
        rated.sort(key=lambda item: (-item[0], item[1]))
        search = _Search(self.problem, values, rated, nodes)
        for power in _POWERS:
            search.climb(len(self.kind.room), power)
        worth, pattern, upper = search.run(len(self.kind.room))
        self.work += search.visits
        return worth, pattern, min(upper, bound)

    def _tune(self, values: Sequence[float]) -> float:
        """Halve between the multipliers of the most overdrawn resource and of the dearest other."""
        best, drawn = self._relaxed(values, self.multipliers)
        kept = multipliers = self.multipliers
        more = max(range(len(drawn)), key=drawn.__getitem__)
        less = max((a for a in range(len(drawn)) if a != more), key=kept.__getitem__, default=more)
        low, high = kept[more], kept[more] + kept[less]
        whole = high
        for _ in range(_STEPS if more != less else 0):
            multipliers = list(multipliers)
            multipliers[more] = (low + high) / 2
            multipliers[less] = whole - multipliers[more]
            bound, drawn = self._relaxed(values, multipliers)
            if bound < best:
                best, kept = bound, multipliers
            if drawn[more] > drawn[less]:
                low = multipliers[more]
            else:
                high = multipliers[more]
        self.multipliers = kept
        return best

    def _relaxed(
        self, values: Sequence[float], multipliers: Sequence[float]
    ) -> tuple[float, list[float]]:
        """Fill by value per folded size, the last class in part: its value, and what it draws."""
        rated = []
        for index, most, shares in self.items:
            if values[index] > 0:
                size = sum(m * s for m, s in zip(multipliers, shares, strict=True))
                rated.append((values[index] / max(size, 1e-12), values[index], size, most, shares))
        rated.sort(key=lambda item: -item[0])
        left, worth, used = 1.0, 0.0, [0.0] * len(multipliers)
        for _, value, size, most, shares in rated:
            taken = min(float(most), left / size) if size > 0 else float(most)
            worth += taken * value
            left -= taken * size
            used = [u + taken * s for u, s in zip(used, shares, strict=True)]
            if left <= 0:
                break
        return worth, used


class _Search:
    """Depth first, most valuable class first; what is not looked at counts with its bound."""

    def __init__(
        self,
        problem: Problem,
        values: Sequence[float],
        rated: list[tuple[float, int, int, tuple[float, ...], float]],
        nodes: int,
    ) -> None:
        self._problem = problem
        self._values = values
        self._rated = rated
        self._nodes = nodes
        self.visits = 0
        self._best = 0.0
        self._pattern: tuple[tuple[int, int], ...] = ()
        self._missed = 0.0

    def climb(self, dimensions: int, power: float) -> None:
        """Take the class that is worth most for what it takes of the scarcest room (Toyoda)."""
        room = [1.0 + 1e-12] * dimensions
        waiting = [(self._values[i], shares, i, most) for _, i, most, shares, _ in self._rated]
        taken: dict[int, int] = {}
        worth = 0.0
        while waiting:
            self.visits += 2 + len(waiting) // 4
            weights = [1 / max(free, 1e-6) ** power for free in room]
            waiting = [item for item in waiting if all(map(le, item[1], room))]
            if not waiting:
                break
            scores = [item[0] / sum(map(mul, item[1], weights)) for item in waiting]
            best = scores.index(max(scores))
            value, shares, index, most = waiting[best]
            fit = self._fit(index, most - taken.get(index, 0), shares, room, taken)
            if not fit:
                del waiting[best]
                continue
            number = max(1, fit // _RUN)
            taken[index] = taken.get(index, 0) + number
            worth += number * value
            room = [free - number * share for free, share in zip(room, shares, strict=True)]
        if worth > self._best:
            self._best, self._pattern = worth, tuple(taken.items())

    def _fit(
        self,
        index: int,
        most: int,
        shares: Sequence[float],
        room: Sequence[float],
        taken: dict[int, int],
    ) -> int:
        for share, free in zip(shares, room, strict=True):
            if share * most > free:
                most = int(free / share) if free > 0 else 0
        if most and self._problem.ports and self._problem.clash((*taken, index)):
            return 0
        if most and self._problem.neighbours:
            return self._problem.beside(index, taken.items(), most)
        return most

    def run(self, dimensions: int) -> tuple[float, Pattern, float]:
        self._visit(0, 0.0, 1.0, (1.0 + 1e-12,) * dimensions, ())
        upper = max(self._best * _CLOSE_ENOUGH, self._missed)
        return self._best, tuple(sorted(self._pattern)), upper

    def _visit(
        self, depth: int, worth: float, left: float, room: tuple[float, ...], taken: Pattern
    ) -> None:
        self.visits += 1
        if worth > self._best:
            self._best, self._pattern = worth, taken
        if depth == len(self._rated):
            return
        density, index, most, shares, size = self._rated[depth]
        bound = worth + density * max(left, 0.0)
        if bound <= self._best * _CLOSE_ENOUGH:
            return
        if self._nodes <= 0:
            self._missed = max(self._missed, bound)
            return
        fit = min([most, *(int(f / s) for s, f in zip(shares, room, strict=True) if s > 0)])
        if fit and self._problem.clash((*(i for i, _ in taken), index)):
            fit = 0
        if fit and self._problem.neighbours:
            fit = self._problem.beside(index, taken, fit)
        for n in range(fit, -1, -1):
            if self._nodes <= 0:
                self._missed = max(self._missed, bound)
                return
            self._nodes -= 1
            if not n:
                self._visit(depth + 1, worth, left, room, taken)
                continue
            rest = tuple(free - n * share for free, share in zip(room, shares, strict=True))
            self._visit(
                depth + 1,
                worth + n * self._values[index],
                left - n * size,
                rest,
                (*taken, (index, n)),
            )
