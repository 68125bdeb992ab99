"""Packing reduced to numbers: how many of which kind of server hold these pods most cheaply?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import mul

from hk3s_autoscaler.scheduling.place import HostPort, conflicts

_FEW_DEMANDS = 64
_FEW_SIZES = 32

Vector = tuple[int, ...]
Pattern = tuple[tuple[int, int], ...]
"""What one server holds: pairs of class and number, by class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of server that may be bought.

    `classes` may run there by their rules; `uses` are pairs of limit and amount: what one such
    server takes of each limit.
    """

    room: Vector
    price: int
    classes: tuple[int, ...]
    uses: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What pods of a class say about others on their server.

    `crowds` are pairs of a crowd and its size: all members of a crowd together are at most so many
    on one server. `rivals` are classes that no server may hold beside this one.
    """

    crowds: tuple[tuple[int, int], ...] = ()
    rivals: frozenset[int] = frozenset()


ANYBODY = Neighbours()
"""Says nothing about others."""


class Company:
    """Who is on one server already, as far as rules about neighbours go."""

    def __init__(
        self, neighbours: Sequence[Neighbours], pattern: Iterable[tuple[int, int]]
    ) -> None:
        self._neighbours = neighbours
        self._members: dict[int, int] = {}
        self._here: set[int] = set()
        for index, number in pattern:
            if number:
                self.join(index, number)

    def join(self, index: int, number: int) -> None:
        """Pods of a class come in."""
        self._here.add(index)
        for crowd, _ in self._neighbours[index].crowds:
            self._members[crowd] = self._members.get(crowd, 0) + number

    def admits(self, index: int, number: int) -> int:
        """How many of `number` pods of a class may come in, whatever room they take."""
        own = self._neighbours[index]
        if own is ANYBODY:
            return number
        if own.rivals and not own.rivals.isdisjoint(self._here):
            return 0
        for crowd, most in own.crowds:
            number = min(number, most - self._members.get(crowd, 0))
        return max(0, number)


class Likeness:
    """How much each pod that comes in takes of what draws others (see `filling.by_match`)."""

    def __init__(self, problem: "Problem", size: Vector) -> None:
        self._demands = {index: problem.demands[index] for index in set(problem.alike)}
        self._squares = tuple(have * have for have in size)
        self._rows: dict[int, dict[int, float]] = {}

    def row(self, index: int) -> dict[int, float]:
        """The dot product of a demand with each, as shares of the size, by `Problem.alike`."""
        row = self._rows.get(index)
        if row is None:
            wanted = self._demands[index]
            shares = [w / square for w, square in zip(wanted, self._squares, strict=True)]
            row = {other: sum(map(mul, w, shares)) for other, w in self._demands.items()}
            self._rows[index] = row
        return row


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Classes of pods (`demands`, `counts`, host `ports`) against kinds of servers and `limits`.

    Every vector has the same dimensions. `limits` holds what is left of each. `neighbours` and
    `ports` are empty when no class has any.
    """

    demands: tuple[Vector, ...]
    counts: tuple[int, ...]
    kinds: tuple[Kind, ...]
    limits: tuple[int, ...] = ()
    ports: tuple[tuple[HostPort, ...], ...] = ()
    neighbours: tuple[Neighbours, ...] = ()

    def beside(self, index: int, pattern: Iterable[tuple[int, int]], number: int) -> int:
        """How many of `number` pods of a class may join a pattern, whatever room they take."""
        if not number or self.neighbours[index] is ANYBODY:
            return number
        return Company(self.neighbours, pattern).admits(index, number)

    @cached_property
    def alike(self) -> tuple[int, ...]:
        """For each class the number of the first one that asks for as much of everything."""
        first: dict[Vector, int] = {}
        return tuple(first.setdefault(demand, i) for i, demand in enumerate(self.demands))

    def likeness(self, size: Vector) -> Likeness:
        """How alike classes are to a server of a size; remembered for a few sizes and classes."""
        found = self._likenesses.get(size)
        if found is None:
            found = Likeness(self, size)
            if len(self._likenesses) < _FEW_SIZES and len(set(self.alike)) <= _FEW_DEMANDS:
                self._likenesses[size] = found
        return found

    @cached_property
    def _likenesses(self) -> dict[Vector, Likeness]:
        return {}

    @cached_property
    def picky(self) -> tuple[bool, ...]:
        """For each class whether it cares who is beside it, or wants a port of the server."""
        ports, near = self.ports, self.neighbours
        return tuple(
            bool((ports and ports[i]) or (near and near[i] is not ANYBODY))
            for i in range(len(self.demands))
        )

    def ports_of(self, index: int) -> tuple[HostPort, ...]:
        """Host ports of a class."""
        return self.ports[index] if self.ports else ()

    def most(self, index: int, room: Sequence[int]) -> int:
        """How many pods of a class a room holds, host ports between them included."""
        most = self.counts[index]
        for wanted, have in zip(self.demands[index], room, strict=True):
            if wanted:
                most = min(most, have // wanted) if have > 0 else 0
        if self.neighbours:
            most = self.beside(index, (), most)
        return min(most, 1) if self.ports_of(index) else most

    def load(self, pattern: Pattern) -> Vector:
        """What the pods of a pattern ask for together."""
        dimensions = range(len(self.demands[0]))
        return tuple(sum(n * self.demands[i][d] for i, n in pattern) for d in dimensions)

    def holds(self, kind: Kind, pattern: Pattern) -> bool:
        """Whether one server of a kind can run a pattern."""
        if not {index for index, _ in pattern} <= set(kind.classes):
            return False
        load = self.load(pattern)
        if any(want and want > have for want, have in zip(load, kind.room, strict=True)):
            return False
        if self.neighbours and any(
            self.beside(index, (*pattern[:at], *pattern[at + 1 :]), n) < n
            for at, (index, n) in enumerate(pattern)
        ):
            return False
        return not self.clash(index for index, n in pattern for _ in range(n))

    def clash(self, classes: Iterable[int]) -> bool:
        """Whether pods of these classes want the same host port."""
        if not self.ports:
            return False
        taken: list[HostPort] = []
        for index in classes:
            ports = self.ports[index]
            if conflicts(ports, taken):
                return True
            taken += ports
        return False


def affordable(kind: Kind, left: Sequence[int]) -> int:
    """How many servers of a kind the limits still allow."""
    return min((max(0, left[limit]) // amount for limit, amount in kind.uses), default=1 << 30)
