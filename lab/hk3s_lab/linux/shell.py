"""Short commands of the system's own tools, and how their failures are told."""

import asyncio
import shutil
from collections.abc import Iterable

from hk3s_lab.errors import LabError

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "dnsmasq": "dnsmasq-base",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "sysctl": "procps",
}
"""Program -> the Debian package that has it."""

_LAST = 600


async def run(*argv: str, stdin: str | None = None, seconds: float = 60.0) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        LabError: it failed or took too long; the text ends with what it said.
    """
    status, output, said = await attempt(*argv, stdin=stdin, seconds=seconds)
    if status != 0:
        raise LabError(f"{' '.join(argv[:6])} failed with {status}: {said.strip()[-_LAST:]}")
    return output


async def attempt(
    *argv: str, stdin: str | None = None, seconds: float = 60.0
) -> tuple[int, str, str]:
    """Run a command; return its status and both outputs. One that takes too long is killed."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            output, said = await child.communicate(None if stdin is None else stdin.encode())
    except TimeoutError as error:
        raise LabError(f"{' '.join(argv[:6])} did not end within {seconds:.0f} s") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode or 0, output.decode(errors="replace"), said.decode(errors="replace")


def missing_packages(programs: Iterable[str] = PACKAGES) -> tuple[str, ...]:
    """Return the Debian packages that this machine lacks."""
    return tuple(sorted({PACKAGES[one] for one in programs if shutil.which(one) is None}))
