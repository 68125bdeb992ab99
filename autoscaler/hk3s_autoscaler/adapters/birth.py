"""What a new worker is called and told: a decision meets chance and secrets."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hk3s_autoscaler import ports
from hk3s_autoscaler.config import Config
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.ports import Clock, ServerRequest
from hk3s_cloudinit import minting
from hk3s_cloudinit.node import K3sParams, NetworkParams, SshParams, WorkerParams
from hk3s_cloudinit.userdata import UserDataTooLarge, render_worker
from hk3s_data import k3s
from hk3s_hetzner import labels, names
from hk3s_kube import labels as node_labels

_HOST_KEY_LIFETIME = timedelta(days=3650)
"""Longer than any worker lives: its certificate cannot be renewed."""


class WorkerBirths:
    """Implements `ports.Births` on `hk3s_cloudinit`."""

    def __init__(
        self,
        config: Config,
        *,
        cluster_uid: str,
        ssh_host_ca: str,
        clock: Clock,
        random_bytes: minting.RandomBytes,
        choose: Callable[[str], str],
    ) -> None:
        """`ssh_host_ca` is the private key that certifies host keys, in OpenSSH's form."""
        self._config = config
        self._cluster_uid = cluster_uid
        self._ssh_host_ca = ssh_host_ca
        self._clock = clock
        self._random_bytes = random_bytes
        self._choose = choose

    def new_name(self, pool: str) -> str:
        """Return `<cluster>-<pool>-<5 characters>`."""
        try:
            return names.worker(self._config.cluster, pool, self._choose)
        except ValueError as error:
            raise ports.Rejected("pool-name", str(error)) from error

    def request(
        self,
        *,
        name: str,
        pool: NodePool,
        offering: Offering,
        join_token: str,
        expires_at: datetime,
    ) -> ServerRequest:
        """Put together what a server is told at birth."""
        image = pool.image or self._config.image
        try:
            user_data = render_worker(self._params(name, pool, offering, join_token, image))
            server_labels = labels.for_worker(
                labels.WorkerLabels(
                    cluster=self._config.cluster,
                    cluster_uid=self._cluster_uid,
                    pool=pool.name,
                    price_micro_eur_hour=offering.micro_eur_per_hour,
                    token_expires=expires_at,
                )
            )
        except UserDataTooLarge as error:
            raise ports.Rejected("user-data-too-large", str(error)) from error
        except ValueError as error:
            raise ports.Rejected("bad-label", str(error)) from error
        return ServerRequest(
            name=name,
            pool=pool.name,
            offering=offering.key,
            image=image,
            user_data=user_data,
            labels=server_labels,
        )

    def _params(
        self, name: str, pool: NodePool, offering: Offering, join_token: str, image: str
    ) -> WorkerParams:
        config = self._config
        family = k3s.IMAGES.get(image)
        if family is None:
            raise ports.Rejected(
                "unknown-image",
                f"it is not known how {image} sets up its network;"
                f" use one of {', '.join(sorted(k3s.IMAGES))}",
            )
        taints = (*pool.taints, *pool.startup_taints, Taint(key=STARTING_TAINT))
        return WorkerParams(
            cluster=config.cluster,
            name=name,
            network=NetworkParams(
                ip_range=str(config.network.range),
                os_family=family,
                dns=tuple(str(address) for address in config.network.dns),
            ),
            ssh=self._ssh(name),
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

    def _ssh(self, name: str) -> SshParams:
        password = minting.random_password(self._random_bytes)
        return SshParams(
            authorized_keys=self._config.ssh.authorized_keys,
            host_key=minting.mint_host_key(
                self._ssh_host_ca, (name,), self._clock.now(), _HOST_KEY_LIFETIME
            ),
            root_password_hash=minting.password_hash(
                password, minting.password_salt(self._random_bytes)
            ),
        )


def _taint(taint: Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"
