"""`/etc/hk3s/node.json`: parsed strictly, as docs/contract.md spells it."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from hk3s_lab.machines.userdata import BadUserData, UserData

PATH = "/etc/hk3s/node.json"
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9a-z.]+)?\+k3s\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A port of the bastion's public address and where it leads."""

    protocol: str
    port: int
    to_address: str
    to_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bastion:
    """What a bastion does for the network."""

    nat_source: str
    private_address: str
    forwards: tuple[Forward, ...]
    allowed_sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class K3s:
    """Which k3s to install; an empty `sha256` leaves the release's own list to decide."""

    version: str
    artifacts_url: str
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """The whole file; `k3s` is None on a bastion, `bastion` is None elsewhere."""

    cluster: str
    name: str
    role: str
    network_range: str
    gateway: str
    dns: tuple[str, ...]
    api_address: str
    api_port: int
    status_port: int
    status_sources: tuple[str, ...]
    labels: Mapping[str, str]
    taints: tuple[str, ...]
    k3s: K3s | None
    bastion: Bastion | None


def read(data: UserData) -> NodeFile:
    """Return the node file among the user-data's files.

    Raises:
        BadUserData: it is absent, readable by others, or differs from the contract.
    """
    file = data.files.get(PATH)
    if file is None:
        raise BadUserData(f"{PATH} is not written")
    if not file.is_private:
        raise BadUserData(f"{PATH} must have mode 0600")
    try:
        top = json.loads(file.content)
    except ValueError as error:
        raise BadUserData(f"{PATH} is not JSON") from error
    node = _parse(top)
    if node.name != data.hostname:
        raise BadUserData(f"hostname {data.hostname} is not the name {node.name} in {PATH}")
    return node


def _parse(top: object) -> NodeFile:
    keys = "schema cluster name role network api status labels taints k3s bastion"
    root = _object(top, "", keys)
    if root["schema"] != 1:
        raise BadUserData(f"{PATH}: schema must be 1")
    role = _text(root, "role")
    if role not in {"bastion", "master", "worker"}:
        raise BadUserData(f"{PATH}: role must be bastion, master or worker")
    for key, wanted in (("bastion", role == "bastion"), ("k3s", role != "bastion")):
        if (root[key] is not None) is not wanted:
            raise BadUserData(f"{PATH}: {key} must {'not ' if wanted else ''}be null on a {role}")
    network = _object(root["network"], "network", "range gateway dns")
    network_range = _cidr(_text(network, "range"), "network.range")
    gateway = _address(_text(network, "gateway"), "network.gateway")
    first = ipaddress.IPv4Network(network_range).network_address + 1
    if gateway != str(first):
        raise BadUserData(f"{PATH}: network.gateway must be {first}, the first address of range")
    api = _object(root["api"], "api", "address port")
    status = _object(root["status"], "status", "port allowed_sources")
    return NodeFile(
        cluster=_text(root, "cluster"),
        name=_text(root, "name"),
        role=role,
        network_range=network_range,
        gateway=gateway,
        dns=_list(network, "dns", _address),
        api_address=_address(_text(api, "address"), "api.address"),
        api_port=_port(api, "port"),
        status_port=_port(status, "port"),
        status_sources=_list(status, "allowed_sources", _cidr),
        labels=_labels(root["labels"]),
        taints=_list(root, "taints", lambda value, _: value),
        k3s=None if root["k3s"] is None else _k3s(root["k3s"]),
        bastion=None if root["bastion"] is None else _bastion(root["bastion"]),
    )


def _k3s(value: object) -> K3s:
    part = _object(value, "k3s", "version artifacts_url sha256")
    sums = _object(part["sha256"], "k3s.sha256", "amd64 arm64")
    for architecture in sums:
        if not _SHA256.fullmatch(_text(sums, architecture, empty=True)):
            raise BadUserData(f"{PATH}: k3s.sha256.{architecture} must be 64 hex digits or empty")
    version = _text(part, "version")
    if not _VERSION.fullmatch(version):
        raise BadUserData(f"{PATH}: k3s.version {version!r} is no k3s release")
    return K3s(
        version=version,
        artifacts_url=_text(part, "artifacts_url"),
        sha256=cast("dict[str, str]", sums),
    )


def _bastion(value: object) -> Bastion:
    part = _object(value, "bastion", "nat_source private_address forwards allowed_sources")
    if not isinstance(part["forwards"], list):
        raise BadUserData(f"{PATH}: bastion.forwards must be a list")
    return Bastion(
        nat_source=_cidr(_text(part, "nat_source"), "bastion.nat_source"),
        private_address=_address(_text(part, "private_address"), "bastion.private_address"),
        forwards=tuple(_forward(entry) for entry in part["forwards"]),
        allowed_sources=_list(part, "allowed_sources", _cidr),
    )


def _forward(value: object) -> Forward:
    part = _object(value, "bastion.forwards[]", "protocol port to_address to_port")
    if part["protocol"] != "tcp":
        raise BadUserData(f"{PATH}: bastion.forwards[].protocol must be tcp")
    return Forward(
        protocol="tcp",
        port=_port(part, "port"),
        to_address=_address(_text(part, "to_address"), "bastion.forwards[].to_address"),
        to_port=_port(part, "to_port"),
    )


def _object(value: object, place: str, keys: str) -> dict[str, Any]:
    where = f"{PATH}: {place or 'the top'}"
    if not isinstance(value, dict):
        raise BadUserData(f"{where} must be an object")
    wanted = set(keys.split())
    if missing := sorted(wanted - value.keys()):
        raise BadUserData(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - wanted):
        raise BadUserData(f"{where} has unknown {', '.join(unknown)}")
    return value


def _text(part: Mapping[str, Any], key: str, *, empty: bool = False) -> str:
    value = part[key]
    if not isinstance(value, str) or not (value or empty):
        raise BadUserData(f"{PATH}: {key} must be a string")
    return value


def _port(part: Mapping[str, Any], key: str) -> int:
    value = part[key]
    if type(value) is not int or value not in range(1, 1 << 16):
        raise BadUserData(f"{PATH}: {key} must be a port")
    return value


def _list(part: Mapping[str, Any], key: str, check: Callable[[str, str], str]) -> tuple[str, ...]:
    values = part[key]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadUserData(f"{PATH}: {key} must be a list of strings")
    return tuple(check(value, key) for value in values)


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise BadUserData(f"{PATH}: labels must map strings to strings")
    return value


def _address(text: str, place: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise BadUserData(f"{PATH}: {place} {text!r} is no IPv4 address") from error


def _cidr(text: str, place: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError as error:
        raise BadUserData(f"{PATH}: {place} {text!r} is no IPv4 range") from error


def covers(sources: tuple[str, ...], address: str) -> bool:
    """Whether an address is within one of the ranges; IPv6 ranges hold no IPv4 address."""
    caller = ipaddress.ip_address(address)
    return any(caller in ipaddress.ip_network(source) for source in sources)
