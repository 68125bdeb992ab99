"""Improve a purchase: put the pods of a few servers into a cheaper set of servers.

A few servers are taken out; sets of kinds that cost less, hold as much in sum and respect the
limits are tried from the cheapest on; a set is filled several times, and the pods that were left
over are preferred the next time. Integers and fixed orders only: the same facts, the same answer.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hk3s_autoscaler.planning.filling import Filling, by_match, by_pressure
from hk3s_autoscaler.planning.problem import Kind, Pattern, Problem

Server = tuple[int, Pattern]
"""A kind and what one server of it holds."""

_MOST_STEPS = 300
_TRIED_SETS = 8
_URGENT = 1.5


@dataclass(slots=True)
class Improver:
    """Servers under improvement; `work` is what may still be spent, about a microsecond a unit.

    No load is worth more by the `values` than its server costs with what the limits that it takes
    of are worth: their `dues`. `turns`: how often a set is filled before it is given up.
    """

    problem: Problem
    values: Sequence[float]
    dues: Sequence[float]
    servers: Counter[Server]
    left: list[int]
    work: int
    turns: int

    def run(self, sizes: Sequence[int]) -> None:
        """Take out so many servers at once, the least used first, then others in turn."""
        for size in sizes:
            better = True
            while better and self.work > 0:
                better = any(self._improve(chosen) for chosen in self._choices(size))

    def _choices(self, size: int) -> Iterator[list[Server]]:
        """Sets of servers to take out: a window that moves up from those that earn least."""
        ordered = sorted(self.servers.elements(), key=lambda s: (self._earning(s), s))
        if len(ordered) < size:
            if ordered:
                yield ordered
            return
        seen: set[tuple[Server, ...]] = set()
        stride = len(ordered) // size
        for start in range(0, len(ordered) - size + 1, max(1, size // 2)):
            for chosen in (
                ordered[start : start + size],
                ordered[: size // 2] + ordered[start + size // 2 : start + size],
                ordered[start % stride :: stride][:size],
            ):
                if self.work <= 0:
                    return
                key = tuple(chosen)
                if key not in seen:
                    seen.add(key)
                    yield chosen

    def _earning(self, server: Server) -> float:
        kind, pattern = server
        return sum([self.values[i] * n for i, n in pattern]) / max(
            1, self.problem.kinds[kind].price
        )

    def _improve(self, chosen: Sequence[Server]) -> bool:
        kinds = self.problem.kinds
        pods: Counter[int] = Counter()
        for _, pattern in chosen:
            for index, n in pattern:
                pods[index] += n
        price = sum(kinds[kind].price for kind, _ in chosen)
        for kind, _ in chosen:
            for limit, amount in kinds[kind].uses:
                self.left[limit] += amount
        found = self._cheaper(pods, price)
        taken = [kind for kind, _ in (found or chosen)]
        for kind in taken:
            for limit, amount in kinds[kind].uses:
                self.left[limit] -= amount
        if found is None:
            return False
        for server in chosen:
            self.servers[server] -= 1
            if not self.servers[server]:
                del self.servers[server]
        self.servers.update(found)
        return True

    def _cheaper(self, pods: Counter[int], price: int) -> list[Server] | None:
        sets = sorted(self._sets(pods, price))
        if len(sets) > _TRIED_SETS:
            step = len(sets) / _TRIED_SETS
            sets = [sets[int(step * n)] for n in range(_TRIED_SETS)]
        for _, kinds in sets:
            if self.work <= 0:
                return None
            found = self._fill(kinds, pods)
            if found is not None:
                return found
        return None

    def _sets(self, pods: Counter[int], price: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Sets of kinds below a price that hold in sum what the pods ask for."""
        wanted = self.problem.load(tuple(pods.items()))
        floor = sum([self.values[i] * n for i, n in pods.items()]) * (1 - 1e-6)
        search = _Sets(self.problem, self.left, wanted, floor, price, self.dues)
        yield from search.extend(0, 0, 0.0, (0,) * len(wanted), ())
        self.work -= 4 * search.steps

    def _fill(self, kinds: Sequence[int], pods: Counter[int]) -> list[Server] | None:
        """Put all pods into servers of these kinds, or give up."""
        urgency = dict.fromkeys(pods, 1.0)
        for turn in range(self.turns):
            order = kinds if turn % 2 else kinds[::-1]
            rule = by_pressure if turn > 1 else by_match
            waiting = dict(pods)
            servers = []
            worth = [0.0] * len(self.problem.counts)
            for index, factor in urgency.items():
                worth[index] = factor
            for number in order:
                kind = self.problem.kinds[number]
                suited = [(i, waiting[i]) for i in kind.classes if waiting.get(i)]
                if not suited:
                    continue
                self.work -= 60 * len(suited)
                pattern = rule(Filling(self.problem, kind.room, suited, worth))
                for index, n in pattern:
                    waiting[index] -= n
                if pattern:
                    servers.append((number, pattern))
            missed = [index for index, n in waiting.items() if n]
            if not missed:
                return servers
            if self.work <= 0:
                return None
            for index in missed:
                urgency[index] *= _URGENT
        return None


class _Sets:
    """Enumerates sets of kinds, dearest kind first, and looks no further where none can suffice."""

    def __init__(
        self,
        problem: Problem,
        left: Sequence[int],
        wanted: Sequence[int],
        floor: float,
        price: int,
        dues: Sequence[float],
    ) -> None:
        self._kinds = problem.kinds
        self._tolls = [sum([dues[n] * amount for n, amount in k.uses]) for k in problem.kinds]
        self._left = left
        self._wanted = wanted
        self._floor = floor
        self._price = price
        numbers = range(len(problem.kinds))
        self._order = sorted(numbers, key=lambda k: (-problem.kinds[k].price, k))
        # From each place of the order on: the most room that a unit of money buys.
        self._yield: list[list[float]] = []
        best = [0.0] * len(wanted)
        for number in reversed(self._order):
            kind = problem.kinds[number]
            best = [max(b, r / max(1, kind.price)) for b, r in zip(best, kind.room, strict=True)]
            self._yield.append(best)
        self._yield.reverse()
        self.steps = 0

    def extend(
        self, at: int, spent: int, toll: float, room: tuple[int, ...], taken: tuple[int, ...]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            return
        missing = [w - h for h, w in zip(room, self._wanted, strict=True)]
        if spent + toll >= self._floor and max(missing) <= 0:
            yield spent, taken
            return
        money = self._price - 1 - spent
        for place in range(at, len(self._order)):
            number = self._order[place]
            kind = self._kinds[number]
            if any(m > money * y for m, y in zip(missing, self._yield[place], strict=True)):
                return
            if kind.price > money or not self._within(kind, taken):
                continue
            more = tuple(h + r for h, r in zip(room, kind.room, strict=True))
            tolls = toll + self._tolls[number]
            yield from self.extend(place, spent + kind.price, tolls, more, (*taken, number))

    def _within(self, kind: Kind, taken: tuple[int, ...]) -> bool:
        for limit, amount in kind.uses:
            used = sum(a for k in taken for n, a in self._kinds[k].uses if n == limit)
            if used + amount > self._left[limit]:
                return False
        return True
