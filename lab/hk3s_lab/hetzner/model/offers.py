"""What the bundled catalogue lacks: load balancer types, ISOs, and prices of floating IPs.

Types and prices of lb11 and lb21 are those that API answers of September 2026 show (EUR, net).
That of lb31 is extrapolated from them; that of floating IPs is of a price list of 2025.
ISO images are a few of those that Hetzner offers, with ids of the lab's own.
"""

import functools
from typing import Any

from hk3s_data import catalog as data

LOAD_BALANCER_TYPES = (
    (1, "lb11", 10_000, 5, 25, 10, "0.0120", "7.49"),
    (2, "lb21", 20_000, 15, 75, 25, "0.0344", "21.49"),
    (3, "lb31", 40_000, 30, 150, 50, "0.0689", "42.99"),
)
"""Id, name, connections, services, targets, certificates, price an hour and a month."""

FLOATING_IP_MONTHLY = {"ipv4": "3.00", "ipv6": "1.00"}

_ISOS = (
    (26, "virtio-win-0.1.266.iso", "virtio 0.1.266-1", None),
    (8637, "debian-13.1.0-amd64-netinst.iso", "Debian 13.1 (amd64/netinstall)", "x86"),
    (8638, "debian-13.1.0-arm64-netinst.iso", "Debian 13.1 (arm64/netinstall)", "arm"),
    (8690, "ubuntu-24.04.3-live-server-amd64.iso", "Ubuntu 24.04.3 LTS (amd64)", "x86"),
    (8691, "ubuntu-24.04.3-live-server-arm64.iso", "Ubuntu 24.04.3 LTS (arm64)", "arm"),
    (8800, "FreeBSD-14.3-RELEASE-amd64-dvd1.iso", "FreeBSD 14.3 (amd64)", "x86"),
)

_TRAFFIC = 21_990_232_555_520
_TERABYTE = {"net": "1.0000000000", "gross": "1.0000000000000000"}


def price(amount: str) -> dict[str, str]:
    """Return a price as the API writes it; the lab's VAT is zero."""
    whole, _, decimals = amount.partition(".")
    return {"net": f"{whole}.{decimals:<010}", "gross": f"{whole}.{decimals:<016}"}


@functools.cache
def load_balancer_types() -> list[dict[str, Any]]:
    """Return the load balancer types as the API shows them."""
    return [
        {
            "id": number,
            "name": name,
            "description": name.upper(),
            "max_connections": connections,
            "max_services": services,
            "max_targets": targets,
            "max_assigned_certificates": certificates,
            "deprecated": None,
            "deprecation": None,
            "prices": [
                {
                    "location": location["name"],
                    "price_hourly": price(hourly),
                    "price_monthly": price(monthly),
                    "included_traffic": _TRAFFIC,
                    "price_per_tb_traffic": _TERABYTE,
                }
                for location in data.bundled()["locations"]
            ],
        }
        for (
            number,
            name,
            connections,
            services,
            targets,
            certificates,
            hourly,
            monthly,
        ) in LOAD_BALANCER_TYPES
    ]


def load_balancer_type(name_or_id: str) -> dict[str, Any] | None:
    """Return a load balancer type by id or name."""
    return _find(load_balancer_types(), name_or_id)


@functools.cache
def isos() -> list[dict[str, Any]]:
    """Return the public ISO images by id."""
    return [
        {
            "id": number,
            "name": name,
            "description": description,
            "type": "public",
            "deprecation": None,
            "architecture": architecture,
        }
        for number, name, description, architecture in _ISOS
    ]


def iso(name_or_id: str) -> dict[str, Any] | None:
    """Return an ISO image by id or name."""
    return _find(isos(), name_or_id)


@functools.cache
def pricing() -> dict[str, Any]:
    """Return the parts of the price list that the catalogue lacks."""
    locations = [location["name"] for location in data.bundled()["locations"]]
    types = load_balancer_types()
    return {
        "floating_ip": {"price_monthly": price(FLOATING_IP_MONTHLY["ipv4"])},
        "floating_ips": [
            {
                "type": version,
                "prices": [
                    {"location": name, "price_monthly": price(monthly)} for name in locations
                ],
            }
            for version, monthly in FLOATING_IP_MONTHLY.items()
        ],
        "load_balancer_types": [{key: t[key] for key in ("id", "name", "prices")} for t in types],
    }


def _find(entries: list[dict[str, Any]], name_or_id: str) -> dict[str, Any] | None:
    return next((e for e in entries if name_or_id in (e["name"], str(e["id"]))), None)
