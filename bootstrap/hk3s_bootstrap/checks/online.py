"""What only Hetzner can tell, asked before the first call that writes (E050 to E059). Pure rules.

Stock is a hint of the moment: for machines of this run a type that is reported sold out is an
error, unless the user wants to try it anyway; for pools, which grow later, it is a warning.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.observed import Observed
from hk3s_findings.finding import Finding
from hk3s_findings.located import Path
from hk3s_hetzner import domain
from hk3s_hetzner.client import Hetzner

SHOWN = 5
Places = list[tuple[Path, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What Hetzner sells at the moment of the run."""

    now: datetime
    server_types: tuple[domain.ServerType, ...]
    locations: tuple[domain.Location, ...]
    images: tuple[domain.Image, ...]

    def server_type(self, name: str) -> domain.ServerType | None:
        """Return a type by name."""
        return next((each for each in self.server_types if each.name == name), None)

    def offer(self, name: str, location: str) -> domain.TypeLocation | None:
        """Return a type's offer in a location, `None` when it is not, or no longer, sold there."""
        server_type = self.server_type(name)
        places = () if server_type is None else server_type.locations
        for place in places:
            gone = place.unavailable_after is not None and place.unavailable_after <= self.now
            if place.location == location and not gone:
                return place
        return None

    def alternatives(self, name: str, location: str) -> tuple[str, ...]:
        """Return what could be had instead, cheapest first: as large and of the same make."""
        wanted = self.server_type(name)
        found = [
            (place.price_micro_eur_hour, f"{each.name} in {place.location}")
            for each in self.server_types
            for place in each.locations
            if place.available
            and self.offer(each.name, place.location) is not None
            and (place.location == location or each.name == name)
            and (
                wanted is None
                or (
                    each.architecture == wanted.architecture
                    and each.cores >= wanted.cores
                    and each.memory_bytes >= wanted.memory_bytes
                )
            )
        ]
        return tuple(text for _, text in sorted(found)[:SHOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What rules look at. `try_sold_out` makes sold-out machines a warning."""

    config: ClusterConfig
    market: Market
    observed: Observed
    try_sold_out: bool


async def read_market(hetzner: Hetzner, now: datetime) -> Market:
    """Ask for types, locations and images."""
    server_types, locations, images = await asyncio.gather(
        hetzner.list_server_types(), hetzner.list_locations(), hetzner.list_images()
    )
    return Market(now=now, server_types=server_types, locations=locations, images=images)


def check(context: Context) -> tuple[Finding, ...]:
    """Return what every rule finds."""
    return tuple(finding for rule in RULES for finding in rule(context))


def locations_exist(context: Context) -> Iterator[Finding]:
    """Locations come and go."""
    known = {location.name for location in context.market.locations}
    places: Places = [(("location",), context.config.location)]
    for index, pool in enumerate(context.config.node_pools):
        places += [
            (("nodePools", index, "locations", number), location)
            for number, location in enumerate(pool.locations)
        ]
    for path, location in places:
        if location not in known:
            yield Finding(
                code="HK3S-E050",
                path=path,
                cause=f"Hetzner has no location {location!r}",
                fix=f"choose from {', '.join(sorted(known))}",
            )


def server_types_exist(context: Context) -> Iterator[Finding]:
    """Types come and go, too."""
    places: Places = [
        (("bastion", "serverType"), context.config.bastion.server_type),
        (("master", "serverType"), context.config.master.server_type),
    ]
    for index, pool in enumerate(context.config.node_pools):
        places += [
            (("nodePools", index, "serverTypes", number), name)
            for number, name in enumerate(pool.server_types)
        ]
    for path, name in places:
        if context.market.server_type(name) is None:
            known = sorted(each.name for each in context.market.server_types)
            yield Finding(
                code="HK3S-E051",
                path=path,
                cause=f"Hetzner has no server type {name!r}",
                fix=f"choose from {', '.join(known)}",
            )


def machines_are_orderable(context: Context) -> Iterator[Finding]:
    """The servers that this run would buy can be had in the cluster's location."""
    location = context.config.location
    for role, server_type, existing in (
        ("bastion", context.config.bastion.server_type, context.observed.bastion),
        ("master", context.config.master.server_type, context.observed.master),
    ):
        if existing is not None or context.market.server_type(server_type) is None:
            continue
        offer = context.market.offer(server_type, location)
        instead = ", ".join(context.market.alternatives(server_type, location))
        choose = f"choose one of: {instead}" if instead else "choose another location"
        if offer is None:
            yield Finding(
                code="HK3S-E052",
                path=(role, "serverType"),
                cause=f"{server_type} is not sold in {location}",
                fix=choose,
            )
        elif not offer.available:
            severity: Literal["error", "warning"] = "warning" if context.try_sold_out else "error"
            yield Finding(
                code="HK3S-E053",
                path=(role, "serverType"),
                cause=f"{server_type} is reported sold out in {location}",
                fix=f"{choose}; or try it anyway with --try-sold-out",
                severity=severity,
            )


def pools_can_grow(context: Context) -> Iterator[Finding]:
    """Of what a pool may buy, something should be in stock."""
    for index, pool in enumerate(context.config.node_pools):
        locations = pool.locations or tuple(each.name for each in context.market.locations)
        offers = [
            offer
            for name in pool.server_types
            for location in locations
            if (offer := context.market.offer(name, location)) is not None
        ]
        if pool.server_types and not any(offer.available for offer in offers):
            yield Finding(
                code="HK3S-E054",
                path=("nodePools", index, "serverTypes"),
                cause=f"nothing that pool {pool.name!r} may buy is in stock now",
                fix="list more server types or locations",
                severity="warning",
            )


def images_exist(context: Context) -> Iterator[Finding]:
    """An image exists once an architecture."""
    market = context.market
    wanted: list[tuple[Path, str, tuple[str, ...]]] = [
        (("bastion", "image"), context.config.bastion.image, (context.config.bastion.server_type,)),
        (("master", "image"), context.config.master.image, (context.config.master.server_type,)),
    ]
    for index, pool in enumerate(context.config.node_pools):
        wanted.append((("nodePools", index, "image"), pool.image, pool.server_types))
    existing = {(image.name, image.architecture) for image in market.images}
    for path, image, names in wanted:
        architectures = {
            server_type.architecture
            for name in names
            if (server_type := market.server_type(name)) is not None
        }
        for architecture in sorted(architectures):
            if (image, architecture) not in existing:
                yield Finding(
                    code="HK3S-E055",
                    path=path,
                    cause=f"Hetzner has no image {image!r} for {architecture}",
                    fix="choose another image or server types of another architecture",
                )


RULES = (
    locations_exist,
    server_types_exist,
    machines_are_orderable,
    pools_can_grow,
    images_exist,
)
