"""The way back in when the local state is lost: what k3s wrote on the master, through SSH."""

import asyncio
import base64
from typing import Any

import yaml

from hk3s_bootstrap import ssh
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.kubeconfig import API_PORT
from hk3s_bootstrap.observed import Observed
from hk3s_bootstrap.session import Session
from hk3s_cloudinit import minting
from hk3s_hetzner import labels

REMOTE = "/etc/rancher/k3s/k3s.yaml"
_FIX = "see that `ssh -J root@BASTION root@MASTER` works with one of the keys of cluster.yaml"


async def kubeconfig(session: Session, world: Observed) -> str:
    """Return k3s's own kubeconfig, pointed at the bastion. It is a secret.

    Without the state nothing vouches for the hosts' keys, so ssh asks about them; the CA that comes
    back must be the one whose fingerprint the servers carry as a label.

    Raises:
        BootstrapError: no way in, or another cluster at its end.
    """
    text = await _fetch(_command(session, world))
    try:
        values: Any = yaml.safe_load(text)
        server, user = values["clusters"][0]["cluster"], values["users"][0]["user"]
        authority = base64.b64decode(server["certificate-authority-data"])
        certificate = base64.b64decode(user["client-certificate-data"])
        key = base64.b64decode(user["client-key-data"])
        fingerprint = minting.ca_hash(authority)[: labels.CA_DIGITS]
    except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
        # From None: these errors quote what they could not read.
        raise BootstrapError(
            f"what the master has at {REMOTE} is no kubeconfig", fix="is k3s installed there?"
        ) from None
    if world.master is None or world.master.labels.get(labels.CA) != fingerprint:
        raise BootstrapError(
            "the kubeconfig that came is of another cluster: it was not taken",
            fix="somebody else may be at the master's address: compare the host keys",
            code="foreign-cluster",
        )
    address = world.primary_ip.ip if world.primary_ip is not None else ""
    url = f"https://{address}:{API_PORT}"
    return minting.render_kubeconfig(session.config.cluster, url, authority, certificate, key)


def _command(session: Session, world: Observed) -> tuple[str, ...]:
    if world.bastion is None or world.master is None or world.primary_ip is None:
        raise BootstrapError(
            "there is no bastion or no master to ask", fix="run `hk3s-bootstrap status`"
        )
    known = session.load_state()
    if known is not None:
        file = ssh.write(session.state_directory, session.config.cluster, known, world)
        return ssh.shell(file, world.master.name, ("cat", REMOTE))
    jump, master = world.primary_ip.ip, session.config.network.master_address
    return ("ssh", "-J", f"root@{jump}", f"root@{master}", "cat", REMOTE)


async def _fetch(argv: tuple[str, ...]) -> bytes:
    """Run it; questions that ssh has, and what it complains of, go to the terminal."""
    try:
        child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    except FileNotFoundError:
        raise BootstrapError("there is no ssh program", fix="install an OpenSSH client") from None
    answer, _ = await child.communicate()
    if child.returncode:
        raise BootstrapError(f"ssh ended with {child.returncode}", fix=_FIX, code="ssh")
    return answer
