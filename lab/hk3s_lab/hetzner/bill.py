"""The bill of a project: what each resource has cost until now, in EUR, net.

One line a resource and price: a server whose type changed has a line for each type.
Volumes and images are paid by the hour of a month of 30 days, floating IPs by the begun month.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from hk3s_lab.hetzner.model import cost, offers
from hk3s_lab.hetzner.model.balancers import LoadBalancer
from hk3s_lab.hetzner.model.catalog import Catalog, Price
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Charge, FloatingIp, Image, PrimaryIp, Server, Volume

BACKUPS = Decimal("1.2")
"""With backups a server costs a fifth more."""
_HOURS_A_MONTH = 720
_EXACT = Decimal("0.0000000001")


class _Billed(Protocol):
    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=_Billed)
Line = dict[str, Any]


def bill(catalog: Catalog, project: Project, now: datetime) -> list[Line]:
    """Return the lines of a project, by kind and id."""
    gone = project.gone
    lines = [
        *_all(project.servers, gone.servers, lambda s: _server(catalog, s, now)),
        *_all(project.primary_ips, gone.primary_ips, lambda ip: _primary_ip(catalog, ip, now)),
        *_all(project.volumes, gone.volumes, lambda v: _volume(catalog, v, now)),
        *_all(project.load_balancers, gone.load_balancers, lambda lb: _balancer(lb, now)),
        *_all(project.floating_ips, gone.floating_ips, lambda ip: _floating_ip(ip, now)),
        *_all(project.images, gone.images, lambda image: _image(catalog, image, now)),
    ]
    return [{"project": project.name} | line for line in lines]


def totals(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the sums of a bill: so far, and per hour of what exists now."""
    running = [line for line in lines if line["deleted"] is None]
    return {
        "currency": "EUR",
        "total": str(sum((Decimal(line["cost"]) for line in lines), Decimal(0))),
        "eur_per_hour": str(sum((Decimal(x["eur_per_hour"]) for x in running), Decimal(0))),
    }


def _all(
    present: Mapping[int, T], gone: Iterable[T], lines: Callable[[T], Iterator[Line]]
) -> Iterator[Line]:
    for record in sorted([*present.values(), *gone], key=lambda record: record.id):
        yield from lines(record)


def _server(catalog: Catalog, server: Server, now: datetime) -> Iterator[Line]:
    if server.billed_from is None:
        return
    last = Charge(
        what=server.server_type,
        start=server.billed_from,
        end=server.deleted or now,
        backups=server.backup_window is not None,
    )
    for charge in (*server.past, last):
        price = catalog.server_price(charge.what, server.location)
        if charge.backups:
            price = Price(hourly=price.hourly * BACKUPS, monthly=price.monthly * BACKUPS)
        item = {"kind": "server", "id": server.id, "name": server.name}
        item |= {"server_type": charge.what, "location": server.location}
        yield item | _line(price, charge, running=charge is last and server.deleted is None)


def _primary_ip(catalog: Catalog, ip: PrimaryIp, now: datetime) -> Iterator[Line]:
    price = catalog.primary_ip_price(ip.type, ip.location)
    item = {"kind": "primary_ip", "id": ip.id, "name": ip.name}
    item |= {"type": ip.type, "location": ip.location}
    charge = Charge(what=ip.type, start=ip.created, end=ip.deleted or now)
    yield item | _line(price, charge, running=ip.deleted is None)


def _volume(catalog: Catalog, volume: Volume, now: datetime) -> Iterator[Line]:
    start = volume.billed_from or volume.created
    last = Charge(what=str(volume.size), start=start, end=volume.deleted or now)
    for charge in (*volume.past, last):
        price = _by_the_month(catalog.price_per_gb_month("volume") * int(charge.what))
        item = {"kind": "volume", "id": volume.id, "name": volume.name}
        item |= {"size": int(charge.what), "location": volume.location}
        yield item | _line(price, charge, running=charge is last and volume.deleted is None)


def _image(catalog: Catalog, image: Image, now: datetime) -> Iterator[Line]:
    if image.type != "snapshot" or image.image_size is None:
        return  # backups are paid with their server
    size = Decimal(str(image.image_size))
    price = _by_the_month(catalog.price_per_gb_month("image") * size)
    item = {"kind": "image", "id": image.id, "name": image.description, "size": image.image_size}
    charge = Charge(what="snapshot", start=image.created, end=image.deleted or now)
    yield item | _line(price, charge, running=image.deleted is None)


def _balancer(balancer: LoadBalancer, now: datetime) -> Iterator[Line]:
    start = balancer.billed_from or balancer.created
    last = Charge(what=balancer.type, start=start, end=balancer.deleted or now)
    for charge in (*balancer.past, last):
        price = _balancer_price(charge.what, balancer.location)
        item = {"kind": "load_balancer", "id": balancer.id, "name": balancer.name}
        item |= {"load_balancer_type": charge.what, "location": balancer.location}
        yield item | _line(price, charge, running=charge is last and balancer.deleted is None)


def _floating_ip(ip: FloatingIp, now: datetime) -> Iterator[Line]:
    monthly = Decimal(offers.FLOATING_IP_MONTHLY[ip.type])
    end = max(ip.created, ip.deleted or now)
    item = {"kind": "floating_ip", "id": ip.id, "name": ip.name}
    item |= {"type": ip.type, "location": ip.home_location}
    charge = Charge(what=ip.type, start=ip.created, end=end)
    line = item | _line(_by_the_month(monthly), charge, running=ip.deleted is None)
    yield line | {"cost": str(monthly * cost.months_begun(ip.created, end))}


def _balancer_price(name: str, location: str) -> Price:
    found = offers.load_balancer_type(name)
    prices = found["prices"] if found else []
    entry = next(price for price in prices if price["location"] == location)
    hourly, monthly = entry["price_hourly"]["net"], entry["price_monthly"]["net"]
    return Price(hourly=Decimal(hourly), monthly=Decimal(monthly))


def _by_the_month(monthly: Decimal) -> Price:
    return Price(hourly=(monthly / _HOURS_A_MONTH).quantize(_EXACT), monthly=monthly)


def _line(price: Price, charge: Charge, *, running: bool) -> Line:
    until = max(charge.start, charge.end)
    return {
        "created": charge.start.isoformat(),
        "deleted": None if running else charge.end.isoformat(),
        "hours": cost.started_hours(charge.start, until),
        "eur_per_hour": str(price.hourly),
        "eur_per_month_at_most": str(price.monthly),
        "cost": str(cost.amount(price, charge.start, until)),
    }
