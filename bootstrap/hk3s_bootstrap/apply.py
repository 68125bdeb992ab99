"""Carrying steps out at Hetzner, one by one, each repeatable after a kill at any point."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, assert_never

from hk3s_bootstrap import steps as todo
from hk3s_bootstrap.desired import Desired, Machine
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.observed import Observed, is_ours
from hk3s_bootstrap.progress import Reporter
from hk3s_hetzner import domain
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import ActionTimeout, AlreadyExists, HetznerError, Transient
from hk3s_kube.clock import Clock

ACTION_SECONDS = 300.0
BUSY_SECONDS = 120.0
BUSY_PAUSE_SECONDS = 2.0

Made = TypeVar("Made", domain.Server, domain.Network, domain.Firewall, domain.PrimaryIp)
Answer = TypeVar("Answer")


class Births(Protocol):
    """Renders user-data when a server is about to be made: it needs what earlier steps made."""

    def user_data(self, machine: Machine, world: Observed) -> str:
        """Return the machine's user-data."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Everything that steps need beside the world they change."""

    hetzner: Hetzner
    desired: Desired
    births: Births
    clock: Clock
    reporter: Reporter

    async def carry_out(self, steps: Sequence[todo.Step], world: Observed) -> Observed:
        """Do all steps in order and return the world after them.

        Raises:
            StepFailed: Hetzner refused; everything before is done, running again continues.
        """
        for step in steps:
            with self.reporter.doing(str(step)) as say:
                try:
                    world = await self._patiently(step, world, say)
                except HetznerError as error:
                    raise StepFailed(str(step), error) from error
        return world

    async def _patiently(
        self, step: todo.Step, world: Observed, say: Callable[[str], None]
    ) -> Observed:
        """Repeat a step while Hetzner has a passing problem.

        The object is busy with what an earlier run began, or Hetzner answers with errors of its
        own. The SDK repeats only what may have been lost on the way.
        """
        deadline = self.clock.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._do(step, world)
            except ActionTimeout:
                raise
            except Transient as error:
                if self.clock.monotonic() > deadline:
                    raise
                say(str(error))
            await self.clock.sleep(BUSY_PAUSE_SECONDS)

    async def _do(self, step: todo.Step, world: Observed) -> Observed:
        match step:
            case todo.CreateSshKey():
                return await self._create_ssh_key(step, world)
            case todo.CreateNetwork():
                return replace(world, network=await self._create_network(step))
            case todo.AddSubnet() | todo.AddRoute() | todo.DeleteRoute():
                return await self._change_network(step, world)
            case todo.CreatePrimaryIp():
                return replace(world, primary_ip=await self._create_primary_ip(step))
            case todo.CreateFirewall() | todo.SetFirewallRules() | todo.ApplyFirewall():
                return replace(world, firewall=await self._firewall(step, world))
            case todo.CreateServer() | todo.AttachServer() | todo.PowerOn():
                return _with_server(world, step.machine, await self._server(step, world))
            case _:
                assert_never(step)

    async def _firewall(
        self,
        step: todo.CreateFirewall | todo.SetFirewallRules | todo.ApplyFirewall,
        world: Observed,
    ) -> domain.Firewall:
        match step:
            case todo.CreateFirewall():
                return await self._create_firewall(step)
            case todo.SetFirewallRules():
                firewall = _made(world.firewall)
                await self._wait(self.hetzner.set_firewall_rules(firewall.id, step.rules))
                return replace(firewall, rules=step.rules)
            case todo.ApplyFirewall():
                firewall = _made(world.firewall)
                await self._wait(self.hetzner.apply_firewall(firewall.id, _made(world.bastion).id))
                return firewall
            case _:
                assert_never(step)

    async def _server(
        self, step: todo.CreateServer | todo.AttachServer | todo.PowerOn, world: Observed
    ) -> domain.Server:
        match step:
            case todo.CreateServer():
                return await self._create_server(step, world)
            case todo.AttachServer():
                return await self._attach(step.machine, world)
            case todo.PowerOn():
                server = _server(world, step.machine)
                await self._wait(self.hetzner.power_on(server.id))
                return replace(server, status="running")
            case _:
                assert_never(step)

    async def _create_ssh_key(self, step: todo.CreateSshKey, world: Observed) -> Observed:
        try:
            key = await self.hetzner.create_ssh_key(
                name=step.name, public_key=step.public_key, labels=dict(self.desired.labels)
            )
        except AlreadyExists:
            # Its fingerprint or name appeared meanwhile: any key of the fingerprint will do.
            keys = await self.hetzner.list_ssh_keys()
            wanted = {key.fingerprint for key in self.desired.ssh_keys}
            if not wanted <= {key.fingerprint for key in keys}:
                raise
            return replace(world, ssh_keys=keys)
        return replace(world, ssh_keys=(*world.ssh_keys, key))

    async def _create_network(self, step: todo.CreateNetwork) -> domain.Network:
        try:
            return await self.hetzner.create_network(
                name=step.name,
                ip_range=step.ip_range,
                labels=dict(self.desired.labels),
                subnets=step.subnets,
                routes=(step.route,),
            )
        except AlreadyExists:
            return self._adopt("network", await self.hetzner.list_networks(name=step.name))

    async def _change_network(
        self, step: todo.AddSubnet | todo.AddRoute | todo.DeleteRoute, world: Observed
    ) -> Observed:
        network = _made(world.network)
        match step:
            case todo.AddSubnet(subnet=subnet):
                call = self.hetzner.add_subnet(
                    network.id, ip_range=subnet.ip_range, network_zone=subnet.network_zone
                )
            case todo.AddRoute(route=route):
                call = self.hetzner.add_route(network.id, route)
            case todo.DeleteRoute(route=route):
                call = self.hetzner.delete_route(network.id, route)
            case _:
                assert_never(step)
        await self._wait(call)
        return replace(world, network=await self.hetzner.get_network(network.id))

    async def _create_firewall(self, step: todo.CreateFirewall) -> domain.Firewall:
        try:
            return await self.hetzner.create_firewall(
                name=step.name, rules=step.rules, labels=dict(self.desired.labels)
            )
        except AlreadyExists:
            return self._adopt("firewall", await self.hetzner.list_firewalls(name=step.name))

    async def _create_primary_ip(self, step: todo.CreatePrimaryIp) -> domain.PrimaryIp:
        try:
            return await self.hetzner.create_primary_ipv4(
                name=step.name, location=step.location, labels=dict(self.desired.labels)
            )
        except AlreadyExists:
            return self._adopt("primary IP", await self.hetzner.list_primary_ips(name=step.name))

    async def _create_server(self, step: todo.CreateServer, world: Observed) -> domain.Server:
        machine = step.machine
        wanted = {key.fingerprint for key in self.desired.ssh_keys}
        try:
            created = await self.hetzner.create_server(
                name=machine.name,
                server_type=machine.server_type,
                location=machine.location,
                image=machine.image,
                labels=dict(machine.labels),
                user_data=self.births.user_data(machine, world),
                ssh_keys=[key.id for key in world.ssh_keys if key.fingerprint in wanted],
                primary_ipv4_id=_made(world.primary_ip).id if machine.public else None,
                firewalls=[_made(world.firewall).id] if machine.public else (),
                start_after_create=False,
            )
        except AlreadyExists:
            return self._adopt("server", await self.hetzner.list_servers(name=machine.name))
        except HetznerError:
            # After a lost answer the repeated call may also fail on what the first one took,
            # the public address for one.
            existing = await self.hetzner.get_server_by_name(machine.name)
            if existing is not None and is_ours(existing, self.desired.cluster):
                return existing
            raise
        try:
            await self.hetzner.wait(created.action_ids, timeout=ACTION_SECONDS)
        except HetznerError as error:
            # A create that failed after its 201 may leave a half-made server, which is billed.
            # One that only takes long may still succeed: the next run adopts it by name.
            if error.action_id is not None:
                await self.hetzner.delete_server(created.server.id)
            raise
        return created.server

    async def _attach(self, machine: Machine, world: Observed) -> domain.Server:
        server, network = _server(world, machine), _made(world.network)
        await self._wait(
            self.hetzner.attach_to_network(server.id, network.id, ip=machine.private_address)
        )
        attached = await self.hetzner.get_server(server.id)
        if attached is None:
            raise BootstrapError(
                f"{machine.name} vanished while it was attached", fix="run the command again"
            )
        return attached

    async def _wait(self, call: Awaitable[tuple[int, ...]]) -> None:
        await self.hetzner.wait(await call, timeout=ACTION_SECONDS)

    def _adopt(self, kind: str, found: Sequence[Made]) -> Made:
        """Return what a lost or repeated create call made, if it is ours."""
        cluster = self.desired.cluster
        for thing in found:
            if is_ours(thing, cluster):
                return thing
        raise BootstrapError(
            f"a {kind} of that name exists and does not belong to {cluster}",
            fix="rename one of the two, or use another project",
        )


def _made(thing: Answer | None) -> Answer:
    if thing is None:
        raise RuntimeError("a step ran before the one that makes what it needs")
    return thing


def _server(world: Observed, machine: Machine) -> domain.Server:
    return _made(world.bastion if machine.role == "bastion" else world.master)


def _with_server(world: Observed, machine: Machine, server: domain.Server) -> Observed:
    if machine.role == "bastion":
        return replace(world, bastion=server)
    return replace(world, master=server)
