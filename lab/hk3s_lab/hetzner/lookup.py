"""What most handlers ask first: does it exist, is the name free, is there room, is it locked."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.body import Body
from hk3s_lab.hetzner.call import Call
from hk3s_lab.hetzner.model.records import Labels, Network, Server

T = TypeVar("T")

_RETRIED = frozenset({"network", "firewall", "load_balancer"})
"""Where clients make several changes at once: the API says `conflict`, which they retry."""


class _Record(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Labels: ...


def by_id(table: Mapping[int, T], number: int, kind: str) -> T:
    """Return a record or raise `not_found`."""
    if number not in table:
        raise errors.not_found(kind, number)
    return table[number]


def wanted(call: Call, table: Mapping[int, T], kind: str) -> T:
    """Return the record that the path names."""
    record = by_id(table, call.id(kind=kind), kind)
    call.touched.append(call.id(kind=kind))
    return record


def server(call: Call, number: int) -> Server:
    """Return a server that is not being deleted."""
    found = by_id(call.project.servers, number, "server")
    if found.deleted is not None:
        raise errors.not_found("server", number)
    return found


def free_server(call: Call) -> Server:
    """Return the server of the path, or raise `locked` while an action holds it."""
    found = server(call, call.id(kind="server"))
    call.touched.append(found.id)
    check_unlocked(call, "server", found.id)
    return found


def free_network(call: Call, number: int) -> Network:
    """Return a network, or raise `conflict` while it is being changed."""
    found = by_id(call.project.networks, number, "network")
    check_unlocked(call, "network", number)
    return found


def free(call: Call, table: Mapping[int, T], kind: str) -> T:
    """Return the record that the path names, or raise while an action holds it."""
    found = wanted(call, table, kind)
    check_unlocked(call, kind, call.id(kind=kind))
    return found


def check_unlocked(call: Call, kind: str, number: int) -> None:
    """Raise `locked`, or `conflict` for some kinds, while an action holds the resource."""
    if call.project.is_locked((kind, number)):
        raise errors.conflict(kind) if kind in _RETRIED else errors.locked(kind)


def check_name(records: Iterable[_Record], name: str, own: int | None = None) -> None:
    """Raise `uniqueness_error` when another record has the name."""
    if any(record.name == name and record.id != own for record in records):
        raise errors.not_unique("name")


def check_room(call: Call, limit: str, name: str, count: int) -> None:
    """Raise `resource_limit_exceeded` when `count` things would be more than the limit."""
    if count > call.project.limits[limit]:
        raise errors.limit_exceeded(name)


def new_name_and_labels(
    body: Body, record: _Record, others: Iterable[_Record], *, host: bool = False
) -> tuple[str, Labels]:
    """Read what a PUT may change everywhere; absent fields stay as they are."""
    name = (body.hostname(required=False) if host else body.name(required=False)) or record.name
    labels = body.labels()
    body.check()
    if name != record.name:
        check_name(others, name, record.id)
    return name, record.labels if labels is None else labels
