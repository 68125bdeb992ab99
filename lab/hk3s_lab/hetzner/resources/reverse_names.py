"""Reverse DNS names of public addresses: what they are by default, and changing them."""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Answer, Call, action_answer
from hk3s_lab.hetzner.model.records import ResourceKey

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_MAX_NAME = 253


def default_name(ip: str) -> str:
    """Return the reverse DNS name that an IPv4 address has unless it was set."""
    return f"static.{'.'.join(reversed(ip.split('.')))}.clients.your-server.de"


def names(ip: str, set_names: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the entries of an address, or those that were set in an IPv6 network."""
    if ":" in ip:
        return [{"ip": one, "dns_ptr": name} for one, name in set_names.items()]
    return [{"ip": ip, "dns_ptr": name_of(ip, set_names)}]


def name_of(ip: str, set_names: Mapping[str, str]) -> str:
    """Return the name of an IPv4 address."""
    return set_names.get(ip, default_name(ip))


def change(call: Call, resource: ResourceKey, owners: Mapping[ResourceKey, str]) -> Answer:
    """Change the name of an address that belongs to the resource of the path.

    Args:
        call: The request, with `ip` and `dns_ptr`; null takes a name back.
        resource: What the action is about.
        owners: Who keeps the names of which address or IPv6 network.
    """
    ip = call.body.text("ip", required=True)
    name = call.body.optional_text("dns_ptr")
    if "dns_ptr" not in call.body.value:
        call.body.note("dns_ptr", "is required")
    if name is not None and not _is_name(name):
        call.body.note("dns_ptr", "must be a valid host name")
    call.body.check()
    for (kind, number), owned in owners.items():
        if _within(ip, owned):
            arguments = {"kind": kind, "id": number, "ip": ip, "dns_ptr": name}
            return action_answer(
                call, call.start("change_dns_ptr", [resource], arguments=arguments)
            )
    raise errors.invalid_input({"ip": ["is no address of the resource"]})


def same(body: Body, ip: str) -> bool:
    """Tell whether the request is about this address, in whatever spelling."""
    text = body.value.get("ip")
    return isinstance(text, str) and _within(text, ip)


def _is_name(text: str) -> bool:
    parts = text.removesuffix(".").split(".")
    return 0 < len(text) <= _MAX_NAME and all(_LABEL.match(part) for part in parts)


def _within(ip: str, owned: str) -> bool:
    try:
        if ":" in owned:
            return IPv6Address(ip) in IPv6Network(owned, strict=False)
        return IPv4Address(ip) == IPv4Address(owned)
    except (AddressValueError, ValueError):
        return False
