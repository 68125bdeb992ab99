"""What is decided about a server before it exists, and how `node.json` says it.

The shape of node.json is docs/contract.md's; `node.env` says the same in the shell's words.
"""

import dataclasses
import ipaddress
import shlex
import urllib.parse
from collections.abc import Mapping
from typing import Literal

from hk3s_cloudinit.minting import ClusterPki, HostKey
from hk3s_data.k3s import ARTIFACTS_URL, OsFamily

Cni = Literal["flannel", "wireguard", "cilium"]
Scheduler = Literal["packing", "default"]

HETZNER_RESOLVERS = ("185.12.64.1", "185.12.64.2")
STATUS_PORT = 9101
API_PORT = 6443


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkParams:
    """The private network: `ip_range` in CIDR form, the resolvers, the server's OS family."""

    ip_range: str
    os_family: OsFamily
    dns: tuple[str, ...] = HETZNER_RESOLVERS

    @property
    def gateway(self) -> str:
        """The first address of the range: Hetzner's router, the only neighbour of every server."""
        return str(ipaddress.IPv4Network(self.ip_range).network_address + 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class K3sParams:
    """Which k3s to install and where from. `sha256` is keyed by `amd64` and `arm64`."""

    version: str
    artifacts_url: str = ARTIFACTS_URL
    sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SshParams:
    """Who may log in, and the server's own key. `root_password_hash` is a crypt hash."""

    authorized_keys: tuple[str, ...]
    host_key: HostKey
    root_password_hash: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerParams:
    """What every server is told. `api_address` is the master's private address.

    `status_sources` (CIDRs) may ask the status port: the subnet of the masters.
    """

    cluster: str
    name: str
    network: NetworkParams
    ssh: SshParams
    api_address: str
    status_sources: tuple[str, ...]
    api_port: int = API_PORT
    status_port: int = STATUS_PORT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A TCP port of the bastion's public address and where it leads."""

    port: int
    to_address: str
    to_port: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BastionParams(ServerParams):
    """The one server with a public address. Without `allowed_sources` (CIDRs) nobody gets in."""

    private_address: str
    allowed_sources: tuple[str, ...]
    forwards: tuple[Forward, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesParams(ServerParams):
    """What master and worker share. Taints are `key=value:Effect` or `key:Effect`.

    `cores` and `memory_bytes` are the server type's; what the node reserves follows from them.
    `embedded_registry` needs `hk3s_data.k3s.registry_support` of the version.
    """

    k3s: K3sParams
    labels: Mapping[str, str]
    cores: int
    memory_bytes: int
    taints: tuple[str, ...] = ()
    embedded_registry: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MasterParams(KubernetesParams):
    """A first master: makes the cluster with the CAs and the server token it is given.

    `tls_sans` are further names and addresses of the API (the bastion's public address);
    the master's own address is always one. The `*_args` are `key=value` for that component.
    """

    pki: ClusterPki
    token: str = dataclasses.field(repr=False)
    tls_sans: tuple[str, ...] = ()
    pod_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    cluster_domain: str = "cluster.local"
    cni: Cni = "flannel"
    scheduler: Scheduler = "packing"
    disable: tuple[str, ...] = ("servicelb", "traefik")
    apiserver_args: tuple[str, ...] = ()
    controller_manager_args: tuple[str, ...] = ()

    @property
    def cluster_dns(self) -> str:
        """The tenth address of the services' range, as k3s's default is."""
        return str(ipaddress.IPv4Network(self.service_cidr).network_address + 10)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParams(KubernetesParams):
    """A worker: joins with `join_token`, the full form of a bootstrap token."""

    join_token: str = dataclasses.field(repr=False)


def role(params: ServerParams) -> str:
    """Return the role's name in the contract."""
    match params:
        case BastionParams():
            return "bastion"
        case MasterParams():
            return "master"
        case WorkerParams():
            return "worker"
    raise TypeError(f"no role: {type(params).__name__}")


def node_json(params: ServerParams) -> dict[str, object]:
    """Return the content of node.json, every key present. It holds no secret."""
    kubernetes = params if isinstance(params, KubernetesParams) else None
    return {
        "schema": 1,
        "cluster": params.cluster,
        "name": params.name,
        "role": role(params),
        "network": {
            "range": params.network.ip_range,
            "gateway": params.network.gateway,
            "dns": list(params.network.dns),
        },
        "api": {"address": params.api_address, "port": params.api_port},
        "status": {"port": params.status_port, "allowed_sources": list(params.status_sources)},
        "labels": dict(kubernetes.labels) if kubernetes else {},
        "taints": list(kubernetes.taints) if kubernetes else [],
        "k3s": _k3s(kubernetes.k3s) if kubernetes else None,
        "bastion": _bastion(params) if isinstance(params, BastionParams) else None,
    }


def _k3s(k3s: K3sParams) -> dict[str, object]:
    return {
        "version": k3s.version,
        "artifacts_url": k3s.artifacts_url,
        "sha256": {arch: k3s.sha256.get(arch, "") for arch in ("amd64", "arm64")},
    }


def _bastion(params: BastionParams) -> dict[str, object]:
    return {
        "nat_source": params.network.ip_range,
        "private_address": params.private_address,
        "forwards": [{"protocol": "tcp", **dataclasses.asdict(item)} for item in params.forwards],
        "allowed_sources": list(params.allowed_sources),
    }


def node_env(params: ServerParams, network_stacks: tuple[str, ...]) -> str:
    """Return node.env: what the scripts need of node.json, quoted for a shell (and systemd)."""
    values = {
        "NAME": params.name,
        "ROLE": role(params),
        "GATEWAY": params.network.gateway,
        "STACKS": " ".join(network_stacks),
        "STATUS_PORT": str(params.status_port),
        "STATUS_SOURCES": " ".join(params.status_sources),
    }
    if isinstance(params, KubernetesParams):
        k3s = params.k3s
        version = urllib.parse.quote(k3s.version, safe="")
        values["K3S_URL"] = f"{k3s.artifacts_url.rstrip('/')}/{version}"
        values["SHA256_AMD64"] = k3s.sha256.get("amd64", "")
        values["SHA256_ARM64"] = k3s.sha256.get("arm64", "")
    return "".join(f"HK3S_{key}={shlex.quote(value)}\n" for key, value in values.items())
