"""cluster.yaml, parsed once. Keys are camelCase; unknown ones are errors.

Shapes and defaults only: what can be wrong between keys is in `checks`.
"""

from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hk3s_data import k3s
from hk3s_kube.nodepool import NodePoolSpec

DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
DEFAULT_AUTOSCALER_IMAGE = "ghcr.io/hk3s/hk3s:0.1.0"

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")]
"""Starts server names: at most 32 characters leave room for a pool's name and a suffix."""
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Cni = Literal["flannel", "cilium"]


class Section(BaseModel):
    """Base of all parts of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class HetznerSection(Section):
    """Whose project it is. The token never stands in the file, only where to find it."""

    token_env: str = "HCLOUD_TOKEN"  # noqa: S105 - the name of a variable
    endpoint: str | None = None
    """Base URL of the API; default: HCLOUD_ENDPOINT, else Hetzner's own."""


class NetworkSection(Section):
    """The private network. Its gateway is always the first address of `range`."""

    range: IPv4Network = IPv4Network("10.4.0.0/16")
    master_subnet: IPv4Network = IPv4Network("10.4.0.0/24")
    """Bastion (third address) and masters (from the fourth on)."""
    worker_subnet: IPv4Network = IPv4Network("10.4.1.0/24")
    dns: Annotated[tuple[IPv4Address, ...], Field(min_length=1)] = (
        IPv4Address("185.12.64.1"),
        IPv4Address("185.12.64.2"),
    )
    """Resolvers of all servers; by default Hetzner's."""

    @property
    def gateway(self) -> IPv4Address:
        """Where every default route points."""
        return self.range[1]

    @property
    def bastion_address(self) -> IPv4Address:
        """The bastion's private address."""
        return self.master_subnet[2]

    @property
    def master_address(self) -> IPv4Address:
        """The first master's private address."""
        return self.master_subnet[3]


class BastionSection(Section):
    """The one server with a public address: NAT, SSH and the way to the API."""

    server_type: str
    image: str = k3s.DEFAULT_IMAGE
    allowed_cidrs: tuple[IPv4Network, ...]
    """Who may reach SSH and the Kubernetes API."""
    allow_from_anywhere: bool = False
    """Must be true for 0.0.0.0/0 to be taken."""


class MasterSection(Section):
    """The control plane."""

    server_type: str
    image: str = k3s.DEFAULT_IMAGE
    count: int = 1


class ChecksumSection(Section):
    """SHA-256 of the k3s binary by architecture; empty: the release's own list decides."""

    amd64: Sha256 = ""
    arm64: Sha256 = ""


class K3sSection(Section):
    """Which k3s, and what it runs with."""

    version: str = k3s.DEFAULT_VERSION
    artifacts_url: Annotated[str, Field(pattern=r"^https?://\S+$")] = k3s.ARTIFACTS_URL
    sha256: ChecksumSection = ChecksumSection()
    embedded_registry: bool = False
    cni: Cni = "flannel"
    scheduler: Literal["packing", "default"] = "packing"
    """`packing` fills nodes before it opens new ones, which is what keeps the bill low."""
    cluster_cidr: IPv4Network = IPv4Network("10.42.0.0/16")
    service_cidr: IPv4Network = IPv4Network("10.43.0.0/16")

    @property
    def cluster_dns(self) -> IPv4Address:
        """The address of the cluster's resolver: the tenth of the services, as k3s has it."""
        return self.service_cidr[10]


class SshSection(Section):
    """Keys that open the servers: paths of public key files, or the keys themselves."""

    public_keys: tuple[str, ...]


class AutoscalerSection(Section):
    """The daemon and its ceilings over all pools."""

    image: str = DEFAULT_AUTOSCALER_IMAGE
    replicas: Annotated[int, Field(ge=1, le=3)] = 1
    max_servers: Annotated[int, Field(ge=0, le=1000)] = 10
    max_euro_per_hour: Annotated[Decimal, Field(gt=0)] | None = None
    paused: bool = False


class AddonsSection(Section):
    """Chart versions of what hk3s installs beside itself."""

    ccm: str = "1.35.0"
    csi: str = "2.21.2"
    cilium: str = "1.19.5"


class PoolSection(NodePoolSpec):
    """A NodePool: its name beside the keys of its spec."""

    model_config = ConfigDict(populate_by_name=False)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]

    @property
    def spec(self) -> NodePoolSpec:
        """The spec alone, as the cluster holds it."""
        return NodePoolSpec.model_validate(self.model_dump(exclude={"name"}))


class ClusterConfig(Section):
    """All of cluster.yaml."""

    cluster: Name
    hetzner: HetznerSection = HetznerSection()
    location: str
    network: NetworkSection = NetworkSection()
    bastion: BastionSection
    master: MasterSection
    k3s: Annotated[K3sSection, Field(alias="k3s")] = K3sSection()
    ssh: SshSection
    autoscaler: AutoscalerSection = AutoscalerSection()
    addons: AddonsSection = AddonsSection()
    node_pools: tuple[PoolSection, ...] = ()
