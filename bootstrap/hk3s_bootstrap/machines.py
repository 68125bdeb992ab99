"""What the bastion and the master are told at birth, out of cluster.yaml and the local state."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.sshkeys import resolve
from hk3s_bootstrap.state import State
from hk3s_cloudinit import minting, node, userdata
from hk3s_data import k3s
from hk3s_hetzner import labels, names
from hk3s_kube import labels as node_labels

HOST_KEY_LIFETIME = timedelta(days=3650)
MASTER_TAINT = f"{node_labels.CONTROL_PLANE}:NoSchedule"
DISABLED = ("servicelb", "traefik", "local-storage")
"""Parts of k3s that hk3s has no use for: Hetzner gives load balancers and volumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What differs from server to server: time and chance."""

    now: datetime
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A server type's cores and memory, from which a node's reserve follows."""

    cores: int
    memory_bytes: int


def bastion_user_data(config: ClusterConfig, state: State, birth: Birth) -> str:
    """Return the bastion's user-data; raises `UserDataTooLarge`."""
    name = names.bastion(config.cluster)
    params = node.BastionParams(
        cluster=config.cluster,
        name=name,
        network=_network(config, config.bastion.image),
        ssh=_ssh(config, state, birth, (name, str(config.network.bastion_address))),
        api_address=str(config.network.master_address),
        status_sources=(str(config.network.master_subnet),),
        private_address=str(config.network.bastion_address),
        allowed_sources=tuple(map(str, config.bastion.allowed_cidrs)),
        forwards=(
            node.Forward(
                port=node.API_PORT,
                to_address=str(config.network.master_address),
                to_port=node.API_PORT,
            ),
        ),
    )
    return userdata.render_bastion(params)


def master_user_data(
    config: ClusterConfig, state: State, size: Size, public_address: str, birth: Birth
) -> str:
    """Return the master's user-data; `public_address` is the bastion's.

    Raises:
        UserDataTooLarge: more keys or labels than fit.
    """
    name = names.master(config.cluster)
    params = node.MasterParams(
        cluster=config.cluster,
        name=name,
        network=_network(config, config.master.image),
        ssh=_ssh(config, state, birth, (name, str(config.network.master_address))),
        api_address=str(config.network.master_address),
        status_sources=(str(config.network.master_subnet),),
        k3s=node.K3sParams(
            version=config.k3s.version,
            artifacts_url=config.k3s.artifacts_url,
            sha256={"amd64": config.k3s.sha256.amd64, "arm64": config.k3s.sha256.arm64},
        ),
        labels=_master_labels(config),
        taints=(MASTER_TAINT,),
        cores=size.cores,
        memory_bytes=size.memory_bytes,
        embedded_registry=config.k3s.embedded_registry,
        pki=state.pki,
        token=state.token,
        tls_sans=(public_address,),
        pod_cidr=str(config.k3s.cluster_cidr),
        service_cidr=str(config.k3s.service_cidr),
        cni=config.k3s.cni,
        scheduler=config.k3s.scheduler,
        disable=DISABLED,
    )
    return userdata.render_master(params)


def _master_labels(config: ClusterConfig) -> dict[str, str]:
    return {
        labels.CLUSTER: config.cluster,
        node_labels.REGION: config.location,
        node_labels.ZONE: config.location,
        node_labels.INSTANCE_TYPE: config.master.server_type,
    }


def _network(config: ClusterConfig, image: str) -> node.NetworkParams:
    return node.NetworkParams(
        ip_range=str(config.network.range),
        os_family=k3s.IMAGES[image],
        dns=tuple(map(str, config.network.dns)),
    )


def _ssh(
    config: ClusterConfig, state: State, birth: Birth, principals: tuple[str, ...]
) -> node.SshParams:
    password = minting.random_password(birth.random_bytes)
    return node.SshParams(
        authorized_keys=tuple(resolve(entry).line for entry in config.ssh.public_keys),
        host_key=minting.mint_host_key(
            state.ssh_host_ca.private, principals, birth.now, HOST_KEY_LIFETIME
        ),
        root_password_hash=minting.password_hash(
            password, minting.password_salt(birth.random_bytes)
        ),
    )
