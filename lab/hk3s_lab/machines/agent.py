"""The agent side of k3s on one machine: join, register, stay alive, run pods."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import yaml

from hk3s_lab.hetzner.events import MachineFacts, PrivateNic
from hk3s_lab.kubernetes_client import Access, ApiError, ApiUnreachable, KubernetesClient
from hk3s_lab.machines import k3s_config
from hk3s_lab.machines.heartbeat import NodeGone, NodeKeeper
from hk3s_lab.machines.join import Identity, join
from hk3s_lab.machines.k3s_config import AgentConfig
from hk3s_lab.machines.kubelet import Kubelet
from hk3s_lab.machines.kubelet_server import KubeletServer
from hk3s_lab.machines.node import NodeFile
from hk3s_lab.machines.pod_command import NodeFacts
from hk3s_lab.machines.pod_life import Host
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.userdata import File
from hk3s_lab.machines.work import together
from hk3s_lab.machines.writer import Writer
from hk3s_lab.proxy import Proxy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A booted machine: what it was told, where it is wired to and where its disk lies."""

    facts: MachineFacts
    node: NodeFile
    nic: PrivateNic
    files: Mapping[str, File]
    disk: Path


def with_network(body: Body) -> dict[str, File]:
    """Return the machine's files with the drop-in that only the machine itself can write."""
    content = {
        "node-ip": body.nic.ip,
        "flannel-iface": "enp7s0",
        "kubelet-arg+": [f"provider-id=hcloud://{body.facts.server_id}"],
    }
    drop_in = File(content=yaml.safe_dump(content).encode(), mode=0o600)
    return {**body.files, k3s_config.NETWORK_DROP_IN: drop_in}


class Agent:
    """One kubelet's life between two joins."""

    def __init__(self, site: Site, body: Body, config: AgentConfig) -> None:
        self._site = site
        self._body = body
        self._config = config
        # k3s names the kubelet after the node; a flag of the user's own comes later and wins.
        name = config.kubelet.get("hostname-override", config.name)
        self._kubelet_config = replace(config, name=name)
        self._stack = AsyncExitStack()
        self._identity: Identity | None = None
        self._keeper: NodeKeeper | None = None
        self._pod_cidr = ""

    async def join(self, server: str) -> None:
        """Get an identity and register the Node.

        Raises:
            StepError: one of step `join`.
        """
        await self.close()
        identity = await join(self._site, self._body.nic, self._config, self._body.disk, server)
        client = KubernetesClient(identity.access)
        await self._stack.enter_async_context(client)
        keeper = NodeKeeper(
            site=self._site,
            client=client,
            facts=self._body.facts,
            config=self._kubelet_config,
            version=self._body.node.k3s.version if self._body.node.k3s else "",
        )
        node = await keeper.register()
        self._identity, self._keeper = identity, keeper
        log.info("node.registered", node=self._kubelet_config.name, uid=node["metadata"]["uid"])

    @property
    def access(self) -> Access:
        """How the kubelet talks to the API.

        Raises:
            NodeGone: it has not joined.
        """
        return self._joined()[0].access

    async def become_ready(self) -> None:
        """Report Ready, again and again until the API took it.

        Raises:
            NodeGone: the Node was deleted meanwhile.
        """
        keeper = self._joined()[1]
        while True:
            try:
                self._pod_cidr = await keeper.become_ready()
            except (ApiUnreachable, ApiError) as error:
                log.warning("node.not_ready_yet", node=self._config.name, error=str(error))
                await self._site.clock.sleep(1.0)
            else:
                return

    async def run(self) -> None:
        """Heartbeat and drive pods until the Node is deleted.

        Raises:
            NodeGone: it was.
        """
        identity, keeper = self._joined()
        address = self._site.local(self._body.nic)
        proxy = Proxy(self._site.resolve, source=address)
        await proxy.start(address)
        self._stack.push_async_callback(proxy.stop)
        host = self._host(keeper, identity, proxy, address)
        kubelet = Kubelet(host, self._kubelet_config.name, self._pod_cidr)
        server = KubeletServer(kubelet, identity, host.directory)
        await server.start(address)
        self._stack.push_async_callback(server.stop)
        await together(keeper.keep(), kubelet.run())

    async def close(self) -> None:
        """Drop all connections and listeners."""
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        self._keeper = self._identity = None

    def _joined(self) -> tuple[Identity, NodeKeeper]:
        if self._identity is None or self._keeper is None:
            raise NodeGone(self._config.name)
        return self._identity, self._keeper

    def _host(self, keeper: NodeKeeper, identity: Identity, proxy: Proxy, address: str) -> Host:
        access = identity.access
        api = Access(url=access.url, server_name=access.server_name, ca=access.ca)
        directory = self._body.disk / "pods"
        directory.mkdir(mode=0o700, exist_ok=True)
        return Host(
            site=self._site,
            client=keeper.client,
            writer=Writer(self._site.clock, self._kubelet_config.name),
            facts=NodeFacts(
                address=address,
                proxy_url=proxy.url,
                api=api,
                images=self._site.options.images,
            ),
            directory=directory,
            node_ip=self._config.node_ip,
        )
