"""What can be bought: server type x location, with price and stock. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from hk3s_hetzner import domain, parse

Arch = Literal["amd64", "arm64"]
"""Kubernetes's words, as in the node label `kubernetes.io/arch`."""

ARCHITECTURES: Mapping[str, Arch] = {"x86": "amd64", "arm": "arm64"}
"""Hetzner's words to Kubernetes's."""

HETZNER_ARCHITECTURES: Mapping[Arch, Literal["x86", "arm"]] = {"amd64": "x86", "arm64": "arm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """A server type in a location at a price (micro-euro, net).

    `memory_bytes` and `disk_bytes` are what is sold, not what pods may use.
    `available` is a hint: stock changes by the minute and the flag errs both ways.
    Past `unavailable_after` nothing can be bought; `deprecated` says that this day is announced.
    """

    server_type: str
    location: str
    arch: Arch
    cores: int
    memory_bytes: int
    disk_bytes: int
    cpu_type: Literal["shared", "dedicated"]
    price_micro_eur_hour: int
    price_micro_eur_month: int
    available: bool
    deprecated: bool
    unavailable_after: datetime | None

    @property
    def key(self) -> str:
        """`<server type>/<location>`, as statuses and logs write it."""
        return f"{self.server_type}/{self.location}"


def offerings(server_types: Iterable[domain.ServerType]) -> tuple[Offering, ...]:
    """Return every offering, cheapest hour first, ties by type and location.

    Architectures that Kubernetes has no word for here are left out.
    """
    found = [
        Offering(
            server_type=server_type.name,
            location=place.location,
            arch=ARCHITECTURES[server_type.architecture],
            cores=server_type.cores,
            memory_bytes=server_type.memory_bytes,
            disk_bytes=server_type.disk_bytes,
            cpu_type=server_type.cpu_type,
            price_micro_eur_hour=place.price_micro_eur_hour,
            price_micro_eur_month=place.price_micro_eur_month,
            available=place.available,
            deprecated=place.deprecation_announced is not None,
            unavailable_after=place.unavailable_after,
        )
        for server_type in server_types
        if server_type.architecture in ARCHITECTURES
        for place in server_type.locations
    ]
    return tuple(sorted(found, key=_by_price))


def from_json(server_types: Iterable[Mapping[str, Any]]) -> tuple[Offering, ...]:
    """Return the offerings of a list shaped like `GET /server_types`.

    `from_json(hk3s_data.catalog.bundled()["server_types"])` is the catalogue without network.
    """
    return offerings(parse.server_type(data) for data in server_types)


def _by_price(offering: Offering) -> tuple[int, str, str]:
    return (offering.price_micro_eur_hour, offering.server_type, offering.location)
