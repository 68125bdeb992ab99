"""From Hetzner's JSON to frozen facts. Pure; also reads the bundled catalogue."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hk3s_hetzner import domain

Json = Mapping[str, Any]

GIB = 2**30
GB = 10**9
MICRO = Decimal(1_000_000)


def moment(text: str | None) -> datetime | None:
    """Return an RFC 3339 time as aware UTC."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def micro_eur(text: str) -> int:
    """Return a price string (`0.0088000000`) in micro-euro, rounded half up."""
    return int((Decimal(text) * MICRO).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def server(data: Json) -> domain.Server:
    """Read an element of `GET /servers`."""
    public = data.get("public_net") or {}
    image = data.get("image") or {}
    return domain.Server(
        id=data["id"],
        name=data["name"],
        status=data["status"],
        created=_moment(data["created"]),
        server_type=data["server_type"]["name"],
        location=data["location"]["name"],
        image=image.get("name"),
        labels=dict(data.get("labels") or {}),
        public_ipv4=_ip(public.get("ipv4")),
        public_ipv6=_ip(public.get("ipv6")),
        private_nets=_private_nets(data),
        volume_ids=tuple(data.get("volumes") or ()),
        locked=bool(data.get("locked")),
        protected=_protected(data),
    )


def action(data: Json) -> domain.Action:
    """Read an element of `GET /actions`. `error` counts only when the status says so."""
    error = (data.get("error") or {}) if data["status"] == "error" else {}
    return domain.Action(
        id=data["id"],
        command=data["command"],
        status=data["status"],
        progress=int(data.get("progress") or 0),
        error_code=error.get("code"),
        error_message=error.get("message"),
        resources=tuple(
            domain.ActionResource(id=resource["id"], type=resource["type"])
            for resource in data.get("resources") or ()
        ),
    )


def action_ids(answer: Json) -> tuple[int, ...]:
    """Return the ids of all actions that an answer names, in order, each once."""
    actions = [
        answer.get("action"),
        *(answer.get("actions") or ()),
        *(answer.get("next_actions") or ()),
    ]
    return tuple(dict.fromkeys(entry["id"] for entry in actions if entry))


def network(data: Json) -> domain.Network:
    """Read an element of `GET /networks`."""
    return domain.Network(
        id=data["id"],
        name=data["name"],
        ip_range=data["ip_range"],
        subnets=tuple(
            domain.Subnet(
                ip_range=subnet["ip_range"],
                network_zone=subnet["network_zone"],
                type=subnet["type"],
                gateway=subnet.get("gateway"),
            )
            for subnet in data.get("subnets") or ()
        ),
        routes=tuple(
            domain.Route(destination=route["destination"], gateway=route["gateway"])
            for route in data.get("routes") or ()
        ),
        server_ids=tuple(data.get("servers") or ()),
        load_balancer_ids=tuple(data.get("load_balancers") or ()),
        labels=dict(data.get("labels") or {}),
    )


def firewall(data: Json) -> domain.Firewall:
    """Read an element of `GET /firewalls`."""
    return domain.Firewall(
        id=data["id"],
        name=data["name"],
        rules=tuple(firewall_rule(rule) for rule in data.get("rules") or ()),
        applied_to_server_ids=tuple(
            target["server"]["id"]
            for target in data.get("applied_to") or ()
            if target.get("type") == "server"
        ),
        labels=dict(data.get("labels") or {}),
    )


def firewall_rule(data: Json) -> domain.FirewallRule:
    """Read one rule of a firewall."""
    inward = data["direction"] == "in"
    return domain.FirewallRule(
        direction=data["direction"],
        protocol=data["protocol"],
        ips=tuple(data.get("source_ips" if inward else "destination_ips") or ()),
        port=data.get("port"),
        description=data.get("description"),
    )


def firewall_rule_body(rule: domain.FirewallRule) -> dict[str, Any]:
    """Return a rule as a create or set call wants it."""
    inward = rule.direction == "in"
    return {
        "direction": rule.direction,
        "protocol": rule.protocol,
        "source_ips": list(rule.ips) if inward else [],
        "destination_ips": [] if inward else list(rule.ips),
        "port": rule.port,
        "description": rule.description,
    }


def primary_ip(data: Json) -> domain.PrimaryIp:
    """Read an element of `GET /primary_ips`."""
    return domain.PrimaryIp(
        id=data["id"],
        name=data["name"],
        ip=data["ip"],
        type=data["type"],
        location=data["location"]["name"],
        assignee_id=data.get("assignee_id"),
        auto_delete=bool(data.get("auto_delete")),
        protected=_protected(data),
        labels=dict(data.get("labels") or {}),
    )


def ssh_key(data: Json) -> domain.SshKey:
    """Read an element of `GET /ssh_keys`."""
    return domain.SshKey(
        id=data["id"],
        name=data["name"],
        fingerprint=data["fingerprint"],
        public_key=data["public_key"],
        labels=dict(data.get("labels") or {}),
    )


def server_type(data: Json) -> domain.ServerType:
    """Read an element of `GET /server_types`; only priced locations count.

    Hetzner's memory is in GiB and its disk in GB (a 40 GB disk has 38.1 GiB or so on the machine).
    """
    prices = {price["location"]: price for price in data["prices"]}
    return domain.ServerType(
        id=data["id"],
        name=data["name"],
        architecture=data["architecture"],
        cpu_type=data["cpu_type"],
        category=data.get("category"),
        cores=int(data["cores"]),
        memory_bytes=int(Decimal(str(data["memory"])) * GIB),
        disk_bytes=int(Decimal(str(data["disk"])) * GB),
        locations=tuple(
            _type_location(place, prices[place["name"]])
            for place in data["locations"]
            if place["name"] in prices
        ),
    )


def location(data: Json) -> domain.Location:
    """Read an element of `GET /locations`."""
    return domain.Location(
        id=data["id"],
        name=data["name"],
        city=data["city"],
        country=data["country"],
        network_zone=data["network_zone"],
    )


def image(data: Json) -> domain.Image:
    """Read an element of `GET /images`; `deprecation` replaced `deprecated` in 2026."""
    deprecation = data.get("deprecation") or {}
    return domain.Image(
        id=data["id"],
        name=data.get("name"),
        type=data["type"],
        status=data["status"],
        architecture=data["architecture"],
        os_flavor=data["os_flavor"],
        os_version=data.get("os_version"),
        deprecated=moment(deprecation.get("announced") or data.get("deprecated")),
        labels=dict(data.get("labels") or {}),
    )


def volume(data: Json) -> domain.Volume:
    """Read an element of `GET /volumes`."""
    return domain.Volume(
        id=data["id"],
        name=data["name"],
        size_gb=int(data["size"]),
        location=data["location"]["name"],
        server_id=data.get("server"),
        protected=_protected(data),
        labels=dict(data.get("labels") or {}),
    )


def load_balancer(data: Json) -> domain.LoadBalancer:
    """Read an element of `GET /load_balancers`."""
    return domain.LoadBalancer(
        id=data["id"],
        name=data["name"],
        type=data["load_balancer_type"]["name"],
        location=data["location"]["name"],
        public_ipv4=_ip((data.get("public_net") or {}).get("ipv4")),
        private_nets=_private_nets(data),
        protected=_protected(data),
        labels=dict(data.get("labels") or {}),
    )


def pricing(data: Json) -> domain.Pricing:
    """Read the object of `GET /pricing`."""
    ipv4 = next((entry for entry in data["primary_ips"] if entry["type"] == "ipv4"), None)
    return domain.Pricing(
        currency=data["currency"],
        vat_percent=str(data["vat_rate"]),
        primary_ipv4={
            price["location"]: (
                micro_eur(price["price_hourly"]["net"]),
                micro_eur(price["price_monthly"]["net"]),
            )
            for price in (ipv4 or {}).get("prices", ())
        },
    )


def _type_location(place: Json, price: Json) -> domain.TypeLocation:
    deprecation = place.get("deprecation") or {}
    return domain.TypeLocation(
        location=place["name"],
        available=bool(place.get("available", True)),
        recommended=bool(place.get("recommended", True)),
        deprecation_announced=moment(deprecation.get("announced")),
        unavailable_after=moment(deprecation.get("unavailable_after")),
        price_micro_eur_hour=micro_eur(price["price_hourly"]["net"]),
        price_micro_eur_month=micro_eur(price["price_monthly"]["net"]),
    )


def _private_nets(data: Json) -> tuple[domain.PrivateNet, ...]:
    return tuple(
        domain.PrivateNet(
            network_id=net["network"], ip=net["ip"], mac_address=net.get("mac_address")
        )
        for net in data.get("private_net") or ()
    )


def _ip(address: Json | None) -> str | None:
    return address["ip"] if address else None


def _protected(data: Json) -> bool:
    return bool((data.get("protection") or {}).get("delete"))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
