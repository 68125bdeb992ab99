"""Firewall rules: what is allowed to be written."""

import re
from ipaddress import ip_network

from hk3s_lab.hetzner.model.records import Rule

MAX_RULES = 50
MAX_ADDRESSES = 100
MAX_DESCRIPTION = 255
DIRECTIONS = ("in", "out")
PROTOCOLS = ("tcp", "udp", "icmp", "esp", "gre")
PROTOCOLS_WITH_PORT = ("tcp", "udp")

_PORT = re.compile(r"(?P<low>\d{1,5})(?:-(?P<high>\d{1,5}))?\Z")
_MAX_PORT = 65535


def problems(rule: Rule) -> list[tuple[str, str]]:
    """Return what is wrong with a rule, as field and message."""
    found = []
    if rule.protocol in PROTOCOLS_WITH_PORT:
        if rule.port is None:
            found.append(("port", "is required for tcp and udp"))
        elif not is_port(rule.port):
            found.append(("port", "must be a port, a range of ports or any"))
    elif rule.port is not None:
        found.append(("port", "is only for tcp and udp"))
    used, unused = ("source_ips", "destination_ips")
    if rule.direction == "out":
        used, unused = unused, used
    if getattr(rule, unused):
        found.append((unused, f"is not for direction {rule.direction}"))
    addresses: tuple[str, ...] = getattr(rule, used)
    if not 0 < len(addresses) <= MAX_ADDRESSES:
        found.append((used, f"must hold 1 to {MAX_ADDRESSES} CIDR blocks"))
    found += [(used, f"{text!r} is not a CIDR block") for text in addresses if not _is_cidr(text)]
    if len(rule.description or "") > MAX_DESCRIPTION:
        found.append(("description", "is too long"))
    return found


def is_port(text: str) -> bool:
    """Tell whether the text is `any`, a port or a rising range of ports."""
    if text == "any":
        return True
    found = _PORT.match(text)
    if found is None:
        return False
    low = int(found["low"])
    return 0 < low <= int(found["high"] or low) <= _MAX_PORT


def _is_cidr(text: str) -> bool:
    if "/" not in text:
        return False
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
