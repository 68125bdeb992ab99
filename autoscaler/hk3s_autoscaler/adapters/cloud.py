"""Hetzner as the daemon needs it: workers of one cluster, found by label."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network

import structlog

from hk3s_autoscaler import ports
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.model.node import JoinReport, Server
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.ports import ServerRequest
from hk3s_data import k3s
from hk3s_hetzner import catalog, domain, errors, labels
from hk3s_hetzner.client import Hetzner

_MAX_PODS = 110
"""The kubelet's default, which k3s leaves as it is."""

_MEMORY_LOST_PERCENT = 7
"""What a virtual machine sees less than was sold: firmware and kernel keep it.

Karpenter assumes 7.5 % (`vm-memory-overhead-percent`) until it has met a node of the type.
"""

_DISK_KEPT_PERCENT = 5
"""k3s's eviction threshold for the node's file system."""

_CREATE_SECONDS = 180.0
_ACTION_SECONDS = 90.0
"""How long an action is waited for; Hetzner's own take seconds."""

_log = structlog.get_logger(component="cloud")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Where workers live. `cluster_uid` is the kube-system UID."""

    cluster: str
    cluster_uid: str
    network_id: int
    worker_subnet: IPv4Network
    ssh_key_ids: tuple[int, ...]


class HetznerCloud:
    """Implements `ports.Cloud` on `hk3s_hetzner`."""

    def __init__(self, hetzner: Hetzner, settings: CloudSettings, reporter: JoinReporter) -> None:
        self._hetzner = hetzner
        self._settings = settings
        self._reporter = reporter
        self._selector = labels.select_role(settings.cluster, "worker")
        self._locations: frozenset[str] | None = None
        self._known: dict[int, Server] = {}

    async def list_servers(self) -> tuple[Server, ...]:
        """List the workers of this cluster; those whose labels were edited are not ours."""
        with _translated():
            found = await self._hetzner.list_servers(label_selector=self._selector)
        servers = []
        for item in found:
            server = self._fact(item)
            if server is None:
                _log.warning("server.unreadable_labels", name=item.name, server_id=item.id)
            else:
                servers.append(server)
        self._known = {server.server_id: server for server in servers}
        return tuple(servers)

    async def list_offerings(self) -> tuple[Offering, ...]:
        """List what can be bought in the network's zone: a network does not span zones."""
        with _translated():
            if self._locations is None:
                self._locations = await self._zone()
            types = await self._hetzner.list_server_types()
        found = (offering(item) for item in catalog.offerings(types))
        return tuple(item for item in found if item.key.location in self._locations)

    async def count_attachments(self) -> int:
        """Count servers and load balancers of the network."""
        network = await self._network()
        return len(network.server_ids) + len(network.load_balancer_ids)

    async def get_server(self, server_id: int) -> Server | None:
        """Read one server; one that lost our labels raises `Changed`."""
        with _translated():
            found = await self._hetzner.get_server(server_id)
        if found is None:
            self._known.pop(server_id, None)
            return None
        server = self._fact(found)
        if server is None:
            raise ports.Changed(f"server {found.name} ({server_id}) is not labelled as ours")
        self._known[server_id] = server
        return server

    async def create_server(self, request: ServerRequest) -> Server:
        """Create a server that is off and unattached; wait until its actions ended."""
        try:
            created = await self._create(request)
        except errors.AlreadyExists as error:
            return await self._adopt(request, error)
        server = created.server
        await self._wait_created(request, created)
        if server.public_ipv4 is not None or server.public_ipv6 is not None:
            await self._discard(server)
            raise ports.Rejected(
                "public-address", f"{server.name} was given a public address, so it was deleted"
            )
        fact = self._fact(server)
        if fact is None:
            raise ports.Rejected("labels-lost", f"{server.name} came without the labels asked for")
        fact = replace(fact, status="off")
        self._known[server.id] = fact
        return fact

    async def attach_server(self, server_id: int) -> Server:
        """Attach to the workers' subnet. The address is known with the next reading."""
        server = self._known.get(server_id) or await self.get_server(server_id)
        if server is None:
            raise ports.Changed(f"server {server_id} is gone")
        with _translated():
            await self._hetzner.wait(
                await self._hetzner.attach_to_network(
                    server_id,
                    self._settings.network_id,
                    ip_range=str(self._settings.worker_subnet),
                ),
                timeout=_ACTION_SECONDS,
            )
        attached = self._known[server_id] = replace(server, attached=True)
        return attached

    async def power_on_server(self, server_id: int) -> None:
        """Power on. Nothing waits for it: should it fail, the next listing shows the server off."""
        with _translated():
            await self._hetzner.power_on(server_id)

    async def delete_server(self, server_id: int) -> None:
        """Delete, wait for the action, and make sure."""
        with _translated():
            await self._hetzner.wait(
                await self._hetzner.delete_server(server_id), timeout=_ACTION_SECONDS
            )
            left = await self._hetzner.get_server(server_id)
        if left is not None:
            raise ports.Unavailable(f"{left.name} is still there, {left.status}")
        self._known.pop(server_id, None)

    async def join_report(self, server: Server) -> JoinReport:
        """Ask a server's status port."""
        return await self._reporter.ask(server)

    async def _create(self, request: ServerRequest) -> domain.CreatedServer:
        with _translated(request.offering, let=errors.AlreadyExists):
            return await self._hetzner.create_server(
                name=request.name,
                server_type=request.offering.server_type,
                location=request.offering.location,
                image=request.image,
                labels=request.labels,
                user_data=request.user_data,
                ssh_keys=self._settings.ssh_key_ids,
                start_after_create=False,
            )

    async def _wait_created(self, request: ServerRequest, created: domain.CreatedServer) -> None:
        try:
            await self._hetzner.wait(created.action_ids, timeout=_CREATE_SECONDS)
        except errors.FenceLost as error:
            raise ports.NotLeader(str(error)) from error
        except errors.HetznerError as error:
            if error.action_id is None:
                raise _kind(error, request.offering) from error
            # The call was accepted and its action failed: an empty shell may be left.
            await self._discard(created.server)
            if isinstance(error, errors.QuotaExceeded):
                raise _kind(error, request.offering) from error
            raise ports.CapacityUnavailable(
                request.offering, str(error), code=error.code
            ) from error

    async def _adopt(self, request: ServerRequest, error: errors.AlreadyExists) -> Server:
        """Take the server of that name if it is this very request, repeated after a lost reply."""
        with _translated():
            found = await self._hetzner.get_server_by_name(request.name)
        if found is None or dict(found.labels) != dict(request.labels):
            raise ports.Rejected(
                "name-taken", f"{request.name} exists and was not made by this request"
            ) from error
        server = self._fact(found)
        if server is None:
            raise ports.Rejected("labels-lost", f"{request.name} has no readable labels")
        _log.info("server.adopted", name=server.name, server_id=server.server_id)
        self._known[server.server_id] = server
        return server

    async def _discard(self, server: domain.Server) -> None:
        _log.warning("server.discarded", name=server.name, server_id=server.id)
        await self.delete_server(server.id)

    async def _network(self) -> domain.Network:
        with _translated():
            network = await self._hetzner.get_network(self._settings.network_id)
        if network is None:
            raise ports.Rejected(
                "network-gone", f"network {self._settings.network_id} does not exist"
            )
        return network

    async def _zone(self) -> frozenset[str]:
        network = await self._network()
        zones = {subnet.network_zone for subnet in network.subnets}
        locations = await self._hetzner.list_locations()
        return frozenset(place.name for place in locations if place.network_zone in zones)

    def _fact(self, item: domain.Server) -> Server | None:
        worker = labels.read_worker(item.labels)
        if worker is None or worker.cluster != self._settings.cluster:
            return None
        address = item.private_ip(self._settings.network_id)
        return Server(
            name=item.name,
            server_id=item.id,
            pool=worker.pool,
            offering=OfferingKey(item.server_type, item.location),
            status=item.status,
            created_at=item.created,
            cluster_uid=worker.cluster_uid,
            micro_eur_per_hour=worker.price_micro_eur_hour,
            image=item.image or "",
            private_address=address or "",
            attached=address is not None,
            locked=item.locked,
            token_expires_at=worker.token_expires,
            template=worker.template,
        )


