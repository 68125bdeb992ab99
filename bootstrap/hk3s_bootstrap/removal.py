"""`destroy`: everything of a cluster goes, in an order that leaves nothing behind to be billed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hk3s_bootstrap import objects
from hk3s_bootstrap.apply import ACTION_SECONDS, BUSY_PAUSE_SECONDS, BUSY_SECONDS
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.session import Session
from hk3s_hetzner import domain, labels
from hk3s_hetzner.errors import HetznerError, InUse, InvalidRequest, Transient
from hk3s_kube.client import Kube
from hk3s_kube.errors import KubeError, NotFound

API_TIMEOUT_SECONDS = 5.0
STOP_SECONDS = 90.0
SWEEPS = 20
SWEEP_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Everything of the cluster that exists, what workloads made included."""

    servers: tuple[domain.Server, ...]
    primary_ips: tuple[domain.PrimaryIp, ...]
    firewalls: tuple[domain.Firewall, ...]
    networks: tuple[domain.Network, ...]
    ssh_keys: tuple[domain.SshKey, ...]
    volumes: tuple[domain.Volume, ...]
    load_balancers: tuple[domain.LoadBalancer, ...]

    def of_role(self, role: labels.Role) -> tuple[domain.Server, ...]:
        """Return the servers of a role."""
        return tuple(each for each in self.servers if labels.role_of(each.labels) == role)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Return `kind name` of each object."""
        kinds = (
            ("server", self.servers),
            ("primary IP", self.primary_ips),
            ("firewall", self.firewalls),
            ("network", self.networks),
            ("SSH key", self.ssh_keys),
            ("volume", self.volumes),
            ("load balancer", self.load_balancers),
        )
        return tuple(f"{kind} {each.name}" for kind, things in kinds for each in things)


async def find(session: Session) -> Leftovers:
    """Return what belongs to the cluster: by label, load balancers also by network.

    Volumes carry the cluster's label because the CSI driver was told to put it on them; one that
    somebody attached to a server by hand is found by its server.
    """
    hetzner, cluster = session.hetzner, session.config.cluster
    selector = labels.select_cluster(cluster)
    servers, addresses, firewalls, networks, keys = await asyncio.gather(
        hetzner.list_servers(label_selector=selector),
        hetzner.list_primary_ips(label_selector=selector),
        hetzner.list_firewalls(label_selector=selector),
        hetzner.list_networks(label_selector=selector),
        hetzner.list_ssh_keys(label_selector=selector),
    )
    volumes, balancers = await asyncio.gather(hetzner.list_volumes(), hetzner.list_load_balancers())
    server_ids = {server.id for server in servers}
    network_ids = {network.id for network in networks}
    return Leftovers(
        servers=servers,
        primary_ips=addresses,
        firewalls=firewalls,
        networks=networks,
        ssh_keys=keys,
        volumes=tuple(
            volume
            for volume in volumes
            if volume.labels.get(labels.CLUSTER) == cluster or volume.server_id in server_ids
        ),
        load_balancers=tuple(
            balancer
            for balancer in balancers
            if balancer.labels.get(labels.CLUSTER) == cluster
            or any(net.network_id in network_ids for net in balancer.private_nets)
        ),
    )


async def destroy(session: Session, *, keep_volumes: bool) -> Leftovers:
    """Delete all of it and return what is left: only volumes, and only if they are to be kept.

    Whoever buys servers goes first, so that nothing is bought while others are deleted: the
    daemon is stopped through the API, or, when that does not answer, with its master.

    Raises:
        BootstrapError: something would not go; running again continues.
    """
    removal = _Removal(session=session, keep_volumes=keep_volumes)
    stopped = await removal.stop_autoscaler()
    if stopped:
        await removal.servers("worker")
        await removal.servers("master")
    else:
        await removal.servers("master")
    await removal.sweep_workers()
    await removal.workload_leftovers()
    await removal.servers("bastion")
    await removal.infrastructure()
    return await removal.confirm()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Removal:
    session: Session
    keep_volumes: bool

    async def stop_autoscaler(self) -> bool:
        """Scale the daemon to zero; False when the cluster does not answer."""
        secrets = self.session.load_state()
        addresses = (await find(self.session)).primary_ips
        if secrets is None or not addresses:
            return False
        with self.session.reporter.doing("stop the autoscaler") as say:
            kube = await self.session.open_api(secrets, addresses[0].ip)
            try:
                return await self._scale_to_zero(kube)
            except KubeError as error:
                say(f"the API does not answer ({error.message}): the master goes first")
                return False
            finally:
                await kube.close()

    async def _scale_to_zero(self, kube: Kube) -> bool:
        namespace = f"/api/v1/namespaces/{objects.NAMESPACE}"
        deployment = (
            f"/apis/apps/v1/namespaces/{objects.NAMESPACE}/deployments/{objects.DEPLOYMENT}"
        )
        try:
            current = await kube.get(deployment, within=API_TIMEOUT_SECONDS)
        except NotFound:
            return True  # there is none that could buy anything
        if current["spec"].get("replicas") != 0:
            await kube.patch(deployment, {"spec": {"replicas": 0}}, within=API_TIMEOUT_SECONDS)
        clock = self.session.clock
        deadline = clock.monotonic() + STOP_SECONDS
        while await kube.list_items(
            f"{namespace}/pods", label_selector=f"app.kubernetes.io/name={objects.DEPLOYMENT}"
        ):
            if clock.monotonic() > deadline:
                return False
            await clock.sleep(1.0)
        return True

    async def servers(self, role: labels.Role) -> None:
        """Delete all servers of a role: start all, then wait for all."""
        await self._delete_servers((await find(self.session)).of_role(role))

    async def sweep_workers(self) -> None:
        """Delete until two lists in a row are empty: a create may have been on its way."""
        empty = 0
        for _ in range(SWEEPS):
            found = await find(self.session)
            others = tuple(
                each for each in found.servers if labels.role_of(each.labels) != "bastion"
            )
            empty = 0 if others else empty + 1
            if empty == 2:  # noqa: PLR2004 - two lists
                return
            await self._delete_servers(others)
            await self.session.clock.sleep(SWEEP_PAUSE_SECONDS)
        raise BootstrapError("servers keep appearing", fix="stop who makes them, then run again")

    async def workload_leftovers(self) -> None:
        """Delete load balancers and volumes, once nobody is left to make them again."""
        hetzner = self.session.hetzner
        found = await find(self.session)
        for balancer in found.load_balancers:
            await self._delete(
                f"delete load balancer {balancer.name}",
                _bound(hetzner.delete_load_balancer, balancer.id),
            )
        if self.keep_volumes:
            return
        for volume in found.volumes:
            await self._delete(f"delete volume {volume.name}", self._volume_deletion(volume))

    def _volume_deletion(self, volume: domain.Volume) -> Callable[[], Awaitable[object]]:
        async def delete() -> None:
            if volume.server_id is not None:
                actions = await self.session.hetzner.detach_volume(volume.id)
                await self.session.hetzner.wait(actions, timeout=ACTION_SECONDS)
            await self.session.hetzner.delete_volume(volume.id)

        return delete

    async def infrastructure(self) -> None:
        """Delete what servers needed; SSH keys only where this cluster's run uploaded them."""
        hetzner = self.session.hetzner
        found = await find(self.session)
        deletions: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            *(
                (f"delete primary IP {each.name}", _bound(hetzner.delete_primary_ip, each.id))
                for each in found.primary_ips
            ),
            *(
                (f"delete firewall {each.name}", _bound(hetzner.delete_firewall, each.id))
                for each in found.firewalls
            ),
            *(
                (f"delete network {each.name}", _bound(hetzner.delete_network, each.id))
                for each in found.networks
            ),
            *(
                (f"delete SSH key {each.name}", _bound(hetzner.delete_ssh_key, each.id))
                for each in found.ssh_keys
            ),
        ]
        for what, delete in deletions:
            await self._delete(what, delete)

    async def confirm(self) -> Leftovers:
        """Return what is left after all; raise if it is more than was to be kept."""
        found = await find(self.session)
        kept = {f"volume {volume.name}" for volume in found.volumes} if self.keep_volumes else set()
        left = [each for each in found.descriptions if each not in kept]
        if left:
            raise BootstrapError(
                f"still there: {', '.join(left)}", fix="run the command again", code="left"
            )
        return found

    async def _delete_servers(self, servers: Sequence[domain.Server]) -> None:
        if not servers:
            return
        hetzner = self.session.hetzner
        what = f"delete {', '.join(server.name for server in servers)}"
        with self.session.reporter.doing(what):
            try:
                started = await asyncio.gather(
                    *(hetzner.delete_server(server.id) for server in servers)
                )
                actions = [action for actions in started for action in actions]
                await hetzner.wait(actions, timeout=ACTION_SECONDS)
            except HetznerError as error:
                raise StepFailed(what, error) from error

    async def _delete(self, what: str, delete: Callable[[], Awaitable[object]]) -> None:
        """Delete one object, with patience for those that still hold it."""
        clock = self.session.clock
        deadline = clock.monotonic() + BUSY_SECONDS
        with self.session.reporter.doing(what) as say:
            while True:
                try:
                    await delete()
                except (InUse, Transient, InvalidRequest) as error:
                    if clock.monotonic() > deadline:
                        raise StepFailed(what, error) from error
                    say(error.message)
                    await clock.sleep(BUSY_PAUSE_SECONDS)
                except HetznerError as error:
                    raise StepFailed(what, error) from error
                else:
                    return


def _bound(
    delete: Callable[[int], Awaitable[object]], object_id: int
) -> Callable[[], Awaitable[object]]:
    return lambda: delete(object_id)
