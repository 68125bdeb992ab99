"""Which servers the workload could do without, and which few new ones would be cheaper.

Everything is tried by rehearsal, in an order that does not change while the world does not: what
was marked in one loop is found again in the next. Work is bounded by a number of rehearsals.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zlib import crc32

from hk3s_autoscaler.model.resources import Resources, total
from hk3s_autoscaler.planning.candidates import Candidate, Outlook
from hk3s_autoscaler.planning.capacity import free_rooms
from hk3s_autoscaler.planning.exchange import Exchange, best_exchange
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.rehearsal import Rehearsal, rehearse
from hk3s_autoscaler.planning.savings import monthly
from hk3s_autoscaler.planning.world import World

_REMOVALS_TRIED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """What may go.

    `spare` fit into what is there, all together; `targets` are the nodes that would take their pods
    in. `exchange` is the best purchase in place of others. `kept` says why the rest stays.
    """

    spare: tuple[Candidate, ...] = ()
    targets: frozenset[str] = frozenset()
    exchange: Exchange | None = None
    kept: tuple[tuple[str, Reason], ...] = ()

    @property
    def unneeded(self) -> frozenset[str]:
        """Names of all that may go."""
        exchanged = self.exchange.removed if self.exchange is not None else ()
        return frozenset(c.name for c in (*self.spare, *exchanged))


def consolidate(
    world: World, found: Sequence[Candidate], outlook: Outlook, *, may_buy: bool
) -> Consolidation:
    """Look for what could go among candidates that may be moved; empty ones are among them."""
    if not any(not c.is_empty for c in found):
        return Consolidation(spare=tuple(c for c in found if c.is_empty))
    orders = {tuple(c.name for c in order): order for order in _orders(found)}
    runs = [_spare(world, order, outlook) for order in orders.values()]
    best = max(runs, key=lambda run: (_worth(run.spare), -len(run.spare)))
    moving = [c for c in best.spare if not c.is_empty]
    rest = [c for c in found if not c.is_empty and c not in moving]
    if moving or not may_buy:
        return best
    exchange = best_exchange(world, rest)
    if exchange is None:
        return best
    # Servers that take pods in are not spare.
    taking = rehearse(world, exchange.removed).targets
    return replace(
        best,
        spare=tuple(c for c in best.spare if c.name not in taking),
        exchange=exchange,
        targets=best.targets | taking,
    )


def _orders(found: Sequence[Candidate]) -> Iterable[list[Candidate]]:
    """Ways to go through the candidates: what costs most, or what is moved most easily, first."""
    yield sorted(found, key=lambda c: (-c.price, len(c.pods), _since(c), c.name))
    yield sorted(found, key=lambda c: (len(c.pods), -c.price, _since(c), c.name))


def _since(candidate: Candidate) -> tuple[bool, str]:
    since = candidate.node.unneeded_since
    return since is None, since.isoformat() if since is not None else ""


def _worth(spare: Iterable[Candidate]) -> int:
    """What a removal saves an hour, less what each node with pods on it has to be worth."""
    return sum(
        c.price
        - (0 if c.is_empty else c.pool.disruption.min_savings_micro_eur_per_month // (24 * 26))
        for c in spare
    )


def _spare(world: World, order: Sequence[Candidate], outlook: Outlook) -> Consolidation:
    """Let go of one after another, as long as all that went fits into what is left."""
    staying = Counter(outlook.staying)
    balance = _balance(world)
    spare: list[Candidate] = []
    kept: list[tuple[str, Reason]] = []
    targets: frozenset[str] = frozenset()
    turn = in_turn(world.now, order)
    for candidate in order:
        pool = candidate.pool
        if staying[pool.name] <= pool.min_nodes:
            words = f"pool {pool.name} keeps {pool.min_nodes} nodes"
            kept.append((candidate.name, Reason(Code.MIN_NODES, words)))
            continue
        if candidate.is_empty and candidate.name in targets:
            continue
        found: Rehearsal | None = None
        left = balance.without(candidate)
        reason = _too_little(candidate) or _no_room(candidate, left)
        if reason is None and not candidate.is_empty:
            if candidate.name not in turn:
                continue
            found = rehearse(world, [*spare, candidate], buy=False)
            reason = _unfit(found)
        if reason is not None:
            kept.append((candidate.name, reason))
            continue
        if found is not None:
            targets = found.targets
        spare.append(candidate)
        balance = left
        staying[pool.name] -= 1
    return Consolidation(spare=tuple(spare), targets=targets, kept=tuple(kept))


def in_turn(now: datetime, order: Sequence[Candidate]) -> frozenset[str]:
    """Names of those that are looked at in this loop: the first, and some others in turn.

    What was marked is always among them, so that marks last.
    """
    used = [c for c in order if not c.is_empty]
    used.sort(key=lambda c: c.node.unneeded_since is None)
    first, others = used[: _REMOVALS_TRIED // 2], used[_REMOVALS_TRIED // 2 :]
    marked = sum(c.node.unneeded_since is not None for c in others)
    others[marked:] = sorted(
        others[marked:], key=lambda c: crc32(f"{c.name} {now.isoformat()}".encode())
    )
    return frozenset(c.name for c in (*first, *others[: _REMOVALS_TRIED - len(first)]))


def _too_little(candidate: Candidate) -> Reason | None:
    if candidate.is_empty:
        return None
    saving = monthly([(candidate.price, 24)], ())
    least = candidate.pool.disruption.min_savings_micro_eur_per_month
    if saving >= least:
        return None
    words = f"moving its pods would save {_euro(saving)} a month, less than {_euro(least)}"
    return Reason(Code.SAVES_TOO_LITTLE, words)


@dataclass(slots=True)
class _Balance:
    """What the nodes that stay have left together, and what the pods ask for that have to move."""

    rooms: dict[str, Resources]
    rest: Resources
    wanted: Resources

    def without(self, candidate: Candidate) -> "_Balance":
        """The balance once a candidate goes as well."""
        room = self.rooms.get(candidate.name, Resources())
        asked = total(pod.spec.requests for pod in candidate.pods)
        return _Balance(self.rooms, self.rest - room, self.wanted + asked)


def _balance(world: World) -> _Balance:
    rooms = free_rooms(world)
    return _Balance(rooms, total(rooms.values()), Resources())


def _no_room(candidate: Candidate, left: _Balance) -> Reason | None:
    """Say without rehearsal that the rest has not even the sum of what its pods ask for."""
    short = left.wanted.shortages(left.rest)
    if not short:
        return None
    words = f"the other nodes have not enough {', '.join(short)} for its {len(candidate.pods)} pods"
    return Reason(Code.NO_PLACE, words)


def _unfit(found: Rehearsal) -> Reason | None:
    if found.fits:
        return None
    why = found.unserved.message if found.unserved is not None else "there is no room"
    return Reason(Code.NO_PLACE, f"its pods fit nowhere else: {why}")


def _euro(micro_eur: int) -> str:
    return f"{micro_eur / 1_000_000:.2f} EUR"
