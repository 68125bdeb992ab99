"""Which servers to buy for a problem: several greedy covers raced, the best one polished.

A cover buys, again and again, the server whose load is worth most for its price; the covers differ
in how pods are valued and how a server is filled. Limits hold at every step. All work is counted in
units, never timed: the same facts give the same plan on any machine.
"""

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hk3s_autoscaler.planning.filling import (
    RULES,
    Filling,
    Rule,
    by_density,
    by_match,
    by_size,
    by_value,
)
from hk3s_autoscaler.planning.folding import Folded, Part, folded, ladder, parts
from hk3s_autoscaler.planning.problem import Pattern, Problem, affordable
from hk3s_autoscaler.planning.relaxation import Load, Relaxation, area_values, relax
from hk3s_autoscaler.planning.repack import Improver
from hk3s_autoscaler.planning.tighten import simplified

_RELAX_WORK = 100_000
_DIVE_WORK = 12_000
_DIVES = 12
_AT_ONCE = 4
_MANY_CLASSES = 64
"""Beyond so many, classes are folded to find out what they are worth."""
_FOLDED_WORK = 300_000
_RACE_WORK = 100_000
_NEARLY = 8
"""A load of a folded problem is bought if less than one of so many of its pods is missing."""
_FAVOURITES = 8
_IMPROVE_WORK = 1_000_000
_TURNS = 6
_DEEP_TURNS = 20
_SIZES = (4, 6, 9, 12)
"""How many servers are taken out at once."""
_WHOLE = 1e-6
_RUINED_SHARES = (2, 4, 8)
_RUIN_ROUNDS = 6


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


Packer = Callable[[Problem], Packing]
"""How a problem is packed: `pack`, or something that may be better."""


def pack(problem: Problem) -> Packing:
    """Return the best purchase found; it never breaks a limit, and misses pods rather."""
    rungs = ladder(problem)
    few = replace(problem, kinds=tuple(problem.kinds[k] for k in rungs))
    sharp, numbers = simplified(few)
    if not numbers:
        return Packing(batches=(), price=0, missed=problem.counts)
    found = _pack(sharp)
    batches = tuple(replace(batch, kind=rungs[numbers[batch.kind]]) for batch in found.batches)
    found = replace(found, batches=batches)
    return found if len(rungs) == len(problem.kinds) else _right_size(problem, found)


def sketch(problem: Problem) -> Packing:
    """Return a purchase found at once: a few per cent dearer than that of `pack`."""
    rungs = ladder(problem)
    few = replace(problem, kinds=tuple(problem.kinds[k] for k in rungs))
    sharp, numbers = simplified(few)
    if not numbers:
        return Packing(batches=(), price=0, missed=problem.counts)
    values = area_values(sharp)
    ways = ((_even(sharp), (by_match, by_size)), (values, (by_match, by_size)))
    covers = [_cover(sharp, worth, rules, sharp.counts) for worth, rules in ways]
    best = min((_right_size(sharp, cover) for cover in covers), key=Packing.rank)
    batches = tuple(replace(batch, kind=rungs[numbers[batch.kind]]) for batch in best.batches)
    return replace(best, batches=batches)


def greedy_loads(problem: Problem, values: Sequence[float], rule: Rule) -> list[Load]:
    """Loads that a greedy cover buys: good columns to start a relaxation from."""
    cover = _cover(problem, values, (rule,), problem.counts)
    return [(batch.kind, batch.pattern) for batch in cover.batches]


def finish(
    problem: Problem, batches: Iterable[Batch], values: Sequence[float], work: int
) -> Packing:
    """Make a purchase of loads that may hold more pods than there are, and improve it."""
    cover = _Cover(problem, values, RULES, problem.counts, 0)
    for batch in batches:
        for _ in range(batch.number):
            cover.buy(batch.kind, cover.trim(batch.pattern), 1)
    cover.run(range(len(problem.kinds)))
    found = _right_size(problem, cover.packing())
    return found if any(found.missed) else _improve(problem, values, found, work, _DEEP_TURNS)


