"""What a server is told at birth. Loads cryptography, 10 MB: imported with the first server."""

from datetime import datetime, timedelta

from hk3s_autoscaler import ports
from hk3s_autoscaler.config import Config
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import Taint
from hk3s_cloudinit import minting
from hk3s_cloudinit.node import K3sParams, NetworkParams, SshParams, WorkerParams
from hk3s_cloudinit.userdata import UserDataTooLarge, render_worker
from hk3s_data import k3s
from hk3s_kube import labels as node_labels

_HOST_KEY_LIFETIME = timedelta(days=3650)
"""Longer than any worker lives: its certificate cannot be renewed."""


def user_data(
    config: Config,
    *,
    name: str,
    pool: NodePool,
    offering: Offering,
    join_token: str,
    image: str,
    ssh_host_ca: str,
    now: datetime,
    random_bytes: minting.RandomBytes,
) -> str:
    """Return a worker's user-data.

    Raises:
        Rejected: an unknown image, or more than Hetzner takes.
        ValueError: a label or taint that cannot be.
    """
    family = k3s.IMAGES.get(image)
    if family is None:
        raise ports.Rejected(
            "unknown-image",
            f"it is not known how {image} sets up its network;"
            f" use one of {', '.join(sorted(k3s.IMAGES))}",
        )
    taints = (*pool.taints, *pool.startup_taints, Taint(key=STARTING_TAINT))
    password = minting.random_password(random_bytes)
    params = WorkerParams(
        cluster=config.cluster,
        name=name,
        network=NetworkParams(
            ip_range=str(config.network.range),
            os_family=family,
            dns=tuple(str(address) for address in config.network.dns),
        ),
        ssh=SshParams(
            authorized_keys=config.ssh.authorized_keys,
            host_key=minting.mint_host_key(ssh_host_ca, (name,), now, _HOST_KEY_LIFETIME),
            root_password_hash=minting.password_hash(password, minting.password_salt(random_bytes)),
        ),
        api_address=str(config.api.address),
        api_port=config.api.port,
        status_sources=(str(config.network.master_subnet),),
        k3s=K3sParams(
            version=config.k3s.version,
            artifacts_url=config.k3s.artifacts_url,
            sha256=config.k3s.sha256.model_dump(),
        ),
        labels={
            **dict(pool.labels),
            node_labels.CLUSTER: config.cluster,
            node_labels.POOL: pool.name,
            node_labels.REGION: offering.key.location,
            node_labels.ZONE: offering.key.location,
            node_labels.INSTANCE_TYPE: offering.key.server_type,
        },
        taints=tuple(_taint(taint) for taint in taints),
        cores=offering.cores,
        memory_bytes=offering.memory_bytes,
        embedded_registry=config.k3s.embedded_registry,
        join_token=join_token,
    )
    try:
        return render_worker(params)
    except UserDataTooLarge as error:
        raise ports.Rejected("user-data-too-large", str(error)) from error


def _taint(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"
