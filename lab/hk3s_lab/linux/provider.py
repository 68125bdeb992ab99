"""Everything around Linux machines: images, networks, the Internet, and their end.

One provider serves one lab. It is told of the emulator's events and keeps networks, firewalls and
disks in step with them; booting and powering off is decided by the lab's `Machines`.
"""

import asyncio
import dataclasses
import importlib.metadata
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.errors import LabError
from hk3s_lab.hetzner.events import (
    FirewallsChanged,
    MachineFacts,
    NetworkRoutesChanged,
    ServerDeleted,
    ServerEvent,
)
from hk3s_lab.linux import fabric, internet, janitor, k3s, namespaces, needs, recipe, runtime
from hk3s_lab.linux.cgroups import Group
from hk3s_lab.linux.container import Container, Spec
from hk3s_lab.linux.fabric import Fabric, PrivateNetwork
from hk3s_lab.linux.images import Image, Images
from hk3s_lab.linux.internet import Releases, ReleaseSite
from hk3s_lab.linux.machine import LinuxMachine, Prepare
from hk3s_lab.linux.metadata import Metadata
from hk3s_lab.linux.namespaces import Network, OwnNetwork
from hk3s_lab.linux.runtime import Runtime
from hk3s_lab.machines.master import Binary
from hk3s_lab.machines.site import Hypervisor, Options, Site

log = structlog.get_logger()

NIC_NAMES = ("enp7s0", "ens10", "eth0")
"""What Hetzner's server types and images call the first private NIC."""
_ERASE_SECONDS, _POLL_SECONDS = 60.0, 0.1


