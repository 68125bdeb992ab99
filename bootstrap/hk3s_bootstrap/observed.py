"""What exists at Hetzner of one cluster, found by label, and who else sits on its names."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from hk3s_hetzner import domain, labels, names
from hk3s_hetzner.client import Hetzner


class _Labelled(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Mapping[str, str]: ...


Thing = TypeVar("Thing", bound=_Labelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """An object under one of our names that does not carry our label."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One cluster's objects. `ssh_keys` are all of the project: keys are found by fingerprint."""

    ssh_keys: tuple[domain.SshKey, ...] = ()
    network: domain.Network | None = None
    firewall: domain.Firewall | None = None
    primary_ip: domain.PrimaryIp | None = None
    bastion: domain.Server | None = None
    master: domain.Server | None = None
    workers: tuple[domain.Server, ...] = ()
    foreign: tuple[Foreign, ...] = field(default=())

    @property
    def servers(self) -> tuple[domain.Server, ...]:
        """All servers of the cluster."""
        machines = (self.bastion, self.master)
        return (*(each for each in machines if each is not None), *self.workers)


async def observe(hetzner: Hetzner, cluster: str) -> Observed:
    """Look at the whole project once, each kind of object in one list."""
    servers, networks, firewalls, addresses, keys = await asyncio.gather(
        hetzner.list_servers(),
        hetzner.list_networks(),
        hetzner.list_firewalls(),
        hetzner.list_primary_ips(),
        hetzner.list_ssh_keys(),
    )
    bastion_name, network_name = names.bastion(cluster), names.cluster_object(cluster)
    master_name = names.master(cluster)
    mine = tuple(server for server in servers if is_ours(server, cluster))
    return Observed(
        ssh_keys=keys,
        network=_named(networks, network_name, cluster),
        firewall=_named(firewalls, bastion_name, cluster),
        primary_ip=_named(addresses, bastion_name, cluster),
        bastion=_named(servers, bastion_name, cluster),
        master=_named(servers, master_name, cluster),
        workers=tuple(server for server in mine if labels.role_of(server.labels) == "worker"),
        foreign=(
            *_foreign("server", servers, (bastion_name, master_name), cluster),
            *_foreign("network", networks, (network_name,), cluster),
            *_foreign("firewall", firewalls, (bastion_name,), cluster),
            *_foreign("primary IP", addresses, (bastion_name,), cluster),
        ),
    )


def is_ours(thing: _Labelled, cluster: str) -> bool:
    """Return whether an object belongs to the cluster: by label, never by name alone."""
    return thing.labels.get(labels.CLUSTER) == cluster


def _named(things: tuple[Thing, ...], name: str, cluster: str) -> Thing | None:
    return next((thing for thing in things if thing.name == name and is_ours(thing, cluster)), None)


def _foreign(
    kind: str, things: tuple[Thing, ...], taken: tuple[str, ...], cluster: str
) -> tuple[Foreign, ...]:
    return tuple(
        Foreign(kind=kind, name=thing.name)
        for thing in things
        if thing.name in taken and not is_ours(thing, cluster)
    )
