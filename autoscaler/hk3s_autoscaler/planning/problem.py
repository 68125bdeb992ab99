"""Packing reduced to numbers: how many of which kind of server hold these pods most cheaply?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hk3s_autoscaler.scheduling.place import HostPort, conflicts

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
class Problem:
    """Classes of pods (`demands`, `counts`, host `ports`) against kinds of servers and `limits`.

    Every vector has the same dimensions. `limits` holds what is left of each.
    """

    demands: tuple[Vector, ...]
    counts: tuple[int, ...]
    kinds: tuple[Kind, ...]
    limits: tuple[int, ...] = ()
    ports: tuple[tuple[HostPort, ...], ...] = ()

    def ports_of(self, index: int) -> tuple[HostPort, ...]:
        """Host ports of a class."""
        return self.ports[index] if self.ports else ()

    def most(self, index: int, room: Sequence[int]) -> int:
        """How many pods of a class a room holds, host ports between them included."""
        most = self.counts[index]
        for wanted, have in zip(self.demands[index], room, strict=True):
            if wanted:
                most = min(most, have // wanted) if have > 0 else 0
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
