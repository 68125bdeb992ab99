"""Namespaces: this process leaves the host's network and mounts; machines get networks too.

What is made here lives in the private mount namespace of this process, so the kernel removes all
of it with the last process in there, however that one ends.
"""

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hk3s_lab.errors import LabError
from hk3s_lab.linux import shell

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class _Isolation:
    done = False


def isolate() -> None:
    """Move this process into namespaces of its own; a second call does nothing.

    Other threads that already run stay behind, so it comes first. From then on the process's own
    network is the lab's Internet, in which nothing but loopback exists.
    """
    if _Isolation.done:
        return
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
    _Isolation.done = True


def mount_tmpfs(path: Path) -> None:
    """Mount an empty file system in memory."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = b"mode=0755,size=8g"
    _check(_libc.mount(b"hk3s-lab", bytes(path), b"tmpfs", 0, options), f"mount {path}")


def hide_nspawn_folders() -> None:
    """Keep the folders that nspawn leaves in /run from the host's own /run."""
    path = Path("/run/systemd/nspawn")
    if path.is_dir():
        mount_tmpfs(path)


def mount_overlay(layers: tuple[Path, ...], upper: Path, work: Path, target: Path) -> None:
    """Mount a writable layer above read-only ones, the uppermost of which comes first."""
    lower = ":".join(str(layer) for layer in layers)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}".encode()
    _check(_libc.mount(b"hk3s-lab", bytes(target), b"overlay", 0, options), f"mount {target}")


def unmount(path: Path) -> None:
    """Unmount, detached: whoever still uses it keeps it until the end."""
    detach = 2
    _check(_libc.umount2(bytes(path), detach), f"umount {path}")


class Network:
    """A network namespace, kept by a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def create(self) -> None:
        """Make it, with loopback up."""
        self.path.touch(mode=0o600)
        await shell.run("unshare", f"--net={self.path}", "ip", "link", "set", "lo", "up")

    def remove(self) -> None:
        """Let it go; its devices vanish once no process is in it. One that is gone is fine."""
        with contextlib.suppress(OSError):
            unmount(self.path)
        self.path.unlink(missing_ok=True)

    def inside(self, *argv: str) -> tuple[str, ...]:
        """Return the command that runs `argv` in this network."""
        return ("nsenter", f"--net={self.path}", "--", *argv)

    async def ip(self, *lines: str, force: bool = False) -> None:
        """Hand lines to the tool of this name, in this network; `force` skips those that fail."""
        flags = ("-force",) if force else ()
        await _batch(self.inside("ip", *flags, "-batch", "-"), lines, force=force)

    async def nft(self, rules: str) -> None:
        """Load nftables rules in it, as one transaction."""
        await shell.run(*self.inside("nft", "-f", "-"), stdin=rules)

    async def configure(self, **values: int) -> None:
        """Change kernel settings below `net`; a `__` in a name stands for a dot."""
        settings = [f"net.{name.replace('__', '.')}={value}" for name, value in values.items()]
        await shell.run(*self.inside("sysctl", "-q", "-w", *settings))

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a TCP socket that listens in it."""
        return _in_network(self.path, lambda: _listener(address, port))


class OwnNetwork(Network):
    """The network of this process after `isolate`: the lab's Internet."""

    def __init__(self) -> None:
        super().__init__(Path("/proc/self/ns/net"))

    async def create(self) -> None:
        """Set loopback up; the namespace is there."""
        await shell.run("ip", "link", "set", "lo", "up")

    def remove(self) -> None:
        """Nothing: it goes with the process."""

    def inside(self, *argv: str) -> tuple[str, ...]:
        """Return the command unchanged."""
        return argv

    def listen(self, address: str, port: int) -> socket.socket:
        """Return a TCP socket that listens here."""
        return _listener(address, port)


async def _batch(argv: tuple[str, ...], lines: tuple[str, ...], *, force: bool) -> None:
    status, _, said = await shell.attempt(*argv, stdin="\n".join(lines) + "\n")
    if status != 0 and not force:
        raise LabError(f"ip failed: {said.strip()}")


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _in_network(path: Path, work: Callable[[], T]) -> T:
    """Do something in another network: in a thread of its own, which ends there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with path.open() as file:
                _check(_libc.setns(file.fileno(), _CLONE_NEWNET), f"setns {path}")
            results.append(work())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
