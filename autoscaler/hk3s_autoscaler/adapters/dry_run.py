"""Ports that read the real world and only say what they would write."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from hk3s_autoscaler.adapters.cloud import CloudSettings, HetznerCloud
from hk3s_autoscaler.adapters.cluster import KubeCluster
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.model.node import Server
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.ports import Changed, Clock, ObjectRef, PoolStatus, ServerRequest
from hk3s_hetzner import labels
from hk3s_hetzner.client import Hetzner

_log = structlog.get_logger(component="dry-run")


class DryRunCloud(HetznerCloud):
    """Imagines the servers that it would buy, and forgets those that it would delete.

    So nothing is announced twice; an imagined server never joins and is given up in time.
    """

    def __init__(
        self, hetzner: Hetzner, settings: CloudSettings, reporter: JoinReporter, clock: Clock
    ) -> None:
        super().__init__(hetzner, settings, reporter)
        self._clock = clock
        self._imagined: dict[int, Server] = {}
        self._gone: set[int] = set()

    async def list_servers(self) -> tuple[Server, ...]:
        """List real and imagined servers."""
        real = await super().list_servers()
        kept = tuple(server for server in real if server.server_id not in self._gone)
        return (*kept, *self._imagined.values())

    async def get_server(self, server_id: int) -> Server | None:
        """Read a real server, or an imagined one."""
        if server_id in self._gone:
            return None
        return self._imagined.get(server_id) or await super().get_server(server_id)

    async def create_server(self, request: ServerRequest) -> Server:
        """Imagine a server."""
        worker = labels.read_worker(request.labels)
        if worker is None:
            raise ValueError(f"{request.name} would not be found again by its labels")
        server = Server(
            name=request.name,
            server_id=-1 - len(self._imagined) - len(self._gone),
            pool=request.pool,
            offering=request.offering,
            status="off",
            created_at=self._clock.now(),
            cluster_uid=worker.cluster_uid,
            micro_eur_per_hour=worker.price_micro_eur_hour,
            token_expires_at=worker.token_expires,
        )
        self._imagined[server.server_id] = server
        _log.info("would.create_server", name=request.name, offering=str(request.offering))
        return server

    async def attach_server(self, server_id: int) -> Server:
        """Imagine the attachment."""
        return await self._change(server_id, "would.attach_server", attached=True)

    async def power_on_server(self, server_id: int) -> None:
        """Imagine the start."""
        await self._change(server_id, "would.power_on_server", status="running")

    async def delete_server(self, server_id: int) -> None:
        """Forget a server."""
        self._imagined.pop(server_id, None)
        self._gone.add(server_id)
        _log.info("would.delete_server", server_id=server_id)

    async def _change(self, server_id: int, what: str, **fields: Any) -> Server:  # noqa: ANN401
        server = await self.get_server(server_id)
        if server is None:
            raise Changed(f"server {server_id} is gone")
        _log.info(what, name=server.name)
        self._imagined[server_id] = replace(server, **fields)
        return self._imagined[server_id]


class DryRunCluster(KubeCluster):
    """Says what it would write to Kubernetes."""

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        """Return a token that opens nothing."""
        _log.info("would.create_join_token", name=server_name, until=expires_at.isoformat())
        return f"K10{'0' * 64}::dryrun.{'0' * 16}"

    async def revoke_join_token(self, server_name: str) -> None:
        """Say so."""
        _log.debug("would.revoke_join_token", name=server_name)

    async def invite_pods(self, node: str, pods: tuple[Pod, ...], since: datetime) -> int:
        """Say so."""
        _log.info("would.invite_pods", node=node, pods=len(pods), since=since.isoformat())
        return 0

    async def open_node(self, node: str) -> None:
        """Say so."""
        _log.info("would.open_node", node=node)

    async def mark_unneeded(self, node: str, since: datetime | None) -> None:
        """Say so."""
        _log.info("would.mark_unneeded", node=node, since=since and since.isoformat())

    async def mark_replacing(self, node: str, since: datetime | None, reason: str) -> None:
        """Say so."""
        when = since and since.isoformat()
        _log.info("would.mark_replacing", node=node, since=when, reason=reason)

    async def cordon(self, node: str, reason: str, since: datetime) -> None:
        """Say so."""
        _log.info("would.cordon", node=node, reason=reason, since=since.isoformat())

    async def uncordon(self, node: str) -> None:
        """Say so."""
        _log.info("would.uncordon", node=node)

    async def evict(self, pod: Pod) -> None:
        """Say so."""
        _log.info("would.evict", pod=str(pod.key))

    async def delete_node(self, name: str, uid: str) -> None:
        """Say so."""
        _log.info("would.delete_node", node=name, uid=uid)

    async def emit(
        self, about: ObjectRef, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """Say so."""
        _log.debug("would.emit", about=about.name, reason=reason, message=message, warning=warning)

    async def write_pool_status(self, status: PoolStatus) -> None:
        """Say so."""
        _log.debug("would.write_pool_status", pool=status.pool.name, nodes=status.nodes)

    async def write_report(self, entries: Mapping[str, str]) -> None:
        """Say so."""
        _log.debug("would.write_report", entries=sorted(entries))
