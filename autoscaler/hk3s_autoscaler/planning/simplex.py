"""A small covering programme: mix columns in fractions to cover every row at the lowest price.

The revised simplex method with an explicit inverse, for tens of rows; columns come one at a time.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

Name = TypeVar("Name")
_TINY = 1e-9


class Column(NamedTuple, Generic[Name]):
    """A column: what it costs and how much of each row it covers."""

    name: Name
    price: float
    entries: tuple[tuple[int, float], ...]


class Covering(Generic[Name]):
    """The cheapest mix of the columns entered so far, and the value of covering a row."""

    def __init__(self, wanted: Sequence[float], first: Iterable[Column[Name]]) -> None:
        """Start from one column a row, in the rows' order, each covering only its own row."""
        columns = list(first)
        size = len(wanted)
        self._names: list[Name | None] = []
        self._inverse = [[0.0] * size for _ in range(size)]
        self._amounts: list[float] = []
        self.values: list[float] = []
        for row, column in enumerate(columns):
            covered = column.entries[0][1]
            self._names.append(column.name)
            self._inverse[row][row] = 1 / covered
            self._amounts.append(wanted[row] / covered)
            self.values.append(column.price / covered)

    def mix(self) -> tuple[tuple[Name, float], ...]:
        """The columns in use, and how much of each."""
        return tuple(
            (name, amount)
            for name, amount in zip(self._names, self._amounts, strict=True)
            if name is not None and amount > _TINY
        )

    def enter(self, column: Column[Name]) -> bool:
        """Take a column into the mix if that makes it cheaper."""
        saving = sum(n * self.values[row] for row, n in column.entries) - column.price
        if saving <= column.price * 1e-7:
            return False
        if not self._pivot(column.name, column.entries, -saving):
            return False
        self._cover_more()
        return True

    def _cover_more(self) -> None:
        """Cover rows more often than wanted where that is cheaper: no value goes below zero."""
        for _ in range(4 * len(self.values)):
            row = min(range(len(self.values)), key=self.values.__getitem__)
            if self.values[row] >= -_TINY:
                return
            if not self._pivot(None, ((row, -1.0),), self.values[row]):
                return

    def _pivot(
        self, name: Name | None, entries: tuple[tuple[int, float], ...], reduced: float
    ) -> bool:
        inverse, amounts = self._inverse, self._amounts
        direction = [sum([line[row] * n for row, n in entries]) for line in inverse]
        ratios = [(amounts[r] / s, -s, r) for r, s in enumerate(direction) if s > _TINY]
        if not ratios:
            return False
        ratio, _, leaving = min(ratios)
        step = direction[leaving]
        pivot_row = [x / step for x in inverse[leaving]]
        for row, line in enumerate(inverse):
            share = direction[row]
            if row != leaving and abs(share) > 1e-14:  # noqa: PLR2004 - rounding noise
                inverse[row] = [a - share * b for a, b in zip(line, pivot_row, strict=True)]
                amounts[row] = max(0.0, amounts[row] - share * ratio)
        inverse[leaving] = pivot_row
        amounts[leaving] = ratio
        self.values = [v + reduced * p for v, p in zip(self.values, pivot_row, strict=True)]
        self._names[leaving] = name
        return True
