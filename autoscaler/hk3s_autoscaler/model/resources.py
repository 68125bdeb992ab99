"""Amounts of CPU, memory, pods and extended resources."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of each resource; missing ones are zero.

    `extended` maps names such as `nvidia.com/gpu` to whole numbers, sorted by name.
    """

    cpu_milli: int = 0
    memory_bytes: int = 0
    ephemeral_bytes: int = 0
    pods: int = 0
    extended: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            cpu_milli=self.cpu_milli + other.cpu_milli,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            ephemeral_bytes=self.ephemeral_bytes + other.ephemeral_bytes,
            pods=self.pods + other.pods,
            extended=_merge(self.extended, other.extended, 1),
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            cpu_milli=self.cpu_milli - other.cpu_milli,
            memory_bytes=self.memory_bytes - other.memory_bytes,
            ephemeral_bytes=self.ephemeral_bytes - other.ephemeral_bytes,
            pods=self.pods - other.pods,
            extended=_merge(self.extended, other.extended, -1),
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(
            cpu_milli=self.cpu_milli * count,
            memory_bytes=self.memory_bytes * count,
            ephemeral_bytes=self.ephemeral_bytes * count,
            pods=self.pods * count,
            extended=tuple((name, amount * count) for name, amount in self.extended),
        )

    def fits(self, room: "Resources") -> bool:
        """Whether this request fits `room`; what is not asked for cannot be short.

        As kube-scheduler's NodeResourcesFit: a zero request fits a node whose room is negative.
        """
        return (
            (self.cpu_milli <= room.cpu_milli or self.cpu_milli <= 0)
            and (self.memory_bytes <= room.memory_bytes or self.memory_bytes <= 0)
            and (self.pods <= room.pods or self.pods <= 0)
            and (self.ephemeral_bytes <= room.ephemeral_bytes or self.ephemeral_bytes <= 0)
            and (not self.extended or not self.shortages(room))
        )

    def shortages(self, room: "Resources") -> tuple[str, ...]:
        """Name the resources of which more is asked than there is room for."""
        short = [
            name
            for name, wanted, free in (
                ("cpu", self.cpu_milli, room.cpu_milli),
                ("memory", self.memory_bytes, room.memory_bytes),
                ("ephemeral-storage", self.ephemeral_bytes, room.ephemeral_bytes),
                ("pods", self.pods, room.pods),
            )
            if wanted > 0 and wanted > free
        ]
        if self.extended:
            free_extended = dict(room.extended)
            short += [n for n, wanted in self.extended if wanted > free_extended.get(n, 0)]
        return tuple(short)


def total(amounts: Iterable[Resources]) -> Resources:
    """Add up amounts."""
    cpu = memory = ephemeral = pods = 0
    extended: tuple[tuple[str, int], ...] = ()
    for amount in amounts:
        cpu += amount.cpu_milli
        memory += amount.memory_bytes
        ephemeral += amount.ephemeral_bytes
        pods += amount.pods
        if amount.extended:
            extended = _merge(extended, amount.extended, 1)
    return Resources(
        cpu_milli=cpu, memory_bytes=memory, ephemeral_bytes=ephemeral, pods=pods, extended=extended
    )


def _merge(
    left: tuple[tuple[str, int], ...], right: tuple[tuple[str, int], ...], sign: int
) -> tuple[tuple[str, int], ...]:
    if not right:
        return left
    merged = dict(left)
    for name, amount in right:
        merged[name] = merged.get(name, 0) + sign * amount
    return tuple(sorted(merged.items()))
