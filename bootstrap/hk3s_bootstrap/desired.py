"""What should exist at Hetzner, out of cluster.yaml. Pure."""

from dataclasses import dataclass
from typing import Literal

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.sshkeys import PublicKey, resolve
from hk3s_data import catalog
from hk3s_hetzner import domain, labels, names

Role = Literal["bastion", "master"]
DEFAULT_ROUTE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A server of the infrastructure. `public` ones get the Primary IP and the firewall."""

    role: Role
    name: str
    server_type: str
    image: str
    location: str
    private_address: str
    public: bool
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """All of it. Objects are known by name and recognized as ours by `labels`."""

    cluster: str
    labels: tuple[tuple[str, str], ...]
    location: str
    ssh_keys: tuple[PublicKey, ...]
    network_range: str
    subnets: tuple[domain.Subnet, ...]
    route: domain.Route
    firewall_rules: tuple[domain.FirewallRule, ...]
    bastion: Machine
    master: Machine

    @property
    def network_name(self) -> str:
        """The network's name."""
        return names.cluster_object(self.cluster)

    @property
    def firewall_name(self) -> str:
        """The name of the bastion's firewall."""
        return names.bastion(self.cluster)

    @property
    def primary_ip_name(self) -> str:
        """The name of the bastion's address."""
        return names.bastion(self.cluster)

    def ssh_key_name(self, key: PublicKey) -> str:
        """Return the name under which a key is uploaded, if nobody did yet."""
        suffix = key.fingerprint.replace(":", "")[:8]
        return f"{names.cluster_object(self.cluster)}-{suffix}"


def zone_of(location: str, locations: tuple[domain.Location, ...] = ()) -> str | None:
    """Return a location's network zone, from what the API said, else from the bundled catalogue."""
    zones = {each["name"]: each["network_zone"] for each in catalog.bundled()["locations"]}
    zones |= {each.name: each.network_zone for each in locations}
    zone: str | None = zones.get(location)
    return zone


def desire(config: ClusterConfig, ca_hash: str, network_zone: str) -> Desired:
    """Return what a valid config asks for. `ca_hash` goes on the servers as a label."""
    network = config.network
    subnets = tuple(
        domain.Subnet(ip_range=str(subnet), network_zone=network_zone, type="cloud", gateway=None)
        for subnet in (network.master_subnet, network.worker_subnet)
    )
    return Desired(
        cluster=config.cluster,
        labels=_items(labels.for_cluster(config.cluster)),
        location=config.location,
        ssh_keys=tuple(resolve(entry) for entry in config.ssh.public_keys),
        network_range=str(network.range),
        subnets=subnets,
        route=domain.Route(destination=DEFAULT_ROUTE, gateway=str(network.bastion_address)),
        firewall_rules=_rules(config),
        bastion=Machine(
            role="bastion",
            name=names.bastion(config.cluster),
            server_type=config.bastion.server_type,
            image=config.bastion.image,
            location=config.location,
            private_address=str(network.bastion_address),
            public=True,
            labels=_items(labels.for_infrastructure(config.cluster, "bastion", ca_hash)),
        ),
        master=Machine(
            role="master",
            name=names.master(config.cluster),
            server_type=config.master.server_type,
            image=config.master.image,
            location=config.location,
            private_address=str(network.master_address),
            public=False,
            labels=_items(labels.for_infrastructure(config.cluster, "master", ca_hash)),
        ),
    )


def _rules(config: ClusterConfig) -> tuple[domain.FirewallRule, ...]:
    sources = tuple(sorted(map(str, config.bastion.allowed_cidrs)))
    return tuple(
        domain.FirewallRule(
            direction="in", protocol="tcp", ips=sources, port=port, description=description
        )
        for port, description in (("22", "SSH"), ("6443", "Kubernetes API"))
    )


def _items(mapping: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(mapping.items()))
