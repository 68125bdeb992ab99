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
        self._macs: dict[str, list[str]] = {}

    async def start(self) -> None:
        """Start it; it dies with this process."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        hosts = self._directory / "hosts"
        hosts.touch()
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
        """Give each MAC its address.

        Earlier MACs of an address stay beside the present one: only then does dnsmasq give up
        the lease of a server that is gone for its successor.
        """
        for mac, address in hosts.items():
            for known in self._macs.values():
                if mac in known:
                    known.remove(mac)
            self._macs.setdefault(address, []).append(mac)
        text = "".join(
            f"{','.join(self._macs[address])},{address}\n" for address in sorted(hosts.values())
        )
        (self._directory / "hosts").write_text(text, encoding="utf-8")
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGHUP)

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
