"""Ways in with the system's `ssh`: through the bastion, to hosts that the cluster's CA vouches for.

Nothing is learnt on first use: host keys are certified under the servers' names, those of workers
that the daemon makes later included, so one line of known_hosts covers all of them.
"""

from collections.abc import Sequence
from pathlib import Path

from hk3s_bootstrap import files
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed
from hk3s_bootstrap.state import State
from hk3s_cloudinit import minting
from hk3s_hetzner import names

CONFIG, KNOWN_HOSTS = "ssh_config", "known_hosts"
API_PORT = 6443


def known_hosts(cluster: str, state: State) -> str:
    """Return the file that trusts the cluster's host CA, for the cluster's names only."""
    return minting.known_hosts_line(state.ssh_host_ca.public, f"{cluster}-*") + "\n"


def config(world: Observed, directory: Path) -> str:
    """Return an ssh_config for every server; what a user configured beside it stays in force.

    Raises:
        BootstrapError: there is no network or no bastion to go through.
    """
    if world.network is None or world.bastion is None or world.bastion.public_ipv4 is None:
        raise BootstrapError(
            "there is no bastion to go through", fix="run `hk3s-bootstrap create` first"
        )
    blocks = [_host(world.bastion.name, world.bastion.public_ipv4)]
    for server in world.servers:
        address = server.private_ip(world.network.id)
        if server is not world.bastion and address is not None:
            blocks.append(_host(server.name, address, f"ProxyJump {world.bastion.name}"))
    everywhere = (
        "Host *",
        "User root",
        f'UserKnownHostsFile "{directory / KNOWN_HOSTS}"',
        "StrictHostKeyChecking yes",
        "Include ~/.ssh/config",
    )
    return "\n\n".join([*blocks, "\n  ".join(everywhere)]) + "\n"


def _host(name: str, address: str, *more: str) -> str:
    # The address may be another machine's tomorrow; the name is what the certificate is for.
    return "\n  ".join((f"Host {name}", f"HostName {address}", f"HostKeyAlias {name}", *more))


def write(directory: Path, cluster: str, state: State, world: Observed) -> Path:
    """Write both files into the state directory and return the path of the ssh_config.

    Raises:
        BootstrapError: no bastion, or a place that cannot be written.
    """
    text = config(world, directory.absolute())
    try:
        files.write_private(directory / KNOWN_HOSTS, known_hosts(cluster, state).encode())
        files.write_private(directory / CONFIG, text.encode())
    except OSError as error:
        raise BootstrapError(
            f"{directory} cannot be written: {error.strerror}", fix="name another --state-dir"
        ) from error
    return directory / CONFIG


def find(world: Observed, cluster: str, wanted: str) -> str:
    """Return the full name of a server: `bastion`, `master` and short names will do.

    Raises:
        BootstrapError: no such server.
    """
    short = {"master": names.master(cluster), "bastion": names.bastion(cluster)}
    known = [server.name for server in world.servers]
    for name in (wanted, short.get(wanted), f"{cluster}-{wanted}"):
        if name in known:
            return str(name)
    raise BootstrapError(
        f"{cluster} has no server {wanted!r}", fix=f"choose from {', '.join(known) or 'none'}"
    )


def shell(config_file: Path, server: str, command: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that open a shell on a server, or run a command there."""
    return ("ssh", "-F", str(config_file), server, *command)


def tunnel(config_file: Path, bastion: str, master_address: str, port: int) -> tuple[str, ...]:
    """Return the arguments that forward a local port to the API, through SSH on the bastion."""
    forward = f"127.0.0.1:{port}:{master_address}:{API_PORT}"
    # Fail at once when the port is taken, notice a dead bastion within a minute.
    options = ("-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=20")
    return ("ssh", "-F", str(config_file), "-N", *options, "-L", forward, bastion)
