"""One project: the tables of its resources, and questions about them that span tables."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hk3s_lab.hetzner.model import labels
from hk3s_lab.hetzner.model.balancers import LoadBalancer
from hk3s_lab.hetzner.model.records import (
    Action,
    ActionStatus,
    Certificate,
    Firewall,
    FloatingIp,
    Image,
    Network,
    Nic,
    PlacementGroup,
    PrimaryIp,
    ResourceKey,
    Server,
    SshKey,
    Volume,
)

DEFAULT_LIMITS = {
    "servers": 500,
    "dedicated_cores": 1000,
    "primary_ips": 1000,
    "networks": 50,
    "firewalls": 50,
    "placement_groups": 50,
    "ssh_keys": 100,
    "volumes": 100,
    "floating_ips": 100,
    "load_balancers": 20,
    "certificates": 50,
    "snapshots": 30,
    "servers_per_placement_group": 10,
    "members_per_network": 100,
    "networks_per_server": 3,
    "firewalls_per_server": 5,
    "volumes_per_server": 16,
    "subnets_per_network": 50,
    "routes_per_network": 100,
    "requests_per_hour": 3600,
}
"""The documented ceilings, and for what depends on the account, those of a well-aged one.

A new account has `servers` 5 and `dedicated_cores` 8.
"""


KEPT_ACTIONS = 10_000
"""Actions that have ended and are remembered, a project; the oldest are forgotten first."""


@dataclass(slots=True)
class Gone:
    """What was deleted and is still on the bill."""

    servers: list[Server] = field(default_factory=list)
    primary_ips: list[PrimaryIp] = field(default_factory=list)
    floating_ips: list[FloatingIp] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    load_balancers: list[LoadBalancer] = field(default_factory=list)


@dataclass(slots=True)
class Project:
    """The resources of one project by id."""

    name: str
    limits: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_LIMITS))
    servers: dict[int, Server] = field(default_factory=dict)
    networks: dict[int, Network] = field(default_factory=dict)
    firewalls: dict[int, Firewall] = field(default_factory=dict)
    placement_groups: dict[int, PlacementGroup] = field(default_factory=dict)
    primary_ips: dict[int, PrimaryIp] = field(default_factory=dict)
    ssh_keys: dict[int, SshKey] = field(default_factory=dict)
    volumes: dict[int, Volume] = field(default_factory=dict)
    floating_ips: dict[int, FloatingIp] = field(default_factory=dict)
    images: dict[int, Image] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    load_balancers: dict[int, LoadBalancer] = field(default_factory=dict)
    actions: dict[int, Action] = field(default_factory=dict)
    running: dict[int, Action] = field(default_factory=dict)
    """The actions that have not ended."""
    gone: Gone = field(default_factory=Gone)

    def live_servers(self) -> Iterator[Server]:
        """Yield the servers that the API shows; one that is being deleted is not among them."""
        return (server for server in self.servers.values() if server.deleted is None)

    def update_server(self, server_id: int, **changes: Any) -> Server | None:  # noqa: ANN401 - fields of the record
        """Replace fields of a server; None when it is gone."""
        server = self.servers.get(server_id)
        if server is None:
            return None
        self.servers[server_id] = changed = replace(server, **changes)
        return changed

    def put_action(self, action: Action) -> None:
        """Store an action and keep the list of running ones."""
        self.actions[action.id] = action
        if action.status is ActionStatus.RUNNING:
            self.running[action.id] = action
            return
        self.running.pop(action.id, None)
        while len(self.actions) - len(self.running) > KEPT_ACTIONS:
            oldest = next(number for number in self.actions if number not in self.running)
            del self.actions[oldest]

    def is_locked(self, key: ResourceKey) -> bool:
        """Tell whether a running action holds the resource."""
        return any(key in action.locks for action in self.running.values())

    def members(self, network_id: int) -> list[tuple[Server, Nic]]:
        """Return who has an address in a network, by id; those that come or go included."""
        return [
            (server, nic)
            for server in self.servers.values()
            for nic in server.nics
            if nic.network_id == network_id
        ]

    def balancers_in(self, network_id: int) -> list[LoadBalancer]:
        """Return the load balancers with an address in a network, by id."""
        return [lb for lb in self.load_balancers.values() if lb.network_id == network_id]

    def member_count(self, network_id: int) -> int:
        """Return how many resources have an address in a network."""
        return len(self.members(network_id)) + len(self.balancers_in(network_id))

    def used_ips(self, network_id: int) -> set[str]:
        """Return the addresses and aliases of a network that are not free."""
        used = {str(lb.private_ip) for lb in self.balancers_in(network_id)}
        for _, nic in self.members(network_id):
            used.update((nic.ip, *nic.alias_ips))
        return used

    def group_members(self, group_id: int) -> list[int]:
        """Return the ids of the servers of a placement group, by id."""
        return [s.id for s in self.servers.values() if s.placement_group == group_id]

    def public_ip(self, assignee_id: int, version: str) -> PrimaryIp | None:
        """Return the primary IP of a version that a server or load balancer has."""
        return next(
            (
                ip
                for ip in self.primary_ips.values()
                if ip.assignee_id == assignee_id and ip.type == version
            ),
            None,
        )

    def public_ips(self) -> dict[int, dict[str, PrimaryIp]]:
        """Return all assigned primary IPs by server and version."""
        assigned: dict[int, dict[str, PrimaryIp]] = {}
        for ip in self.primary_ips.values():
            if ip.assignee_id is not None:
                assigned.setdefault(ip.assignee_id, {})[ip.type] = ip
        return assigned

    def volumes_of(self, server_id: int) -> list[Volume]:
        """Return the volumes attached to a server, by id."""
        return [volume for volume in self.volumes.values() if volume.server_id == server_id]

    def addresses(self) -> set[str]:
        """Return the public IPv4 addresses that were given out, to whom does not matter."""
        gone = self.gone
        found = {ip.ip for ip in (*self.primary_ips.values(), *gone.primary_ips)}
        found |= {ip.ip for ip in (*self.floating_ips.values(), *gone.floating_ips)}
        balancers = (*self.load_balancers.values(), *gone.load_balancers)
        return found | {lb.ipv4 for lb in balancers if lb.ipv4}

    def has_public_net(self, server_id: int) -> bool:
        """Tell whether the server has a public interface."""
        return any(ip.assignee_id == server_id for ip in self.primary_ips.values())

    def firewalls_of(self, server: Server) -> list[tuple[Firewall, bool]]:
        """Return the firewalls of a server, each with whether it is still being applied."""
        found = []
        for firewall in self.firewalls.values():
            hits = [
                a for a in firewall.applied_to if self._applies(a.server_id, a.selector, server)
            ]
            if hits:
                found.append((firewall, all(hit.pending for hit in hits)))
        return found

    def selected(self, selector: str) -> list[Server]:
        """Return the live servers with a public interface that a label selector matches."""
        terms = labels.parse_selector(selector)
        public = {ip.assignee_id for ip in self.primary_ips.values()}
        return [
            server
            for server in self.live_servers()
            if server.id in public and labels.matches(terms, server.labels)
        ]

    def matching(self, selector: str) -> list[Server]:
        """Return the live servers that a label selector matches."""
        terms = labels.parse_selector(selector)
        return [server for server in self.live_servers() if labels.matches(terms, server.labels)]

    @staticmethod
    def _applies(server_id: int | None, selector: str | None, server: Server) -> bool:
        if selector is None:
            return server_id == server.id
        return labels.matches(labels.parse_selector(selector), server.labels)
