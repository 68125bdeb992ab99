"""A whole cloud on one machine: the Hetzner API, the machines behind it, and a way in."""

import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import structlog

from hk3s_lab.addresses import Addresses
from hk3s_lab.clock import Clock, RealClock
from hk3s_lab.errors import LabError
from hk3s_lab.hetzner.emulator import Emulator, Stock
from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.linux.provider import Provider
from hk3s_lab.machines.machine import Machine
from hk3s_lab.machines.manager import Machines, MachineView
from hk3s_lab.machines.site import Options, Site
from hk3s_lab.proxy import Proxy

log = structlog.get_logger()

IMAGES: Mapping[str, str] = {"ghcr.io/hk3s/hk3s": "hk3s-autoscaler"}
"""Image name without tag -> the program of this Python environment that it holds."""

_TOKEN_BYTES = 32
PROJECT = "lab"

MachineKind = Literal["virtual", "linux"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabOptions:
    """What a lab is like.

    `speed` divides the durations of Hetzner's actions, `machines.speed` those of machines.
    `images` adds to the image table: name without tag -> argv prefix.
    `kind`: `virtual` machines act their user-data out, `linux` ones boot with it (needs root, and
    takes this process out of the host's network).
    """

    seed: int = 0
    speed: float = 1.0
    port: int = 0
    stock: Stock = "all"
    stock_overrides: Mapping[str, bool] = field(default_factory=dict)
    kind: MachineKind = "virtual"
    machines: Options = field(default_factory=Options)
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class LabCloud:
    """Start it, use `environment`, stop it; use as an async context manager.

    `directory` holds the machines' disks and logs; a temporary one is removed at the end.
    """

    def __init__(
        self,
        options: LabOptions | None = None,
        *,
        directory: Path | None = None,
        clock: Clock | None = None,
        progress: Callable[[str], None] = lambda line: log.info("lab.progress", line=line),
    ) -> None:
        self._options = options or LabOptions()
        self._keep = directory is not None
        self._clock = clock or RealClock()
        self._progress = progress
        self._binary: asyncio.Task[Path] | None = None
        self._addresses: Addresses | None = None
        self._emulator: Emulator | None = None
        self._machines: Machines | None = None
        self._proxy: Proxy | None = None
        self.linux: Provider | None = None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="hk3s-lab-"))
        self.token = secrets.token_hex(_TOKEN_BYTES)
        self.endpoint = ""
        self.proxy_url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def machines(self) -> tuple[MachineView, ...]:
        """Every powered machine with its step and what holds it up."""
        return self._machines.views() if self._machines else ()

    @property
    def servers(self) -> tuple[MachineFacts, ...]:
        """Every server that is not deleted, as its hypervisor knows it."""
        return self._emulator.machines() if self._emulator else ()

    @property
    def environment(self) -> dict[str, str]:
        """What a user of the lab sets: HCLOUD_ENDPOINT, HCLOUD_TOKEN, HTTP_PROXY, NO_PROXY.

        With Linux machines there is no proxy: this process is in their Internet.
        """
        hetzner = {"HCLOUD_ENDPOINT": self.endpoint, "HCLOUD_TOKEN": self.token}
        if self._options.kind == "linux":
            return hetzner
        return {
            **hetzner,
            "HTTP_PROXY": self.proxy_url,
            "NO_PROXY": "localhost,127.0.0.1,127.0.0.0/8",
        }

    def admin_kubeconfig(self) -> Path:
        """Return an admin kubeconfig of the one master that runs, for looking behind the scenes.

        Raises:
            LabError: no master runs, or several do.
        """
        masters = self._machines.masters() if self._machines else ()
        planes = [one.master.plane for one in masters if one.master and one.master.plane]
        if len(planes) != 1:
            raise LabError(f"{len(planes)} masters run", "create one cluster first")
        return planes[0].admin_kubeconfig

    async def start(self) -> None:
        """Open the API; machines boot as they are bought. A failed start leaves nothing behind."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut the power of everything and give all addresses back."""
        if self._binary is not None:
            self._binary.cancel()
            await asyncio.gather(self._binary, return_exceptions=True)
        if self._machines is not None:
            await self._machines.stop()
        if self.linux is not None:
            await self.linux.stop()
        if self._proxy is not None:
            await self._proxy.stop()
        if self._emulator is not None:
            await self._emulator.stop()
        if self._addresses is not None:
            self._addresses.close()
        self._machines = self._proxy = self._emulator = self._addresses = self._binary = None
        self.linux = None
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _start(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = self._options
        # Built or found while the first servers are being ordered.
        self._binary = asyncio.create_task(ensure_binary(self._progress, clock=self._clock))
        machines = replace(options.machines, images=self._images())
        if options.kind == "linux":
            await self._start_linux(machines)
        self._addresses = Addresses()
        linux = self.linux
        self._emulator = Emulator(
            clock=self._clock,
            seed=options.seed,
            speed=options.speed,
            stock=options.stock,
            stock_overrides=options.stock_overrides,
            public_addresses=linux.public_addresses() if linux else self._addresses.public(),
            tokens={self.token: PROJECT},
        )
        site = Site(
            hypervisor=self._emulator,
            addresses=self._addresses,
            clock=self._clock,
            directory=self.directory,
            options=machines,
        )
        make = linux.make if linux else Machine
        self._machines = Machines(site, self._find_binary, make)
        self._emulator.subscribe(self._machines.handle)
        if linux:
            linux.attach(self._emulator)
            self._emulator.subscribe(linux.handle)
        self._proxy = Proxy(site.resolve)
        await self._proxy.start("127.0.0.1")
        self.proxy_url = self._proxy.url
        host = linux.host if linux else "127.0.0.1"
        self.endpoint = await self._emulator.start(host, options.port)
        log.info("lab.started", endpoint=self.endpoint, directory=str(self.directory))

    async def _start_linux(self, machines: Options) -> None:
        linux = Provider(
            directory=self.directory,
            clock=self._clock,
            options=machines,
            progress=self._progress,
            temporary=None if self._keep else self.directory,
        )
        # Whatever is fetched from the real Internet comes before the leave from it.
        binary = await self._find_binary()
        await linux.start(binary)
        self.linux = linux

    async def _find_binary(self) -> Path:
        if self._binary is None:
            raise LabError("the lab is stopped", "start it")
        return await asyncio.shield(self._binary)

    def _images(self) -> dict[str, tuple[str, ...]]:
        programs = Path(sys.executable).parent
        own = {image: (str(programs / program),) for image, program in IMAGES.items()}
        return {**own, **self._options.images}
