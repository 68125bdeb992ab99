"""NodePools against each other, the network and the bundled catalogue (E040 to E049)."""

from collections.abc import Iterator
from dataclasses import replace

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.desired import zone_of
from hk3s_data import catalog as bundled
from hk3s_findings.finding import Finding
from hk3s_findings.located import Path
from hk3s_hetzner import catalog, names
from hk3s_kube import nodepool_check

ARM = "arm64"


def names_are_unique(config: ClusterConfig) -> Iterator[Finding]:
    """Two pools of one name would be one NodePool."""
    first: dict[str, int] = {}
    for index, pool in enumerate(config.node_pools):
        if pool.name in first:
            yield Finding(
                code="HK3S-E040",
                path=("nodePools", index, "name"),
                cause=f"the name {pool.name!r} is that of nodePools[{first[pool.name]}], too",
                fix="give each pool its own name",
            )
        first.setdefault(pool.name, index)


def names_fit_hostnames(config: ClusterConfig) -> Iterator[Finding]:
    """A worker is called cluster-pool-suffix, which must be a hostname."""
    longest = names.longest_pool(config.cluster)
    for index, pool in enumerate(config.node_pools):
        if len(pool.name) > longest:
            yield Finding(
                code="HK3S-E041",
                path=("nodePools", index, "name"),
                cause=f"{pool.name!r} is too long for the hostnames of its servers",
                fix=f"use at most {longest} characters",
            )


def specs_are_sound(config: ClusterConfig) -> Iterator[Finding]:
    """What the daemon would refuse is refused here, under the same codes."""
    for index, pool in enumerate(config.node_pools):
        for rule in nodepool_check.RULES:
            for problem in rule(pool):
                yield replace(problem, path=("nodePools", index, *problem.path))


def minima_fit_the_maximum(config: ClusterConfig) -> Iterator[Finding]:
    """Minima that the cluster's ceiling forbids would never be reached."""
    wanted = sum(pool.min_nodes for pool in config.node_pools)
    if wanted > config.autoscaler.max_servers:
        yield Finding(
            code="HK3S-E042",
            path=("autoscaler", "maxServers"),
            cause=f"the pools' minNodes sum up to {wanted}, but maxServers is"
            f" {config.autoscaler.max_servers}",
            fix="raise maxServers or lower minNodes",
        )


def there_is_a_pool(config: ClusterConfig) -> Iterator[Finding]:
    """The master takes no workloads, so without a pool nothing ever runs."""
    if not config.node_pools:
        yield Finding(
            code="HK3S-E043",
            path=("nodePools",),
            cause="no node pool: nothing can run until one is applied with kubectl",
            fix="add one with name and maxNodes",
            severity="warning",
        )


def locations_are_in_the_zone(config: ClusterConfig) -> Iterator[Finding]:
    """A network spans one network zone."""
    zone = zone_of(config.location)
    for path, location in _locations(config):
        other = zone_of(location)
        if None not in (zone, other) and zone != other:
            yield Finding(
                code="HK3S-E044",
                path=path,
                cause=f"{location} is in zone {other}, the network is in {zone}",
                fix=f"choose from {', '.join(_zone_locations(zone))}",
            )


def locations_are_known(config: ClusterConfig) -> Iterator[Finding]:
    """The catalogue may be older than a location, so this only warns."""
    for path, location in ((("location",), config.location), *_locations(config)):
        if zone_of(location) is None:
            known = ", ".join(sorted(each["name"] for each in bundled.bundled()["locations"]))
            yield Finding(
                code="HK3S-E045",
                path=path,
                cause=f"the location {location!r} is not in the bundled catalogue",
                fix=f"known ones: {known}",
                severity="warning",
            )


def server_types_are_known(config: ClusterConfig) -> Iterator[Finding]:
    """The catalogue may be older than a type, so this only warns."""
    offers = _offers()
    for path, server_type, wanted in _types(config):
        locations = tuple(each for each in wanted if zone_of(each) is not None)
        sold_in = offers.get(server_type)
        if sold_in is None:
            yield Finding(
                code="HK3S-E046",
                path=path,
                cause=f"the server type {server_type!r} is not in the bundled catalogue",
                fix=f"known ones: {', '.join(sorted(offers))}",
                severity="warning",
            )
        elif locations and not sold_in.intersection(locations):
            yield Finding(
                code="HK3S-E047",
                path=path,
                cause=f"{server_type} is not sold in {', '.join(locations)}",
                fix=f"it is sold in {', '.join(sorted(sold_in))}",
                severity="warning",
            )


def architectures_have_binaries(config: ClusterConfig) -> Iterator[Finding]:
    """With one architecture's checksum given, the other's binary would go unchecked by you."""
    checksums = {"amd64": config.k3s.sha256.amd64, ARM: config.k3s.sha256.arm64}
    if not any(checksums.values()):
        return
    architectures = _architectures()
    for path, server_type, _ in _types(config):
        arch = architectures.get(server_type)
        if arch is not None and not checksums[arch]:
            yield Finding(
                code="HK3S-E048",
                path=path,
                cause=f"{server_type} is {arch}, but k3s.sha256 has no checksum for it",
                fix=f"add k3s.sha256.{arch}, or choose types of the other architecture",
            )


def _types(config: ClusterConfig) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """Yield each named server type with its place in the file and the locations it may be in."""
    yield ("bastion", "serverType"), config.bastion.server_type, (config.location,)
    yield ("master", "serverType"), config.master.server_type, (config.location,)
    for index, pool in enumerate(config.node_pools):
        for number, server_type in enumerate(pool.server_types):
            yield ("nodePools", index, "serverTypes", number), server_type, pool.locations


def _locations(config: ClusterConfig) -> Iterator[tuple[Path, str]]:
    for index, pool in enumerate(config.node_pools):
        for number, location in enumerate(pool.locations):
            yield ("nodePools", index, "locations", number), location


def _zone_locations(zone: str | None) -> list[str]:
    locations = bundled.bundled()["locations"]
    return sorted(each["name"] for each in locations if each["network_zone"] == zone)


def _offers() -> dict[str, set[str]]:
    offers: dict[str, set[str]] = {}
    for offering in catalog.from_json(bundled.bundled()["server_types"]):
        offers.setdefault(offering.server_type, set()).add(offering.location)
    return offers


def _architectures() -> dict[str, str]:
    found = catalog.from_json(bundled.bundled()["server_types"])
    return {offering.server_type: offering.arch for offering in found}


RULES = (
    names_are_unique,
    names_fit_hostnames,
    specs_are_sound,
    minima_fit_the_maximum,
    there_is_a_pool,
    locations_are_in_the_zone,
    locations_are_known,
    server_types_are_known,
    architectures_have_binaries,
)
