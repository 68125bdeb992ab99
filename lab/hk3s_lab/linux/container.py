"""One Debian in a container: its disk, its boot, its end.

nspawn runs in a process namespace of its own whose first process dies with the lab, so the kernel
ends all of a machine when the lab is killed. Flags and traps: docs/linux-lab.md.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hk3s_lab.clock import Clock
from hk3s_lab.errors import LabError
from hk3s_lab.linux import shell
from hk3s_lab.linux.cgroups import Group
from hk3s_lab.linux.images import Image
from hk3s_lab.linux.namespaces import Network, mount_overlay, unmount

log = structlog.get_logger()

REBOOT = 133
"""nspawn's exit status when the machine wants to boot again."""
_POWER_OFF = signal.SIGRTMIN + 4
_STOP_SECONDS = 30.0
_LAST = 2000
"""Characters of the console that are logged when a machine fails to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a machine is made of. `binds` maps paths of the host to paths of the machine."""

    name: str
    server_id: int
    image: Image
    directory: Path
    group: str
    binds: Mapping[Path, str] = field(default_factory=dict)


class Container:
    """A machine that can be booted, entered, powered off and erased; not two at a time."""

    def __init__(self, spec: Spec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._child: asyncio.subprocess.Process | None = None
        self._group = Group(f"{spec.group}/{spec.server_id}")
        self.root = spec.directory / "root"
        self.network = Network(spec.directory / "ns")
        self.console = spec.directory / "console.log"

    def make_disk(self) -> None:
        """Make the disk, unless it is there from an earlier boot."""
        if self.root.exists():
            return
        spec = self._spec
        for name in ("root", "upper", "work"):
            (spec.directory / name).mkdir(parents=True)
            (spec.directory / name).chmod(0o755)
        identity = spec.directory / "upper/usr/lib/lab/class/dmi/id"
        identity.mkdir(parents=True)
        for directory in (identity, *identity.parents[:6]):
            directory.chmod(0o755)
        (identity / "product_serial").write_text(f"{spec.server_id}\n")
        (identity / "sys_vendor").write_text("Hetzner\n")
        mount_overlay(
            spec.image.layers, spec.directory / "upper", spec.directory / "work", self.root
        )

    async def run(self, connect: Callable[[Network], Awaitable[None]]) -> None:
        """Boot, and boot again when the machine reboots; return when it is powered off.

        `connect` plugs the cables in before each boot. Cancelled, the power is cut.
        """
        try:
            while True:
                self._group.create()
                if self.network.path.exists():
                    self.network.remove()
                await self.network.create()
                await connect(self.network)
                status = await self._boot()
                if status not in {0, REBOOT}:
                    # Never the machine's own doing: its end is a power-off or a reboot.
                    last = self.console.read_text(errors="replace")[-_LAST:]
                    log.error("container.failed", machine=self._spec.name, status=status, last=last)
                if status != REBOOT:
                    return
        finally:
            await self._cut()

    async def power_off(self) -> None:
        """Ask the machine to shut down and wait until it has; then cut the power."""
        leader = self._group.leader()
        if self._child is not None and leader is not None:
            os.kill(leader, _POWER_OFF)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._child.wait()

    def erase(self) -> None:
        """Remove the disk of a machine that is off."""
        if self.root.exists():
            unmount(self.root)
        shutil.rmtree(self._spec.directory, ignore_errors=True)

    @property
    def group(self) -> str:
        """The name of the machine's control group."""
        return self._group.name

    @property
    def is_off(self) -> bool:
        """Whether nothing of the machine runs."""
        return self._child is None

    @property
    def leader(self) -> int | None:
        """Process id of the machine's init, None while it is off."""
        return self._group.leader()

    def read(self, path: str) -> str | None:
        """Return a file's content as the machine sees it, None when there is none."""
        leader = self._group.leader()
        if leader is None:
            return None
        try:
            return Path(f"/proc/{leader}/root{path}").read_text(encoding="utf-8")
        except OSError:
            return None

    async def execute(self, *argv: str, seconds: float = 60.0) -> tuple[int, str]:
        """Run a command in the machine as root; return its status and both outputs.

        Raises:
            LabError: the machine is off, or the command took too long.
        """
        leader = self._group.leader()
        if leader is None:
            raise LabError(f"{self._spec.name} is off")
        command = ("nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "--", *argv)
        status, output, said = await shell.attempt(*command, seconds=seconds)
        return status, output + said

    async def _boot(self) -> int:
        spec = self._spec
        binds = [f"--bind-ro={host}:{inside}" for host, inside in spec.binds.items()]
        command = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--capability=CAP_NET_ADMIN",
            f"--machine={spec.name}",
            f"--directory={self.root}",
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            *binds,
        ]
        log_file = os.open(self.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._child = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "KILL", *self._group.joined()),
                *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *self.network.inside(*command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            )
        finally:
            os.close(log_file)
        return await self._child.wait()

    async def _cut(self) -> None:
        await self._group.kill(self._clock)
        if self._child is not None:
            await self._child.wait()
            self._child = None
        if self.network.path.exists():
            self.network.remove()
