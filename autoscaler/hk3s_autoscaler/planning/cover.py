"""One greedy purchase: buy, again and again, the server whose load is worth most for its price."""

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hk3s_autoscaler.planning.filling import Filling, Rule
from hk3s_autoscaler.planning.folding import Folded
from hk3s_autoscaler.planning.problem import Pattern, Problem, affordable

_NEARLY = 8
"""A load of a folded problem is bought if less than one of so many of its pods is missing."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Equal servers with equal loads."""

    kind: int
    pattern: Pattern
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A valid purchase: what to buy, its price an hour, how many of each class it misses."""

    batches: tuple[Batch, ...]
    price: int
    missed: tuple[int, ...]

    def rank(self) -> tuple[object, ...]:
        """Better packings rank lower: fewest pods missed, then price, then servers."""
        return (sum(self.missed), self.price, sum(batch.number for batch in self.batches))


def covered(
    problem: Problem,
    values: Sequence[float],
    rules: Sequence[Rule],
    counts: Sequence[int],
    *,
    extra: int = 0,
) -> Packing:
    """Buy the load that is worth most for its price (plus `extra`) until nothing is missed."""
    cover = Cover(problem, values, rules, counts, extra)
    cover.run(range(len(problem.kinds)))
    return cover.packing()


class Cover:
    """A cover under way: what is waiting, what the limits leave, what was bought.

    `work` counts the pods and classes that were looked at.
    """

    def __init__(
        self,
        problem: Problem,
        values: Sequence[float],
        rules: Sequence[Rule],
        counts: Sequence[int],
        extra: int,
    ) -> None:
        self._problem = problem
        self._values = values
        self._rules = rules
        self._extra = extra
        self._waiting = list(counts)
        self._left = list(problem.limits)
        self._bought: dict[tuple[int, Pattern], int] = {}
        self.work = 0

    def run(self, kinds: Iterable[int]) -> None:
        """Buy from these kinds while a limit and a waiting pod allow.

        The worth of a kind's best load only falls as pods are served, so a stale one that still
        leads needs to be filled anew, and all others do not.
        """
        queue: list[tuple[float, int, int, Pattern]] = []
        for kind in kinds:
            self._offer(queue, kind)
        while queue:
            _, _, kind, pattern = heapq.heappop(queue)
            if any(n > self._waiting[index] for index, n in pattern):
                self._offer(queue, kind)
                continue
            number = min(self._waiting[index] // n for index, n in pattern)
            if self.buy(kind, pattern, number):
                self._offer(queue, kind)

    def buy(self, kind: int, pattern: Pattern, number: int) -> int:
        """Buy as many equal loads as the limits and the waiting pods allow."""
        offer = self._problem.kinds[kind]
        number = min(number, affordable(offer, self._left))
        number = min([number, *(self._waiting[index] // n for index, n in pattern)])
        if number <= 0 or not pattern:
            return 0
        for limit, amount in offer.uses:
            self._left[limit] -= amount * number
        for index, n in pattern:
            self._waiting[index] -= n * number
        self._bought[kind, pattern] = self._bought.get((kind, pattern), 0) + number
        return number

    def buy_alike(self, fold: Folded, kind: int, pattern: Pattern, number: int) -> None:
        """Buy loads of a folded problem, each class made up of what it stands for."""
        members: dict[int, list[int]] = {}
        wanted = {index for index, _ in pattern}
        for index, folded_to in enumerate(fold.which):
            if folded_to in wanted:
                members.setdefault(folded_to, []).append(index)
        pods = sum([n for _, n in pattern])
        for _ in range(number):
            loads = [self._like(k, pattern, members) for k in fold.kinds[kind]]
            held, load, best = max(
                (sum([n for _, n in load]), load, k)
                for k, load in zip(fold.kinds[kind], loads, strict=True)
            )
            if held * _NEARLY < pods * (_NEARLY - 1) or not self.buy(best, load, 1):
                return

    def _like(self, number: int, pattern: Pattern, members: dict[int, list[int]]) -> Pattern:
        kind = self._problem.kinds[number]
        suited = set(kind.classes)
        filling = Filling(self._problem, kind.room, (), self._values)
        for index, wanted in pattern:
            left = wanted
            waiting = sorted((-self._waiting[i], i) for i in members[index] if i in suited)
            for negative, member in waiting:
                taken = filling.fit(member, min(left, -negative)) if left and negative else 0
                if taken:
                    filling.put(member, taken)
                    left -= taken
        return filling.pattern()

    def trim(self, pattern: Pattern) -> Pattern:
        """What of a load is still waiting."""
        fitting = ((index, min(n, self._waiting[index])) for index, n in pattern)
        return tuple((index, n) for index, n in fitting if n)

    def rest(self) -> Problem:
        """What is still to be packed."""
        return replace(self._problem, counts=tuple(self._waiting), limits=tuple(self._left))

    def packing(self) -> Packing:
        """What was bought."""
        kinds = self._problem.kinds
        batches = tuple(Batch(k, pattern, n) for (k, pattern), n in self._bought.items())
        price = sum(kinds[batch.kind].price * batch.number for batch in batches)
        return Packing(batches=batches, price=price, missed=tuple(self._waiting))

    def _offer(self, queue: list[tuple[float, int, int, Pattern]], number: int) -> None:
        kind = self._problem.kinds[number]
        if not affordable(kind, self._left):
            return
        waiting = [(i, self._waiting[i]) for i in kind.classes if self._waiting[i]]
        best: Pattern = ()
        best_worth = 0.0
        for rule in self._rules if waiting else ():
            filling = Filling(self._problem, kind.room, waiting, self._values)
            pattern = rule(filling)
            self.work += filling.work + len(waiting)
            worth = sum([self._values[i] * n for i, n in pattern])
            if worth > best_worth:
                best, best_worth = pattern, worth
        if best:
            price = kind.price + self._extra
            heapq.heappush(queue, (-best_worth / max(price, 1), -kind.price, number, best))


def right_size(problem: Problem, packing: Packing) -> Packing:
    """Give each load the cheapest kind that holds it, within the limits."""
    left = list(problem.limits)
    for batch in packing.batches:
        for limit, amount in problem.kinds[batch.kind].uses:
            left[limit] -= amount * batch.number
    cheapest = _ByPrice(problem)
    batches = []
    for batch in packing.batches:
        old = problem.kinds[batch.kind]
        for limit, amount in old.uses:
            left[limit] += amount * batch.number
        kind = next(
            (
                k
                for k in cheapest.holders(batch.pattern, old.price)
                if affordable(problem.kinds[k], left) >= batch.number
            ),
            batch.kind,
        )
        for limit, amount in problem.kinds[kind].uses:
            left[limit] -= amount * batch.number
        batches.append(replace(batch, kind=kind))
    price = sum(problem.kinds[batch.kind].price * batch.number for batch in batches)
    return replace(packing, batches=tuple(batches), price=price)


class _ByPrice:
    """The kinds of a problem from the cheapest on, with the most room that any so far has."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        kinds = problem.kinds
        self._order = sorted(range(len(kinds)), key=lambda k: (kinds[k].price, k))
        rooms = [kinds[k].room for k in self._order]
        self._most = [list(accumulate(axis, max)) for axis in zip(*rooms, strict=True)]
        self._classes = [frozenset(kind.classes) for kind in kinds]

    def holders(self, pattern: Pattern, below: int) -> Iterator[int]:
        """Kinds below a price that hold a load, cheapest first."""
        problem = self._problem
        load = problem.load(pattern)
        start = max(bisect_left(most, w) for most, w in zip(self._most, load, strict=True) if w)
        wanted = {index for index, _ in pattern}
        for number in self._order[start:]:
            kind = problem.kinds[number]
            if kind.price >= below:
                return
            if self._classes[number] >= wanted and all(
                not want or want <= have for want, have in zip(load, kind.room, strict=True)
            ):
                yield number


def even_values(problem: Problem) -> list[float]:
    """Value a pod by the share that it takes of the largest room for sale."""
    rooms = [max(sizes) for sizes in zip(*(k.room for k in problem.kinds), strict=True)]
    return [
        max((w / max(1, r) for w, r in zip(demand, rooms, strict=True)), default=0.0)
        for demand in problem.demands
    ]
