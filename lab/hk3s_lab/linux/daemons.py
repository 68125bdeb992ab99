"""Helper programs beside the machines: dnsmasq for DHCP and names."""

import asyncio
import contextlib
import re
import signal
from collections import Counter
from pathlib import Path

from hk3s_lab.clock import Clock
from hk3s_lab.errors import LabError
from hk3s_lab.linux.cgroups import Group
from hk3s_lab.linux.namespaces import Network

_POLL_SECONDS = 0.02
_ACK = re.compile(r"DHCPACK\(\S+\) (\S+) ")


class Dnsmasq:
    """One dnsmasq in one network, with hosts that may be changed while it runs."""

    def __init__(
        self,
        network: Network,
        directory: Path,
        settings: tuple[str, ...],
        *,
        group: Group,
        clock: Clock,
    ) -> None:
        self._group = group
        self._clock = clock
        self._network = network
        self._directory = directory
        self._settings = settings
        self._child: asyncio.subprocess.Process | None = None
        self._switching = asyncio.Lock()

    async def start(self) -> None:
        """Start it; it dies with this process."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        hosts = self._directory / "hosts"
        hosts.touch()
        (self._directory / "pid").unlink(missing_ok=True)
        config = self._directory / "dnsmasq.conf"
        lines = (
            "keep-in-foreground",
            "user=root",
            "group=root",  # another one would make the kernel forget to end it with this process
            f"pid-file={self._directory / 'pid'}",
            "no-resolv",
            "no-hosts",
            "no-ping",
            "bind-dynamic",
            f"dhcp-leasefile={self._directory / 'leases'}",
            f"dhcp-hostsfile={hosts}",
            f"log-facility={self._directory / 'log'}",
            "log-dhcp",
            *self._settings,
        )
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = self._network.inside("dnsmasq", f"--conf-file={config}")
        self._child = await asyncio.create_subprocess_exec(
            *self._group.joined(),
            "setpriv",
            "--pdeathsig",
            "KILL",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
        )
        # A SIGHUP before it is ready would end it.
        while not (self._directory / "pid").exists():
            if self._child.returncode is not None:
                raise LabError("dnsmasq ended", f"see {self._directory / 'log'}")
            await self._clock.sleep(_POLL_SECONDS)

    def set_hosts(self, hosts: dict[str, str]) -> None:
        """Give each MAC its address."""
        text = "".join(f"{mac},{address}\n" for mac, address in sorted(hosts.items()))
        (self._directory / "hosts").write_text(text, encoding="utf-8")
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGHUP)

    async def forget(self, address: str) -> None:
        """Free an address whose server is gone; dnsmasq would keep it until the lease ends."""
        leases = self._directory / "leases"
        async with self._switching:
            lines = leases.read_text().splitlines() if leases.exists() else []
            kept = [line for line in lines if line.split()[2:3] != [address]]
            if kept != lines and self._child is not None:
                await self.stop()
                leases.write_text("".join(f"{line}\n" for line in kept))
                await self.start()

    def leases_given(self) -> Counter[str]:
        """Return how often each address was leased or its lease renewed."""
        log = self._directory / "log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return Counter(_ACK.findall(text))

    async def stop(self) -> None:
        """End it."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()
            self._child = None