def _pack(problem: Problem) -> Packing:
    """Pack parts on their own if the limits allow what they buy together, else all at once."""
    apart = parts(problem)
    if len(apart) > 1:
        found = [_solve(part.problem, max(1, len(apart) // 2)) for part in apart]
        joined = _join(problem, apart, found)
        if joined is not None:
            return joined
    return _solve(problem, 1)


def _join(problem: Problem, apart: Sequence[Part], found: Sequence[Packing]) -> Packing | None:
    """Put the purchases of parts together; `None` if they break a limit or one misses pods."""
    left, missed = list(problem.limits), list(problem.counts)
    batches = []
    for part, packing in zip(apart, found, strict=True):
        for batch in packing.batches:
            kind = part.kinds[batch.kind]
            pattern = tuple((part.classes[index], n) for index, n in batch.pattern)
            batches.append(Batch(kind, pattern, batch.number))
            for limit, amount in problem.kinds[kind].uses:
                left[limit] -= amount * batch.number
        for index, n in zip(part.classes, packing.missed, strict=True):
            missed[index] = n
    if any(have < 0 for have in left) or (problem.limits and any(missed)):
        return None
    price = sum(packing.price for packing in found)
    return Packing(batches=tuple(batches), price=price, missed=tuple(missed))


def _solve(problem: Problem, share: int) -> Packing:
    """Race covers, polish and improve the best; `share` divides the work."""
    values, found = _guided(problem, share)
    if any(sum(packing.missed) for packing in found):
        found += _race_for_room(problem, values)
    best = min((_right_size(problem, packing) for packing in found), key=Packing.rank)
    if any(best.missed):
        return _rebuild(problem, values, best)
    return _improve(problem, values, best, _IMPROVE_WORK // share, _TURNS)


def _guided(problem: Problem, share: int) -> tuple[Sequence[float], list[Packing]]:
    """What pods are worth by a relaxation, and covers that go by it."""
    if len(problem.counts) > _MANY_CLASSES:
        return _guided_by_folded(problem, share)
    rough = relax(problem, 1)
    found = [_cover(problem, rough.values, (rule,), problem.counts) for rule in RULES]
    loads = {(b.kind, b.pattern) for packing in found for b in packing.batches}
    relaxed = relax(problem, _RELAX_WORK // share, sorted(loads))
    found.append(_dive(problem, relaxed))
    bought = Counter(kind for kind, _, _ in relaxed.columns)
    found += _race(problem, relaxed.values, bought, _RACE_WORK // share)
    return relaxed.values, found


def _guided_by_folded(problem: Problem, share: int) -> tuple[Sequence[float], list[Packing]]:
    """Very many classes: relax what they have in common, and buy that with what is at hand."""
    fold = folded(problem)
    small = fold.problem
    worth = area_values(small)
    mix: tuple[tuple[int, Pattern, float], ...] = ()
    if len(small.counts) <= _MANY_CLASSES:
        rough = relax(small, 1).values
        loads = {load for rule in RULES[:2] for load in greedy_loads(small, rough, rule)}
        relaxed = relax(small, _FOLDED_WORK // share, sorted(loads))
        worth, mix = relaxed.values, relaxed.columns
    values = [worth[number] for number in fold.which]
    cover = _Cover(problem, values, RULES[:2], problem.counts, 0)
    for kind, pattern, amount in sorted(mix, key=lambda column: (-column[2], column[:2])):
        cover.buy_alike(fold, kind, pattern, int(amount + _WHOLE))
    cover.run(range(len(problem.kinds)))
    amounts: Counter[int] = Counter()
    for kind, _, _ in mix:
        amounts[fold.kinds[kind][0]] += 1
    race = _race(problem, values, amounts, _RACE_WORK // share)
    return values, [cover.packing(), *race]


def _improve(
    problem: Problem, values: Sequence[float], packing: Packing, work: int, turns: int
) -> Packing:
    left = list(problem.limits)
    servers: Counter[Load] = Counter()
    for batch in packing.batches:
        servers[batch.kind, batch.pattern] += batch.number
        for limit, amount in problem.kinds[batch.kind].uses:
            left[limit] -= amount * batch.number
    improver = Improver(problem, values, servers, left, work, turns)
    improver.run(_SIZES)
    batches = tuple(Batch(kind, pattern, n) for (kind, pattern), n in improver.servers.items())
    price = sum(problem.kinds[batch.kind].price * batch.number for batch in batches)
    return replace(packing, batches=batches, price=price)


def _race(
    problem: Problem,
    values: Sequence[float],
    mix: Counter[int],
    work: int,
) -> Iterator[Packing]:
    """Cover in several ways until the work is done: by values, by size, one kind above all.

    `mix` counts the columns of each kind in the relaxed mix.
    """
    ways: list[tuple[Sequence[float], Sequence[Rule], int | None]] = [
        (_even(problem), (by_match, by_size), None),
        (values, RULES, None),
        *((values, (by_match, by_size), number) for number in _favourites(problem, mix)),
    ]
    for worth, rules, first in ways:
        cover = _Cover(problem, worth, rules, problem.counts, 0)
        if first is not None:
            cover.run([first])
        cover.run(range(len(problem.kinds)))
        yield cover.packing()
        work -= cover.work
        if work <= 0:
            return


def _favourites(problem: Problem, mix: Counter[int]) -> list[int]:
    """Kinds to buy before all others: those of the relaxed mix, then the cheapest."""
    if len(problem.kinds) == 1:
        return []
    order = sorted(range(len(problem.kinds)), key=lambda k: (-mix[k], problem.kinds[k].price, k))
    return order[:_FAVOURITES]


def _race_for_room(problem: Problem, values: Sequence[float]) -> Iterable[Packing]:
    """Where limits bind, servers that hold more are worth more than their price says."""
    dearest = max((kind.price for kind in problem.kinds), default=0)
    for extra in (dearest // 8, dearest, 64 * dearest):
        yield _cover(problem, values, RULES, problem.counts, extra=extra)
        yield _cover(problem, [1.0] * len(problem.counts), RULES, problem.counts, extra=extra)


def _even(problem: Problem) -> list[float]:
    """Value a pod by the share that it takes of the largest room for sale."""
    rooms = [max(sizes) for sizes in zip(*(k.room for k in problem.kinds), strict=True)]
    return [
        max((w / max(1, r) for w, r in zip(demand, rooms, strict=True)), default=0.0)
        for demand in problem.demands
    ]


def _dive(problem: Problem, relaxed: Relaxation) -> Packing:
    """Buy the whole servers of the relaxed mix, relax what is left anew, and so on."""
    cover = _Cover(problem, relaxed.values, RULES, problem.counts, 0)
    mix = relaxed.columns
    for _ in range(_DIVES):
        bought = sum([cover.buy(kind, pattern, int(n + _WHOLE)) for kind, pattern, n in mix])
        if not bought:
            likely = sorted(mix, key=lambda column: -column[2])[: max(1, len(mix) // _AT_ONCE)]
            bought = sum([cover.buy(kind, cover.trim(pattern), 1) for kind, pattern, _ in likely])
        rest = cover.rest()
        if not bought or not any(rest.counts):
            break
        loads = [(kind, cover.trim(pattern)) for kind, pattern, _ in mix]
        mix = relax(rest, _DIVE_WORK, loads).columns
    cover.run(range(len(problem.kinds)))
    return cover.packing()


def _cover(
    problem: Problem,
    values: Sequence[float],
    rules: Sequence[Rule],
    counts: Sequence[int],
    *,
    extra: int = 0,
) -> Packing:
    """Buy the load that is worth most for its price (plus `extra`) until nothing is missed."""
    cover = _Cover(problem, values, rules, counts, extra)
    cover.run(range(len(problem.kinds)))
    return cover.packing()


class _Cover:
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


def _right_size(problem: Problem, packing: Packing) -> Packing:
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


def _rebuild(problem: Problem, values: Sequence[float], best: Packing) -> Packing:
    """Take the servers that earn least for their price out again and buy anew for their pods."""
    for _ in range(_RUIN_ROUNDS):
        better = best
        for share in _RUINED_SHARES:
            kept, counts, limits = _ruin(problem, values, best, share)
            if not any(counts):
                continue
            smaller = replace(problem, counts=counts, limits=limits)
            tries = (
                _cover(smaller, values, RULES, counts),
                _cover(smaller, values, (by_size,), counts),
                _cover(smaller, _even(problem), (by_match, by_density, by_value), counts),
            )
            again = min((_right_size(smaller, t) for t in tries), key=Packing.rank)
            joined = Packing(
                batches=(*kept, *again.batches),
                price=again.price + sum(problem.kinds[b.kind].price * b.number for b in kept),
                missed=again.missed,
            )
            better = min(better, joined, key=Packing.rank)
        if better is best:
            break
        best = better
    return best


def _ruin(
    problem: Problem, values: Sequence[float], packing: Packing, share: int
) -> tuple[list[Batch], tuple[int, ...], tuple[int, ...]]:
    servers = sum(batch.number for batch in packing.batches)
    doomed = max(2, servers // share)

    def worth(batch: Batch) -> float:
        price = max(1, problem.kinds[batch.kind].price)
        return sum([values[i] * n for i, n in batch.pattern]) / price

    counts, left = list(packing.missed), list(problem.limits)
    kept = []
    for batch in sorted(packing.batches, key=worth):
        gone = min(doomed, batch.number)
        doomed -= gone
        for index, n in batch.pattern:
            counts[index] += n * gone
        if batch.number > gone:
            kept.append(replace(batch, number=batch.number - gone))
            for limit, amount in problem.kinds[batch.kind].uses:
                left[limit] -= amount * (batch.number - gone)
    return kept, tuple(counts), tuple(left)
