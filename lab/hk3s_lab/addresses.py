"""Every address of the lab is one of 127.0.0.0/8, which Linux lets anyone bind.

A private address keeps its low 16 bits: 10.4.0.3 becomes 127.N.0.3, with an N of its own for each
/16 of each network. Public addresses are handed out from 127.M.0.0/16 as they are.
The second octets are taken under a file lock, so that two labs on one machine never meet.
"""

import fcntl
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from hk3s_lab.errors import LabError

_FIRST, _LAST = 16, 250
"""Second octets in use; low ones stay free for what else a machine binds (127.0.0.1, 127.0.1.1)."""


def runtime_directory() -> Path:
    """Return the directory for locks: $XDG_RUNTIME_DIR/hk3s-lab or /tmp/hk3s-lab-<uid>, 0700."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base, "hk3s-lab") if base else Path(f"/tmp/hk3s-lab-{os.getuid()}")  # noqa: S108 - owner and mode are checked
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = path.lstat()
    if facts.st_uid != os.getuid() or not path.is_dir() or path.is_symlink():
        raise LabError(f"{path} is not this user's directory", "set XDG_RUNTIME_DIR to one")
    return path


class Addresses:
    """The share of 127.0.0.0/8 that one lab holds until `close` or the end of its process."""

    def __init__(self, runtime: Path | None = None) -> None:
        self._runtime = runtime or runtime_directory()
        self._locks: list[int] = []
        self._octets: dict[tuple[int, int], int] = {}
        self._origins: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def private(self, network_id: int, address: str) -> str:
        """Return where a private address of a network is found on this machine."""
        number = int(ipaddress.IPv4Address(address))
        key = (network_id, number >> 16)
        octet = self._octets.get(key)
        if octet is None:
            octet = self._octets[key] = self._take()
            self._origins[octet] = key
        return str(ipaddress.IPv4Address(127 << 24 | octet << 16 | number & 0xFFFF))

    def origin(self, local: str) -> tuple[int, str] | None:
        """Return the network and private address behind a mapped one; None for any other."""
        number = int(ipaddress.IPv4Address(local))
        if number >> 24 != ipaddress.IPv4Address("127.0.0.1").packed[0]:
            return None
        origin = self._origins.get(number >> 16 & 0xFF)
        if origin is None:
            return None
        network_id, high = origin
        return network_id, str(ipaddress.IPv4Address(high << 16 | number & 0xFFFF))

    def range(self, network_id: int, network_range: str) -> str:
        """Return the mapped form of a private range of /16 or less, as a CIDR."""
        network = ipaddress.IPv4Network(network_range)
        base = self.private(network_id, str(network.network_address))
        return f"{base}/{network.prefixlen}"

    def public(self) -> Iterator[str]:
        """Yield public addresses, none twice."""
        octet = self._take()
        for low in range(1, 0xFFFF):
            if low & 0xFF not in {0, 0xFF}:
                yield str(ipaddress.IPv4Address(127 << 24 | octet << 16 | low))
        raise LabError("all public addresses of this lab were used", "start a new lab")

    def close(self) -> None:
        """Give all octets back."""
        while self._locks:
            os.close(self._locks.pop())
        self._octets.clear()
        self._origins.clear()

    def _take(self) -> int:
        for octet in range(_FIRST, _LAST + 1):
            lock = os.open(
                self._runtime / f"127.{octet}.lock",
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._locks.append(lock)
            return octet
        raise LabError("no free part of 127.0.0.0/8 is left", "stop another lab on this machine")
