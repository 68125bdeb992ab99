"""A covering programme: mix columns in fractions to cover every row at the lowest price.

Some rows must be covered, others are limits that the mix may not exceed. The revised simplex method
with an explicit inverse, for tens of rows and hundreds of columns.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

Name = TypeVar("Name")
_TINY = 1e-9
_NOISE = 1e-14
_WORTHWHILE = 1e-7
_ROUNDS = 20
_AT_ONCE = 10
"""Of the columns that would make a mix cheaper so many enter before all are looked at again."""
_ENTRIES = 8
"""So many are looked at in a microsecond."""


class Column(NamedTuple, Generic[Name]):
    """A column: what it costs and how much of each row it covers, or takes of a limit."""

    name: Name
    price: float
    entries: tuple[tuple[int, float], ...]


class Covering(Generic[Name]):
    """The cheapest mix of the columns at hand, and the value of covering a row.

    `wanted` are the rows to cover; not to cover one unit costs the row's `penalty`. The `limits`
    are the rows behind them; what a unit of a limit is worth is a value below zero.
    """

    def __init__(
        self, wanted: Sequence[float], penalties: Sequence[float], limits: Sequence[float] = ()
    ) -> None:
        size = len(wanted) + len(limits)
        self.pivots = 0
        self._covered = len(wanted)
        self._wanted = [*map(float, wanted), *map(float, limits)]
        self._columns: dict[Name, Column[Name]] = {}
        self._names: list[Name | None] = [None] * size
        self._inverse = [[float(row == column) for column in range(size)] for row in range(size)]
        self._amounts = list(self._wanted)
        self.values = [*map(float, penalties), *(0.0 for _ in limits)]

    @property
    def price(self) -> float:
        """The price of the mix, with the penalties for what it does not cover."""
        return sum(v * w for v, w in zip(self.values, self._wanted, strict=True))

    def mix(self) -> tuple[tuple[Name, float], ...]:
        """The columns in use, and how much of each."""
        return tuple(
            (name, amount)
            for name, amount in zip(self._names, self._amounts, strict=True)
            if name is not None and amount > _TINY
        )

    def offer(self, column: Column[Name]) -> bool:
        """Have a column at hand from now on; whether that makes the mix cheaper."""
        self._columns.setdefault(column.name, column)
        return self._enter(column)

    def settle(self) -> int:
        """Mix the columns at hand anew: one that has left may be of use beside others.

        Return the microseconds, more or less, that it took to look at them; pivots come on top.
        """
        work = 0
        for _ in range(_ROUNDS):
            useful = []
            for column in self._columns.values():
                worth = sum([n * self.values[row] for row, n in column.entries])
                work += 1 + len(column.entries) // _ENTRIES
                if worth > column.price * (1 + _WORTHWHILE):
                    useful.append((worth / max(column.price, _TINY), column))
            useful.sort(key=lambda rated: -rated[0])
            if not sum([self._enter(column) for _, column in useful[:_AT_ONCE]]):
                break
        return work

    def _enter(self, column: Column[Name]) -> bool:
        saving = -column.price
        for row, n in column.entries:
            saving += n * self.values[row]
        if saving <= column.price * _WORTHWHILE:
            return False
        if not self._pivot(column.name, column.entries, -saving):
            return False
        self._relax_rows()
        return True

    def _relax_rows(self) -> None:
        """Cover rows more often than wanted, and use limits less, where that is cheaper."""
        for _ in range(4 * len(self.values)):
            worst, at = _TINY, -1
            for row, value in enumerate(self.values):
                loss = -value if row < self._covered else value
                if loss > worst:
                    worst, at = loss, row
            if at < 0:
                return
            sign = -1.0 if at < self._covered else 1.0
            if not self._pivot(None, ((at, sign),), -worst):
                return

    def _pivot(
        self, name: Name | None, entries: tuple[tuple[int, float], ...], reduced: float
    ) -> bool:
        inverse, amounts = self._inverse, self._amounts
        direction = [sum([line[row] * n for row, n in entries]) for line in inverse]
        ratios = [(amounts[r] / s, -s, r) for r, s in enumerate(direction) if s > _TINY]
        if not ratios:
            return False
        self.pivots += 1
        ratio, _, leaving = min(ratios)
        step = direction[leaving]
        pivot_row = [x / step for x in inverse[leaving]]
        for row, line in enumerate(inverse):
            share = direction[row]
            if row != leaving and abs(share) > _NOISE:
                inverse[row] = [a - share * b for a, b in zip(line, pivot_row, strict=True)]
                amounts[row] = max(0.0, amounts[row] - share * ratio)
        inverse[leaving] = pivot_row
        amounts[leaving] = ratio
        self.values = [v + reduced * p for v, p in zip(self.values, pivot_row, strict=True)]
        self._names[leaving] = name
        return True
