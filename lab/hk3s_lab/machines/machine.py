"""One virtual machine from power-on to power-off: the contract's steps and what follows them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import structlog

from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.machines import k3s_config, node, ssh, userdata
from hk3s_lab.machines.agent import Agent, Body, with_network
from hk3s_lab.machines.bastion import Gateway
from hk3s_lab.machines.heartbeat import NodeGone
from hk3s_lab.machines.master import Binary, Master
from hk3s_lab.machines.node import NodeFile
from hk3s_lab.machines.progress import Progress, StepError, walk
from hk3s_lab.machines.site import Site, find_nic
from hk3s_lab.machines.status import StatusPort
from hk3s_lab.machines.userdata import BadUserData, UserData
from hk3s_lab.machines.work import together

log = structlog.get_logger()

_SHARES = {"boot": 0.5, "network": 0.1, "ssh": 0.1, "nat": 0.3, "install": 0.3}
"""How a boot's seconds are spread over the steps that merely take time."""


class Machine:
    """A powered machine: `run` until cancelled; `graceful` says how it goes down then."""

    def __init__(self, site: Site, facts: MachineFacts, binary: Binary) -> None:
        self._site = site
        self._server_id = facts.server_id
        self._binary = binary
        self._boot_seconds = site.chance(facts.name, "boot").uniform(*site.options.boot_seconds)
        self._stack = AsyncExitStack()
        self.progress = Progress(name=facts.name, role="unknown")
        self.master: Master | None = None
        self.graceful = False

    async def run(self) -> None:
        """Boot and work."""
        async with self._stack:
            data, told = await self._boot()
            body = await self._network(data, told)
            await self._walk("ssh", lambda: self._ssh(data))
            if told.bastion is not None:
                await self._work_as_bastion(told.bastion)
            else:
                await self._walk("egress", lambda: self._egress(body))
                await self._walk("install", lambda: self._install(body))
                await self._work_as_node(body)

    async def _walk(self, step: str, act: Callable[[], Awaitable[None]]) -> None:
        await walk([(step, act)], self.progress, self._site.clock, self._site.options.speed)

    async def _spend(self, step: str) -> None:
        await self._site.pause(self._boot_seconds * _SHARES[step])

    async def _boot(self) -> tuple[UserData, NodeFile]:
        read: list[tuple[UserData, NodeFile]] = []

        async def act() -> None:
            await self._spend("boot")
            facts = self._site.facts(self._server_id)
            try:
                data = userdata.parse(facts.user_data)
                told = node.read(data)
            except BadUserData as error:
                raise StepError("bad-user-data", str(error)) from error
            if data.hostname != facts.name:
                message = f"hostname {data.hostname} is not the server's name {facts.name}"
                raise StepError("bad-user-data", message)
            read.append((data, told))

        await self._walk("boot", act)
        self.progress.role = read[0][1].role
        return read[0]

    async def _network(self, data: UserData, told: NodeFile) -> Body:
        bodies: list[Body] = []

        async def act() -> None:
            await self._spend("network")
            facts = self._site.facts(self._server_id)
            nic = find_nic(facts, told.network_range)
            if nic is None:
                raise StepError("no-private-nic", f"no NIC in {told.network_range}")
            if told.bastion is not None and told.bastion.private_address != nic.ip:
                wanted = told.bastion.private_address
                raise StepError("no-lease", f"the NIC got {nic.ip}, not {wanted}")
            if told.gateway != nic.gateway:
                raise StepError("no-route", f"the network's gateway is {nic.gateway}")
            if not told.dns:
                raise StepError("no-dns", "no resolver was given")
            body = Body(
                facts=facts,
                node=told,
                nic=nic,
                files=data.files,
                disk=self._site.disk(self._server_id),
            )
            status = StatusPort(self._site, told, nic, self.progress)
            try:
                await status.start()
            except OSError as error:
                # Deleted servers' addresses are given out again at once; one may still go down.
                raise StepError("no-lease", f"{nic.ip} is in use: {error.strerror}") from error
            self._stack.push_async_callback(status.stop)
            bodies.append(body)

        await self._walk("network", act)
        return bodies[0]

    async def _ssh(self, data: UserData) -> None:
        await self._spend("ssh")
        ssh.check(data, self._site.clock.now())

    async def _egress(self, body: Body) -> None:
        if not self._site.has_egress(body.nic):
            raise StepError("no-egress", "no bastion takes what leaves the network")

    async def _install(self, body: Body) -> None:
        """Take a checksum's form for its truth: nothing is downloaded in the lab."""
        await self._spend("install")
        url = urlsplit(body.node.k3s.artifacts_url if body.node.k3s else "")
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise StepError("download-failed", "k3s.artifacts_url is no URL")

    async def _work_as_bastion(self, told: node.Bastion) -> None:
        gateway = Gateway(self._site, self._server_id, told)
        self._stack.push_async_callback(gateway.stop)

        async def act() -> None:
            await self._spend("nat")
            await gateway.start()

        await self._walk("nat", act)
        self.progress.step = "ready"
        self.progress.finish(self._site.clock.now())
        await asyncio.Event().wait()

    async def _work_as_node(self, body: Body) -> None:
        """Join and work; join again when k3s would be started again by its unit."""
        while True:
            agent = await self._join(body)
            try:
                await self._walk("ready", agent.become_ready)
                self.progress.finish(self._site.clock.now())
                await together(agent.run(), *self._server_work())
            except NodeGone:
                log.warning("node.gone", machine=self.progress.name)
            finally:
                await agent.close()

    async def _join(self, body: Body) -> Agent:
        agents: list[Agent] = []
        files = with_network(body)

        async def act() -> None:
            config = k3s_config.load(files, server=body.node.role == "master")
            told = k3s_config.agent_config(config, server=body.node.role == "master")
            if told.name != body.node.name or told.labels != body.node.labels:
                raise StepError("bad-config", f"{k3s_config.PATH} and {node.PATH} differ")
            agent = Agent(self._site, body, told)
            self._stack.push_async_callback(agent.close)
            if body.node.role == "master":
                master = self._start_master(body, config)
                await master.start()
                await agent.join(f"https://{body.nic.ip}:{body.node.api_port}")
                await master.label_node()
            else:
                await agent.join(told.server or "")
            agents.append(agent)

        await self._walk("join", act)
        return agents[0]

    def _server_work(self) -> list[Coroutine[Any, Any, None]]:
        return [self.master.watch(), self.master.control()] if self.master else []

    def _start_master(self, body: Body, config: dict[str, object]) -> Master:
        if self.master is None:
            self.master = Master(self._site, body, config, self._binary)
            self._stack.push_async_callback(self._stop_master)
        return self.master

    async def _stop_master(self) -> None:
        if self.master is not None:
            await self.master.stop(graceful=self.graceful)