class Provider(Prepare):
    """Start it before anything listens: it moves this process into namespaces of its own.

    `directory` gets the machines' disks (in memory) and logs. `temporary` is removed should the
    process be killed. `nic_names` may be filled by server name, `releases` changed at any time.
    """

    host = internet.API

    def __init__(
        self,
        *,
        directory: Path,
        clock: Clock,
        options: Options,
        progress: Callable[[str], None],
        temporary: Path | None = None,
    ) -> None:
        self._directory = directory / "linux"
        self._clock = clock
        self._options = options
        self._temporary = temporary
        self._progress = progress
        self._images = Images(progress, clock)
        self._shapes: dict[str, Image] = {}
        self._janitor = janitor.Janitor()
        self._group = janitor.group_name()
        self._runtime: Runtime | None = None
        self._site: ReleaseSite | None = None
        self._hypervisor: Hypervisor | None = None
        self._containers: dict[int, Container] = {}
        self._networks: asyncio.Queue[PrivateNetwork] = asyncio.Queue()
        self._events: asyncio.Queue[ServerEvent] = asyncio.Queue()
        self._following: asyncio.Task[None] | None = None
        self._metadata = Metadata(self._machines, self._style)
        self.fabric = Fabric(
            self._directory / "network",
            OwnNetwork(),
            internet.NAMES,
            internet.LAPTOP,
            Group(f"{self._group}/services"),
            clock,
            self._networks.put_nowait,
        )
        self.machines: dict[str, LinuxMachine] = {}
        """The latest boot of each server, by name."""
        self.nic_names: dict[str, str] = {}
        self.releases = Releases(content=b"")

    def public_addresses(self) -> Iterator[str]:
        """Yield the public addresses that the emulator hands out."""
        return iter(fabric.public_addresses())

    async def start(self, binary: Path) -> None:
        """Make the images, leave the host's namespaces and set up the Internet.

        Raises:
            LabError: this machine lacks what that needs.
        """
        await needs.check(self._progress)
        for name, shape in recipe.SHAPES.items():
            self._shapes[name] = await self._images.ensure(shape)
        await janitor.sweep()
        # It stays in the host's namespaces: from within, a mounted directory cannot be removed.
        await self._janitor.start(self._group, self._temporary)
        namespaces.isolate()
        namespaces.mount_tmpfs(self._directory)
        namespaces.hide_nspawn_folders()
        (self._directory / "network").mkdir()
        self._runtime = runtime.find(binary)
        self.releases.content = self._runtime.k3s()
        self._write_programs(self._runtime)
        await self.fabric.start()
        await self.fabric.add_internet_addresses(internet.ADDRESSES)
        authority = self._images.authority()
        self._site = ReleaseSite(self.releases, authority, self._clock.now())
        await self._site.start()
        await self._metadata.serve(OwnNetwork(), None)

    def attach(self, hypervisor: Hypervisor) -> None:
        """Take the hypervisor whose servers these machines are."""
        self._hypervisor = hypervisor
        self._following = asyncio.create_task(self._follow())

    def make(self, site: Site, facts: MachineFacts, binary: Binary) -> LinuxMachine:
        """Return a powered machine, as `Machines` wants it."""
        del site, binary
        machine = LinuxMachine(facts, self._clock, self)
        self.machines[facts.name] = machine
        return machine

    def handle(self, event: ServerEvent) -> None:
        """Take an event of the emulator."""
        self._events.put_nowait(event)

    def container_of(self, name: str) -> Container:
        """Return the container of a server by its name.

        Raises:
            LabError: there is none.
        """
        for facts in self._machines():
            if facts.name == name and facts.server_id in self._containers:
                return self._containers[facts.server_id]
        raise LabError(f"no machine {name} was booted")

    async def container(self, facts: MachineFacts) -> Container:
        """Return the server's container, with its disk."""
        known = self._containers.get(facts.server_id)
        if known is not None:
            return known
        if facts.image not in self._shapes:
            raise LabError(f"no Linux image stands for {facts.image}", "use a Debian or Ubuntu one")
        directory = self._directory / str(facts.server_id)
        directory.mkdir(mode=0o755)
        container = Container(
            Spec(
                name=facts.name,
                server_id=facts.server_id,
                image=self._shapes[facts.image],
                directory=directory / "machine",
                group=self._group,
                binds=self._binds(directory / "facts.json"),
            ),
            self._clock,
        )
        container.make_disk()
        self._containers[facts.server_id] = container
        return container

    async def connect(self, server_id: int, network: Network) -> None:
        """Plug the server's cables in, as the API says at this moment."""
        facts = self._facts(server_id)
        path = self._directory / str(server_id) / "facts.json"
        options = dataclasses.asdict(self._options) | {"images": self._programs()}
        path.write_text(k3s.dump_facts(facts, options), encoding="utf-8")
        await self.fabric.connect(facts, network, self._nic_name(facts))
        while not self._networks.empty():
            new = self._networks.get_nowait()
            await self._metadata.serve(new.network, new.network_id)
        await self._route(facts)

    async def disconnect(self, server_id: int) -> None:
        """Pull the server's cables; routes over it are lost."""
        await self.fabric.disconnect(server_id)

    async def stop(self) -> None:
        """End everything; machines must be off."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._metadata.stop()
        if self._site is not None:
            await self._site.stop()
        for container in self._containers.values():
            container.erase()
        self._containers.clear()
        await self.fabric.stop()
        await self._janitor.stop()
        if self._directory.is_mount():
            namespaces.unmount(self._directory)
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _follow(self) -> None:
        while True:
            event = await self._events.get()
            try:
                await self._react(event)
            except (LabError, OSError) as error:
                log.warning("provider.failed", change=type(event).__name__, error=str(error))

    async def _react(self, event: ServerEvent) -> None:
        match event:
            case FirewallsChanged():
                await self.fabric.follow(self._machines())
            case NetworkRoutesChanged(network_id=network_id) if self._hypervisor is not None:
                await self.fabric.route(network_id, self._hypervisor.routes(network_id))
            case ServerDeleted(server_id=server_id):
                await self._erase(server_id)
            case _:
                pass

    async def _erase(self, server_id: int) -> None:
        """Remove a deleted server's disk once its machine is off."""
        container = self._containers.pop(server_id, None)
        if container is None:
            return
        deadline = self._clock.monotonic() + _ERASE_SECONDS
        while not container.is_off and self._clock.monotonic() < deadline:
            await self._clock.sleep(_POLL_SECONDS)
        container.erase()
        shutil.rmtree(self._directory / str(server_id), ignore_errors=True)

    async def _route(self, facts: MachineFacts) -> None:
        if self._hypervisor is not None:
            for nic in facts.private:
                await self.fabric.route(nic.network_id, self._hypervisor.routes(nic.network_id))

    def _facts(self, server_id: int) -> MachineFacts:
        if self._hypervisor is None:
            raise LabError("the provider serves no emulator")
        return self._hypervisor.machine(server_id)

    def _machines(self) -> tuple[MachineFacts, ...]:
        return tuple(self._hypervisor.machines()) if self._hypervisor else ()

    def _nic_name(self, facts: MachineFacts) -> str:
        name = self.nic_names.get(facts.name, NIC_NAMES[facts.server_id % len(NIC_NAMES)])
        return NIC_NAMES[0] if name == "eth0" and facts.public_ipv4 else name

    def _style(self, facts: MachineFacts) -> tuple[str, bool]:
        """Return the NIC's name and whether cloud-init is told of it, as on newer images."""
        image = self._shapes.get(facts.image)
        return self._nic_name(facts), image is None or image.shape.stack == "netplan"

    def _binds(self, facts_file: Path) -> Mapping[Path, str]:
        if self._runtime is None:
            raise LabError("the provider is not started")
        programs = self._directory / "programs"
        return {
            **self._runtime.binds,
            facts_file: runtime.FACTS,
            **{path: f"{runtime.BASE}/programs/{path.name}" for path in programs.iterdir()},
        }

    def _write_programs(self, lent: Runtime) -> None:
        """Make the programs of pods that are real processes runnable inside of machines."""
        directory = self._directory / "programs"
        directory.mkdir(mode=0o755)
        directory.chmod(0o755)
        scripts = importlib.metadata.entry_points(group="console_scripts")
        for argv in self._options.images.values():
            name = Path(argv[0]).name
            for script in scripts.select(name=name):
                path = directory / name
                path.write_text(lent.program(script.module, call=script.attr), encoding="utf-8")
                path.chmod(0o755)

    def _programs(self) -> dict[str, tuple[str, ...]]:
        return {
            image: (f"{runtime.BASE}/programs/{Path(argv[0]).name}", *argv[1:])
            for image, argv in self._options.images.items()
        }
