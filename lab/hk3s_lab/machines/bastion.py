"""The bastion: forwards exactly what its node.json and the emulated firewall allow, and NATs."""

import asyncio

import structlog

from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.machines.node import Bastion, Forward, covers
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site, admits
from hk3s_lab.relay import Connections, relay

log = structlog.get_logger()

_CONNECT_SECONDS = 5.0


class Gateway:
    """The packet filter of a running bastion."""

    def __init__(self, site: Site, server_id: int, bastion: Bastion) -> None:
        self._site = site
        self._server_id = server_id
        self._bastion = bastion
        self._servers: list[asyncio.Server] = []
        self._connections: list[Connections] = []

    async def start(self) -> None:
        """Open the forwards on the public address and offer NAT to the network.

        Raises:
            StepError: `nat-failed`.
        """
        facts = self._site.facts(self._server_id)
        if facts.public_ipv4 is None:
            raise StepError("nat-failed", "the bastion has no public address")
        for forward in self._bastion.forwards:
            try:
                self._servers.append(await self._listen(facts.public_ipv4, forward))
            except OSError as error:
                await self.stop()
                raise StepError("nat-failed", f"port {forward.port}: {error.strerror}") from error
        self._site.gateways[self._server_id] = self._bastion

    async def stop(self) -> None:
        """Forward nothing any more; open connections are cut."""
        self._site.gateways.pop(self._server_id, None)
        for server in self._servers:
            server.close()
        for connections in self._connections:
            await connections.cut()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._connections.clear()

    def admits(self, facts: MachineFacts, port: int, source: str) -> bool:
        """Whether the firewall in front of the bastion and its own filter let a caller in."""
        return admits(facts.firewall_rules, port, source) and covers(
            self._bastion.allowed_sources, source
        )

    async def _listen(self, address: str, forward: Forward) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._forward(forward, reader, writer)

        connections = Connections(serve)
        self._connections.append(connections)
        return await asyncio.start_server(connections.accept, address, forward.port)

    async def _forward(
        self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = writer.get_extra_info("peername")[0]
        facts = self._site.facts(self._server_id)
        nic = next((n for n in facts.private if n.ip == self._bastion.private_address), None)
        if nic is None or not self.admits(facts, forward.port, source):
            log.debug("bastion.dropped", machine=facts.name, source=source, port=forward.port)
            writer.transport.abort()
            return
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                inner = await asyncio.open_connection(
                    self._site.local(nic, forward.to_address),
                    forward.to_port,
                    local_addr=(self._site.local(nic), 0),
                )
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        await relay((reader, writer), inner)
