"""What a control plane is asked to be: the facts of a master's files, mapped to this machine."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCAs:
    """PEM bytes of the files below `/var/lib/rancher/k3s/server/tls` (docs/contract.md).

    Each `_crt` is a bundle whose first certificate belongs to the `_key`.
    """

    server_crt: bytes
    server_key: bytes = field(repr=False)
    client_crt: bytes
    client_key: bytes = field(repr=False)
    request_header_crt: bytes
    request_header_key: bytes = field(repr=False)
    etcd_server_crt: bytes
    etcd_server_key: bytes = field(repr=False)
    etcd_peer_crt: bytes
    etcd_peer_key: bytes = field(repr=False)
    service_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneSpec:
    """One master.

    `directory` holds everything, the data of etcd included, and outlives a stop.
    `bind_address` is the loopback address that all processes listen on; `advertise_address` is
    the private address it stands for. `token` is the server token, short or `K10` form.
    The `*_args` are `key=value` as in k3s's `kube-apiserver-arg`.
    `dial_map` is a pair of equal-sized ranges, private and loopback: the apiserver reaches
    kubelets at private addresses through it.
    """

    directory: Path
    bind_address: str
    advertise_address: str
    port: int = 6443
    node_name: str
    cas: ClusterCAs
    token: str = field(repr=False)
    tls_sans: tuple[str, ...] = ()
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    cluster_domain: str = "cluster.local"
    scheduler_config: str | None = None
    apiserver_args: tuple[str, ...] = ()
    controller_manager_args: tuple[str, ...] = ()
    scheduler_args: tuple[str, ...] = ()
    dial_map: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        """Where the API answers on this machine."""
        return f"https://{self.bind_address}:{self.port}"

    @property
    def api_service_address(self) -> str:
        """The address of the Service `kubernetes`: the first of the services' range."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def dns_service_address(self) -> str:
        """The address k3s gives the DNS service: the tenth of the services' range."""
        return str(ipaddress.ip_network(self.service_cidr)[10])
