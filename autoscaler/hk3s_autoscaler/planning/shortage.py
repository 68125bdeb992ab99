"""Where limits bind: not every pod can be served by what is cheapest, so larger servers count."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from hk3s_autoscaler.planning.cover import Batch, Packing, covered, even_values, right_size
from hk3s_autoscaler.planning.filling import (
    RULES,
    Filling,
    by_density,
    by_match,
    by_size,
    by_value,
)
from hk3s_autoscaler.planning.problem import Kind, Pattern, Problem, affordable

_RUINED_SHARES = (2, 4, 8)
_RUIN_ROUNDS = 6
_NEARLY_ALL = 8
"""Servers are outgrown if a purchase misses less than one of so many pods."""
_GROWTHS = 100_000
"""How often a larger server is looked at, about."""


def race_for_room(problem: Problem, values: Sequence[float]) -> Iterable[Packing]:
    """Where limits bind, servers that hold more are worth more than their price says."""
    dearest = max((kind.price for kind in problem.kinds), default=0)
    for extra in (dearest // 8, dearest, 64 * dearest):
        yield covered(problem, values, RULES, problem.counts, extra=extra)
        yield covered(problem, [1.0] * len(problem.counts), RULES, problem.counts, extra=extra)


def outgrow(problem: Problem, values: Sequence[float], packing: Packing) -> Packing:
    """Find places for the few pods that a purchase misses: larger servers instead of some of it."""
    if sum(packing.missed) * _NEARLY_ALL > sum(problem.counts):
        return packing
    servers: Counter[tuple[int, Pattern]] = Counter()
    missed, left = list(packing.missed), list(problem.limits)
    for batch in packing.batches:
        servers[batch.kind, batch.pattern] += batch.number
        _take(left, problem.kinds[batch.kind], batch.number)
    tries = _GROWTHS
    while any(missed) and tries > 0:
        waiting = [(index, n) for index, n in enumerate(missed) if n]
        best: tuple[float, tuple[int, Pattern], int, Pattern] | None = None
        for server in servers:
            tries -= len(problem.kinds)
            for kind, more in _grown(problem, values, server, waiting, left):
                price = problem.kinds[kind].price - problem.kinds[server[0]].price
                worth = sum(values[index] * n for index, n in more) / max(1, price)
                if more and (best is None or worth > best[0]):
                    best = worth, server, kind, more
        if best is None:
            break
        _, server, kind, more = best
        servers[server] -= 1
        if not servers[server]:
            del servers[server]
        servers[kind, tuple(sorted((Counter(dict(server[1])) + Counter(dict(more))).items()))] += 1
        _take(left, problem.kinds[server[0]], -1)
        _take(left, problem.kinds[kind], 1)
        for index, n in more:
            missed[index] -= n
    batches = tuple(Batch(kind, pattern, n) for (kind, pattern), n in servers.items())
    price = sum(problem.kinds[batch.kind].price * batch.number for batch in batches)
    return Packing(batches=batches, price=price, missed=tuple(missed))


def _grown(
    problem: Problem,
    values: Sequence[float],
    server: tuple[int, Pattern],
    waiting: Sequence[tuple[int, int]],
    left: Sequence[int],
) -> Iterator[tuple[int, Pattern]]:
    """Kinds that hold what a server holds within the limits, and what else of `waiting`."""
    own, pattern = server
    spare = list(left)
    _take(spare, problem.kinds[own], -1)
    load = problem.load(pattern)
    held = {index for index, _ in pattern}
    ports = [port for index in held for port in problem.ports_of(index)]
    for number, kind in enumerate(problem.kinds):
        room = tuple(have - want for have, want in zip(kind.room, load, strict=True))
        if any(want and have < 0 for have, want in zip(room, load, strict=True)):
            continue
        if affordable(kind, spare) and held.issubset(kind.classes):
            suited = [(index, n) for index, n in waiting if index in kind.classes]
            yield number, by_size(Filling(problem, room, suited, values, ports, pattern))


def _take(left: list[int], kind: Kind, number: int) -> None:
    for limit, amount in kind.uses:
        left[limit] -= amount * number


def rebuild(problem: Problem, values: Sequence[float], best: Packing) -> Packing:
    """Take the servers that earn least for their price out again and buy anew for their pods."""
    for _ in range(_RUIN_ROUNDS):
        better = best
        for share in _RUINED_SHARES:
            kept, counts, limits = _ruin(problem, values, best, share)
            if not any(counts):
                continue
            smaller = replace(problem, counts=counts, limits=limits)
            tries = (
                covered(smaller, values, RULES, counts),
                covered(smaller, values, (by_size,), counts),
                covered(smaller, even_values(problem), (by_match, by_density, by_value), counts),
            )
            again = min((right_size(smaller, t) for t in tries), key=Packing.rank)
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