def offering(item: catalog.Offering) -> Offering:
    """Return an offering with the room that its nodes are going to have, until one is met."""
    seen = item.memory_bytes * (100 - _MEMORY_LOST_PERCENT) // 100
    capacity = Resources(
        cpu_milli=item.cores * 1000,
        memory_bytes=seen,
        ephemeral_bytes=item.disk_bytes,
        pods=_MAX_PODS,
    )
    kept = k3s.reserved(item.cores, item.memory_bytes)
    return Offering(
        key=OfferingKey(item.server_type, item.location),
        architecture=catalog.HETZNER_ARCHITECTURES[item.arch],
        cpu_type=item.cpu_type,
        cores=item.cores,
        memory_bytes=item.memory_bytes,
        disk_bytes=item.disk_bytes,
        micro_eur_per_hour=item.price_micro_eur_hour,
        micro_eur_per_month=item.price_micro_eur_month,
        capacity=capacity,
        allocatable=capacity
        - Resources(
            cpu_milli=kept.cpu_milli,
            memory_bytes=kept.memory_bytes,
            ephemeral_bytes=item.disk_bytes * _DISK_KEPT_PERCENT // 100,
        ),
        published_available=item.available,
        unavailable_after=item.unavailable_after,
    )


@contextmanager
def _translated(
    offering_key: OfferingKey | None = None, *, let: type[errors.HetznerError] | None = None
) -> Iterator[None]:
    """Turn the kinds of `hk3s_hetzner` into those of the port; `let` passes as it is."""
    try:
        yield
    except errors.FenceLost as error:
        raise ports.NotLeader(str(error)) from error
    except errors.HetznerError as error:
        if let is not None and isinstance(error, let):
            raise
        raise _kind(error, offering_key) from error


def _kind(error: errors.HetznerError, offering_key: OfferingKey | None) -> ports.PortError:
    match error:
        case errors.CapacityUnavailable() if offering_key is not None:
            return ports.CapacityUnavailable(offering_key, str(error), code=error.code)
        case errors.QuotaExceeded():
            return ports.QuotaExceeded(error.limit_name, str(error))
        case errors.CapacityUnavailable() | errors.RateLimited() | errors.Transient():
            return ports.Unavailable(str(error))
        case errors.NotFound() if offering_key is None:
            return ports.Changed(str(error))
        case _:
            return ports.Rejected(error.code, str(error))
