"""What a new worker is called and told: a decision meets chance and secrets."""

from collections.abc import Callable
from datetime import datetime

from hk3s_autoscaler import ports
from hk3s_autoscaler.config import Config
from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.ports import Clock, ServerRequest
from hk3s_cloudinit.tokens import RandomBytes
from hk3s_hetzner import labels, names


class WorkerBirths:
    """Implements `ports.Births` on `hk3s_cloudinit`."""

    def __init__(
        self,
        config: Config,
        *,
        cluster_uid: str,
        ssh_host_ca: str,
        clock: Clock,
        random_bytes: RandomBytes,
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
        from hk3s_autoscaler.adapters import newborn  # noqa: PLC0415 - memory: see there

        image = pool.image or self._config.image
        try:
            user_data = newborn.user_data(
                self._config,
                name=name,
                pool=pool,
                offering=offering,
                join_token=join_token,
                image=image,
                ssh_host_ca=self._ssh_host_ca,
                now=self._clock.now(),
                random_bytes=self._random_bytes,
            )
            server_labels = labels.for_worker(
                labels.WorkerLabels(
                    cluster=self._config.cluster,
                    cluster_uid=self._cluster_uid,
                    pool=pool.name,
                    price_micro_eur_hour=offering.micro_eur_per_hour,
                    token_expires=expires_at,
                    template=template.record(pool),
                )
            )
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
