"""Offerings: what can be bought, where and for how much."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hk3s_autoscaler.model.resources import Resources

Architecture = Literal["x86", "arm"]


@dataclass(frozen=True, slots=True, order=True)
class OfferingKey:
    """A server type in a location; prints as `cx23/fsn1`."""

    server_type: str
    location: str

    def __str__(self) -> str:
        return f"{self.server_type}/{self.location}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A server type in a location.

    Prices are net, in millionths of a euro. `capacity` is the machine, `allocatable` what a Node
    offers to pods after the reservations of k3s and the OS.
    `published_available` is Hetzner's own flag: a hint, not a verdict.
    `unavailable_after`: from then on it cannot be bought any more.
    """

    key: OfferingKey
    architecture: Architecture
    cpu_type: Literal["shared", "dedicated"]
    cores: int
    memory_bytes: int
    disk_bytes: int
    micro_eur_per_hour: int
    micro_eur_per_month: int
    capacity: Resources
    allocatable: Resources
    published_available: bool = True
    unavailable_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferingBlock:
    """An offering that lately could not be had, and until when it is left alone."""

    key: OfferingKey
    reason: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntLimit:
    """An account limit that Hetzner answered with: growth of that kind stops until then.

    `name` is Hetzner's (`server_limit`, `dedicated_core_limit`, ...); `ceiling` is the number of
    servers at which it was hit.
    """

    name: str
    ceiling: int
    until: datetime
