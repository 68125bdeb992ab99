"""What can be ordered: types, locations, images and prices, and the stock of the day."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Literal

from hk3s_data import catalog as data
from hk3s_lab.hetzner.model import offers

StockBase = Literal["catalog", "all"]
Supply = bool | Literal["refused"]
"""In stock, sold out, or sold out though listed as available: Hetzner's flag is only a hint."""

_BACKUP_PERCENTAGE = "20.0000000000"
_IMAGES_CREATED = "2026-05-18T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Net prices in EUR."""

    hourly: Decimal
    monthly: Decimal


@dataclass(slots=True)
class Catalog:
    """The bundled catalogue with the stock that the lab sets.

    `base` is the stock where no override speaks: the catalogue's own flags, or everything.
    `overrides` maps `type/location` patterns (`cx23/fsn1`, `cx*/*`) to supply; the last wins.
    """

    base: StockBase = "catalog"
    overrides: dict[str, Supply] = field(default_factory=dict)
    locations: list[dict[str, Any]] = field(default_factory=lambda: data.bundled()["locations"])
    types: list[dict[str, Any]] = field(default_factory=lambda: data.bundled()["server_types"])

    def override(self, changes: Mapping[str, Supply | None]) -> None:
        """Set supply by pattern; None takes an override back."""
        for pattern, supply in changes.items():
            self.overrides.pop(pattern, None)
            if supply is not None:
                self.overrides[pattern] = supply

    def is_pattern(self, text: str) -> bool:
        """Tell whether a stock pattern matches anything that is listed."""
        return any(fnmatchcase(key, text) for key in self.stock())

    def location(self, name_or_id: str) -> dict[str, Any] | None:
        """Return a location."""
        return _find(self.locations, name_or_id)

    def zones(self) -> set[str]:
        """Return the names of the network zones."""
        return {str(location["network_zone"]) for location in self.locations}

    def zone(self, location: str) -> str:
        """Return the network zone of a location."""
        return next(str(x["network_zone"]) for x in self.locations if x["name"] == location)

    def server_type(self, name_or_id: str) -> dict[str, Any] | None:
        """Return a server type as the bundled catalogue has it, stock not applied."""
        return _find(self.types, name_or_id)

    def server_types(self) -> list[dict[str, Any]]:
        """Return all server types as the API shows them now."""
        return [self.view(server_type) for server_type in self.types]

    def view(self, server_type: dict[str, Any]) -> dict[str, Any]:
        """Return a server type with the stock of the moment."""
        places = [
            place | {"available": self._supply(server_type["name"], place) is not False}
            for place in server_type["locations"]
        ]
        return server_type | {"locations": places}

    def offered(self, server_type: str, location: str, now: datetime) -> bool:
        """Tell whether the type is (still) part of the location's offer, in stock or not."""
        place = self._place(server_type, location)
        if place is None:
            return False
        ends = (place["deprecation"] or {}).get("unavailable_after")
        return ends is None or now < datetime.fromisoformat(ends)

    def available(self, server_type: str, location: str) -> bool:
        """Tell whether the type can be ordered in the location now."""
        place = self._place(server_type, location)
        return place is not None and self._supply(server_type, place) is True

    def stock(self) -> dict[str, Supply]:
        """Return `type/location` to supply, for all that the catalogue lists."""
        return {
            f"{server_type['name']}/{place['name']}": self._supply(server_type["name"], place)
            for server_type in self.types
            for place in server_type["locations"]
        }

    def server_price(self, server_type: str, location: str) -> Price:
        """Return the price of a server without its addresses."""
        found = self.server_type(server_type)
        return _price(found["prices"] if found else [], location)

    def primary_ip_price(self, version: str, location: str) -> Price:
        """Return the price of a primary IP; versions without a listed price are free."""
        listed = data.bundled()["pricing"]["primary_ips"]
        prices: list[dict[str, Any]] = next(
            (entry["prices"] for entry in listed if entry["type"] == version), []
        )
        return _price(prices, location)

    def price_per_gb_month(self, kind: str) -> Decimal:
        """Return what a GB of a `volume` or an `image` costs a month."""
        return Decimal(data.bundled()["pricing"][kind]["price_per_gb_month"]["net"])

    def pricing(self) -> dict[str, Any]:
        """Return the price list."""
        backups = {"server_backup": {"percentage": _BACKUP_PERCENTAGE}}
        return {**offers.pricing(), **backups, **data.bundled()["pricing"]}

    def images(self) -> list[dict[str, Any]]:
        """Return the system images, x86 and arm, by id; the arm ids are the lab's own."""
        return _images()

    def image(self, name_or_id: str, architecture: str) -> dict[str, Any] | None:
        """Return an image by id, or by name and architecture."""
        for image in self.images():
            if str(image["id"]) == name_or_id:
                return image
            if image["name"] == name_or_id and image["architecture"] == architecture:
                return image
        return None

    def _place(self, server_type: str, location: str) -> dict[str, Any] | None:
        found = self.server_type(server_type)
        places = found["locations"] if found else []
        return next((place for place in places if place["name"] == location), None)

    def _supply(self, server_type: str, place: dict[str, Any]) -> Supply:
        key = f"{server_type}/{place['name']}"
        for pattern in reversed(self.overrides):
            if fnmatchcase(key, pattern):
                return self.overrides[pattern]
        if self.base == "all":
            return place["deprecation"] is None
        return bool(place["available"])


def _find(entries: list[dict[str, Any]], name_or_id: str) -> dict[str, Any] | None:
    return next((e for e in entries if name_or_id in (e["name"], str(e["id"]))), None)


def _price(prices: list[dict[str, Any]], location: str) -> Price:
    for price in prices:
        if price["location"] == location:
            return Price(
                hourly=Decimal(price["price_hourly"]["net"]),
                monthly=Decimal(price["price_monthly"]["net"]),
            )
    return Price(hourly=Decimal(0), monthly=Decimal(0))


@functools.cache
def _images() -> list[dict[str, Any]]:
    ids: dict[str, int] = data.bundled()["system_image_ids_x86"]
    views = []
    for name, image_id in ids.items():
        views.append(_image(image_id, name, "x86"))
        views.append(_image(image_id + 1, name, "arm"))
    return sorted(views, key=lambda view: int(view["id"]))


def _image(image_id: int, name: str, architecture: str) -> dict[str, Any]:
    flavor, _, version = name.partition("-")
    return {
        "id": image_id,
        "type": "system",
        "status": "available",
        "name": name,
        "description": f"{flavor.capitalize()} {version}",
        "image_size": None,
        "disk_size": 5,
        "created": _IMAGES_CREATED,
        "created_from": None,
        "bound_to": None,
        "os_flavor": flavor,
        "os_version": version,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deprecation": None,
        "deleted": None,
        "labels": {},
        "architecture": architecture,
    }
