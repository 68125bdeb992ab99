"""Which servers to buy for a problem: several greedy covers raced, the best one polished.

A cover buys, again and again, the server whose load is worth most for its price; the covers differ
in how pods are valued and how a server is filled. Limits hold at every step. All work is counted in
units, never timed: the same facts give the same plan on any machine.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from hk3s_autoscaler.planning.cover import (
    Batch,
    Cover,
    Packing,
    covered,
    even_values,
    right_size,
)
from hk3s_autoscaler.planning.filling import RULES, Rule, by_match, by_size
from hk3s_autoscaler.planning.folding import Part, folded, ladder, parts
from hk3s_autoscaler.planning.problem import Pattern, Problem
from hk3s_autoscaler.planning.relaxation import Load, Relaxation, area_values, relax
from hk3s_autoscaler.planning.repack import Improver
from hk3s_autoscaler.planning.shortage import outgrow, race_for_room, rebuild
from hk3s_autoscaler.planning.tighten import simplified

_RELAX_WORK = 200_000
_DIVE_WORK = 12_000
_DIVES = 12
_AT_ONCE = 4
_MANY_CLASSES = 100
"""Beyond so many, classes are folded to find out what they are worth."""
_FOLDED_WORK = 300_000
_RACE_WORK = 100_000
_CLOSE = 1.02
"""What costs so little more than the bound is improved at once, and not raced against others."""
_FAVOURITES = 8
_IMPROVE_WORK = 1_000_000
_TURNS = 6
_SIZES = (4, 6, 9, 12)
"""How many servers are taken out at once."""
_WHOLE = 1e-6


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
    return found if len(rungs) == len(problem.kinds) else right_size(problem, found)


def sketch(problem: Problem) -> Packing:
    """Return a purchase found at once: a few per cent dearer than that of `pack`."""
    rungs = ladder(problem)
    few = replace(problem, kinds=tuple(problem.kinds[k] for k in rungs))
    sharp, numbers = simplified(few)
    if not numbers:
        return Packing(batches=(), price=0, missed=problem.counts)
    values = area_values(sharp)
    ways = ((even_values(sharp), (by_match, by_size)), (values, (by_match, by_size)))
    covers = [covered(sharp, worth, rules, sharp.counts) for worth, rules in ways]
    best = min((right_size(sharp, cover) for cover in covers), key=Packing.rank)
    batches = tuple(replace(batch, kind=rungs[numbers[batch.kind]]) for batch in best.batches)
    return replace(best, batches=batches)


def greedy_loads(problem: Problem, values: Sequence[float], rule: Rule) -> list[Load]:
    """Loads that a greedy cover buys: good columns to start a relaxation from."""
    cover = covered(problem, values, (rule,), problem.counts)
    return [(batch.kind, batch.pattern) for batch in cover.batches]


def finish(problem: Problem, batches: Iterable[Batch], values: Sequence[float]) -> Packing:
    """Make a purchase of loads that may hold more pods than there are, or too few."""
    cover = Cover(problem, values, RULES, problem.counts, 0)
    for batch in batches:
        for _ in range(batch.number):
            cover.buy(batch.kind, cover.trim(batch.pattern), 1)
    cover.run(range(len(problem.kinds)))
    return right_size(problem, cover.packing())


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
    values, dues, found = _guided(problem, share)
    if any(sum(packing.missed) for packing in found):
        nearest = min((p for p in found if any(p.missed)), key=Packing.rank)
        found += (*race_for_room(problem, values), outgrow(problem, values, nearest))
    best = min((right_size(problem, packing) for packing in found), key=Packing.rank)
    if any(best.missed):
        return rebuild(problem, values, best)
    return _improve(problem, (values, dues), best, _IMPROVE_WORK // share)


def _guided(problem: Problem, share: int) -> tuple[Sequence[float], Sequence[float], list[Packing]]:
    """What pods and limits are worth by a relaxation, and covers that go by it."""
    if len(problem.counts) > _MANY_CLASSES:
        return _guided_by_folded(problem, share)
    rough = relax(problem, 1)
    found = [covered(problem, rough.values, (rule,), problem.counts) for rule in RULES]
    loads = {(b.kind, b.pattern) for packing in found for b in packing.batches}
    relaxed = relax(problem, _RELAX_WORK // share, sorted(loads))
    found.append(_dive(problem, relaxed))
    close = relaxed.bound * _CLOSE
    if not any(right_size(problem, p).price <= close and not any(p.missed) for p in found):
        bought = Counter(kind for kind, _, _ in relaxed.columns)
        found += _race(problem, relaxed.values, bought, _RACE_WORK // share)
    return relaxed.values, relaxed.dues, found


def _guided_by_folded(
    problem: Problem, share: int
) -> tuple[Sequence[float], Sequence[float], list[Packing]]:
    """Very many classes: relax what they have in common, and buy that with what is at hand."""
    fold = folded(problem)
    small = fold.problem
    worth = area_values(small)
    dues: Sequence[float] = [0.0] * len(problem.limits)
    mix: tuple[tuple[int, Pattern, float], ...] = ()
    if len(small.counts) <= _MANY_CLASSES:
        rough = relax(small, 1).values
        loads = {load for rule in RULES[:2] for load in greedy_loads(small, rough, rule)}
        relaxed = relax(small, _FOLDED_WORK // share, sorted(loads))
        worth, mix, dues = relaxed.values, relaxed.columns, relaxed.dues
    values = [worth[number] for number in fold.which]
    cover = Cover(problem, values, RULES[:2], problem.counts, 0)
    for kind, pattern, amount in sorted(mix, key=lambda column: (-column[2], column[:2])):
        cover.buy_alike(fold, kind, pattern, int(amount + _WHOLE))
    cover.run(range(len(problem.kinds)))
    amounts: Counter[int] = Counter()
    for kind, _, _ in mix:
        amounts[fold.kinds[kind][0]] += 1
    race = _race(problem, values, amounts, _RACE_WORK // share)
    return values, dues, [cover.packing(), *race]


def _improve(
    problem: Problem,
    worth: tuple[Sequence[float], Sequence[float]],
    packing: Packing,
    work: int,
) -> Packing:
    """Exchange servers; `worth` is that of the classes and of the limits."""
    left = list(problem.limits)
    servers: Counter[Load] = Counter()
    for batch in packing.batches:
        servers[batch.kind, batch.pattern] += batch.number
        for limit, amount in problem.kinds[batch.kind].uses:
            left[limit] -= amount * batch.number
    improver = Improver(problem, *worth, servers, left, work, _TURNS)
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
        (even_values(problem), (by_match, by_size), None),
        (values, RULES, None),
        *((values, (by_match, by_size), number) for number in _favourites(problem, mix)),
    ]
    for worth, rules, first in ways:
        cover = Cover(problem, worth, rules, problem.counts, 0)
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


def _dive(problem: Problem, relaxed: Relaxation) -> Packing:
    """Buy the whole servers of the relaxed mix, relax what is left anew, and so on."""
    cover = Cover(problem, relaxed.values, RULES, problem.counts, 0)
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
