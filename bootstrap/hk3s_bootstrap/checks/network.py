"""Addresses: what overlaps, what is too small, what is not private (E010 to E019)."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import combinations

from hk3s_bootstrap.config import ClusterConfig
from hk3s_findings.finding import Finding

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
LARGEST_PREFIX = 24
"""Hetzner's networks are at least a /24."""
MEMBERS_A_NETWORK = 100
"""Servers and load balancers that Hetzner attaches to one network."""
INFRASTRUCTURE = 2
"""Bastion and master are members of the network too."""
SMALLEST_MASTER_SUBNET = 29
NODE_MASK = 24
"""k3s gives each node a /24 of the pods' range."""


def ranges_are_private(config: ClusterConfig) -> Iterator[Finding]:
    """Hetzner takes RFC 1918 ranges only; public pod or service addresses would be unreachable."""
    places = (
        (("network", "range"), config.network.range),
        (("k3s", "clusterCidr"), config.k3s.cluster_cidr),
        (("k3s", "serviceCidr"), config.k3s.service_cidr),
    )
    for path, network in places:
        if not any(network.subnet_of(private) for private in PRIVATE):
            yield Finding(
                code="HK3S-E010",
                path=path,
                cause=f"{network} is not a private range",
                fix="choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
            )


def range_is_large_enough(config: ClusterConfig) -> Iterator[Finding]:
    """Hetzner refuses networks smaller than a /24."""
    if config.network.range.prefixlen > LARGEST_PREFIX:
        yield Finding(
            code="HK3S-E011",
            path=("network", "range"),
            cause=f"{config.network.range} is smaller than a /{LARGEST_PREFIX}",
            fix="use a /16, such as 10.4.0.0/16",
        )


def subnets_are_inside(config: ClusterConfig) -> Iterator[Finding]:
    """Subnets are parts of the network."""
    network = config.network
    for key, subnet in (
        ("masterSubnet", network.master_subnet),
        ("workerSubnet", network.worker_subnet),
    ):
        if not subnet.subnet_of(network.range):
            yield Finding(
                code="HK3S-E012",
                path=("network", key),
                cause=f"{subnet} is not inside of the network's range {network.range}",
                fix=f"choose a part of {network.range}, or give the network another range",
            )


def ranges_do_not_overlap(config: ClusterConfig) -> Iterator[Finding]:
    """An address must mean one thing: a server, a pod or a service."""
    ranges = (
        (("network", "range"), config.network.range),
        (("k3s", "clusterCidr"), config.k3s.cluster_cidr),
        (("k3s", "serviceCidr"), config.k3s.service_cidr),
    )
    subnets = (
        (("network", "masterSubnet"), config.network.master_subnet),
        (("network", "workerSubnet"), config.network.worker_subnet),
    )
    for group in (ranges, subnets):
        for (first_path, first), (path, second) in combinations(group, 2):
            if first.overlaps(second):
                yield Finding(
                    code="HK3S-E013",
                    path=path,
                    cause=f"{second} overlaps {'.'.join(first_path)} {first}",
                    fix="give each its own range; the defaults 10.4.0.0/16 (servers),"
                    " 10.42.0.0/16 (pods) and 10.43.0.0/16 (services) do not overlap",
                )


def master_subnet_holds_infrastructure(config: ClusterConfig) -> Iterator[Finding]:
    """Bastion and masters have fixed addresses in their subnet."""
    subnet = config.network.master_subnet
    if subnet.prefixlen > SMALLEST_MASTER_SUBNET:
        yield Finding(
            code="HK3S-E014",
            path=("network", "masterSubnet"),
            cause=f"{subnet} has no room for the bastion and the masters",
            fix=f"use a /{SMALLEST_MASTER_SUBNET} or larger, such as 10.4.0.0/24",
        )


def worker_subnet_is_large_enough(config: ClusterConfig) -> Iterator[Finding]:
    """Every worker that the limits allow needs an address."""
    subnet = config.network.worker_subnet
    # The first address of the network is the gateway; network and broadcast address stay unused.
    reserved = 2 + (config.network.gateway in subnet)
    room = max(0, subnet.num_addresses - reserved)
    if workers(config) > room:
        yield Finding(
            code="HK3S-E015",
            path=("network", "workerSubnet"),
            cause=f"{subnet} has {room} addresses for up to {workers(config)} workers",
            fix="use a larger subnet, or lower autoscaler.maxServers or the pools' maxNodes",
        )


def members_fit_the_network(config: ClusterConfig) -> Iterator[Finding]:
    """Hetzner attaches at most 100 members to a network."""
    members = workers(config) + INFRASTRUCTURE
    if members > MEMBERS_A_NETWORK:
        yield Finding(
            code="HK3S-E016",
            path=("autoscaler", "maxServers"),
            cause=f"up to {workers(config)} workers, a bastion and a master are {members} members"
            f" of the network; Hetzner attaches {MEMBERS_A_NETWORK}",
            fix=f"set autoscaler.maxServers to {MEMBERS_A_NETWORK - INFRASTRUCTURE} or less",
        )


def pods_have_addresses(config: ClusterConfig) -> Iterator[Finding]:
    """k3s cuts the pods' range into a /24 a node."""
    nodes = workers(config) + 1
    slices = 2 ** max(0, NODE_MASK - config.k3s.cluster_cidr.prefixlen)
    if config.k3s.cluster_cidr.prefixlen > NODE_MASK or nodes > slices:
        yield Finding(
            code="HK3S-E017",
            path=("k3s", "clusterCidr"),
            cause=f"{config.k3s.cluster_cidr} holds {slices} times a /{NODE_MASK},"
            f" but there may be {nodes} nodes",
            fix="use a /16, which holds 256 nodes",
        )


def services_have_a_resolver(config: ClusterConfig) -> Iterator[Finding]:
    """The cluster's resolver is the tenth address of the services' range."""
    if config.k3s.service_cidr.prefixlen > LARGEST_PREFIX:
        yield Finding(
            code="HK3S-E018",
            path=("k3s", "serviceCidr"),
            cause=f"{config.k3s.service_cidr} is too small for a cluster's services",
            fix="use a /16, such as 10.43.0.0/16",
        )


def workers(config: ClusterConfig) -> int:
    """Return how many workers there can be at most."""
    return min(config.autoscaler.max_servers, sum(pool.max_nodes for pool in config.node_pools))


RULES = (
    ranges_are_private,
    range_is_large_enough,
    subnets_are_inside,
    ranges_do_not_overlap,
    master_subnet_holds_infrastructure,
    worker_subnet_is_large_enough,
    members_fit_the_network,
    pods_have_addresses,
    services_have_a_resolver,
)
