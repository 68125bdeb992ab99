"""What keeps a server from being a Node: its own report (docs/contract.md, "Steps").

The status port answers the masters' subnet, in which the bastion is; so ssh on the bastion forwards
to it, and nothing has to be let in from outside. What answers there is the server's own word: it is
cut to length and shown, nothing more.
"""

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed
from hk3s_cloudinit.node import STATUS_PORT
from hk3s_hetzner import domain

_SECONDS = 30.0
_LONGEST = 64 * 1024
_REQUEST = b"GET /status HTTP/1.0\r\n\r\n"
_REFUSED = "Connection refused"
_NOT_FORWARDED = "open failed"
"""What OpenSSH says when the bastion is there, but cannot reach what it should forward to."""

MEANINGS = {
    "bad-user-data": "delete the server: it cannot be told anything new",
    "no-private-nic": "the server is not attached to the network, or was powered on before it was",
    "no-lease": "Hetzner's DHCP does not answer on the private network; it is asked again",
    "no-route": "something on the server changes its routes; the step is tried again",
    "no-dns": "something on the server changes its resolvers; the step is tried again",
    "ssh-failed": "sshd does not accept its configuration; look at `journalctl -u ssh` there",
    "nat-failed": "the bastion's rules do not load; look at `journalctl -u hk3s-node` there",
    "no-egress": "no way to the Internet: is the bastion up, does the network's route 0.0.0.0/0"
    " lead to it, is the host of k3s's artifacts up?",
    "download-failed": "the host of k3s's artifacts does not have this version",
    "checksum-mismatch": "what was downloaded is not what the checksum is for: a proxy on the way,"
    " or a wrong checksum; it is downloaded again",
    "api-unreachable": "the master does not answer on its private address: is it Ready?",
    "ca-hash-mismatch": "the API has another CA than the server was told of: delete the server",
    "token-rejected": "its join token expired or was deleted: delete the server",
    "name-taken": "a Node of this name belongs to another machine: delete that Node",
    "label-forbidden": "k3s refuses a label of its pool; correct the NodePool",
    "bad-config": "this version of k3s does not know a flag; correct the version",
    "k3s-failed": "k3s starts and stops; look at `journalctl -u k3s -u k3s-agent` there",
}
"""Error of the contract -> what it usually means, or what to do."""

_SILENT = (
    "no lease or no route on its private NIC, or it never booted; the console in Hetzner's"
    " web interface shows which"
)
_CLOSED = "it has been Ready for more than ten minutes, or has only just booted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Where a server is on its way; step `unreachable` when it could not be asked."""

    server: str
    step: str
    state: str
    error: str | None
    message: str
    attempt: int
    meaning: str

    def json(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)

    def text(self) -> str:
        """Return it for people."""
        where = f"{self.server}: step {self.step}, {self.state}"
        if self.step == "unreachable":
            where = f"{self.server}: unreachable"
        said = f": {self.error}" if self.error else ""
        lines = [f"{where}{said}"]
        if self.message:
            lines.append(f"  {self.message}" + (f" (attempt {self.attempt})" if said else ""))
        if self.meaning:
            lines.append(f"  usually: {self.meaning}")
        return "\n".join(lines)


async def ask(config_file: Path, world: Observed, name: str) -> Why:
    """Ask a server, through the bastion.

    Raises:
        BootstrapError: ssh does not get into the bastion.
    """
    server = next(one for one in world.servers if one.name == name)
    address = server.private_ip(world.network.id) if world.network else None
    if server.status != "running":
        return _unreachable(server, f"the server is {server.status}", "power it on, or delete it")
    if address is None or world.bastion is None:
        return _unreachable(server, "it is not attached to the network", MEANINGS["no-private-nic"])
    forward = ("-o", "ConnectTimeout=10", "-W", f"{address}:{STATUS_PORT}", world.bastion.name)
    status, answer, said = await _run("ssh", "-F", str(config_file), *forward)
    if status == 0:
        return _read(server, answer)
    if _REFUSED in said and _NOT_FORWARDED in said:
        return _unreachable(server, "its status port is closed", _CLOSED)
    if _NOT_FORWARDED in said:
        return _unreachable(server, "no answer on its private address", _SILENT)
    raise BootstrapError(
        f"ssh does not get into {world.bastion.name}: {said.strip()[-200:]}",
        fix=f"see that `hk3s-bootstrap ssh {world.bastion.name}` works",
    )


def _read(server: domain.Server, answer: bytes) -> Why:
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        values = json.loads(body) if b" 200 " in head.split(b"\r\n")[0] else None
        if not isinstance(values, dict) or values["name"] != server.name:
            return _unreachable(server, "something else answers on its address", "")
        error = None if values["error"] is None else str(values["error"])[:64]
        return Why(
            server=server.name,
            step=str(values["step"])[:32],
            state=str(values["state"])[:32],
            error=error,
            message=_plain(str(values["message"] or ""))[:256],
            attempt=int(values["attempt"]),
            meaning=MEANINGS.get(error or "", ""),
        )
    except (ValueError, KeyError, TypeError):
        return _unreachable(server, "its answer is no report", "")


def _plain(text: str) -> str:
    """Return a text without what could move a terminal's cursor."""
    return "".join(char for char in text if char.isprintable())


def _unreachable(server: domain.Server, message: str, meaning: str) -> Why:
    return Why(
        server=server.name,
        step="unreachable",
        state="failed",
        error=None,
        message=message,
        attempt=0,
        meaning=meaning,
    )


async def _run(*argv: str) -> tuple[int, bytes, str]:
    """Send the request through ssh; questions that ssh has go to the terminal, not to us."""
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise BootstrapError("there is no ssh program", fix="install an OpenSSH client") from None
    try:
        async with asyncio.timeout(_SECONDS):
            answer, said = await child.communicate(_REQUEST)
    except TimeoutError:
        return 1, b"", f"{_NOT_FORWARDED}: no answer within {_SECONDS:.0f} s"
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode or 0, answer[:_LONGEST], said.decode(errors="replace")
