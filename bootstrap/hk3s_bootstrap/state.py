"""The local state directory of one cluster: what must not be lost, and must exist before servers.

Written and fsynced before the first call that writes, so that a server's CA is never one that
nobody has. Nothing here is ever minted anew while servers exist.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hk3s_bootstrap import files
from hk3s_bootstrap.failures import BootstrapError
from hk3s_cloudinit import minting

VERSION = "1"


class StateError(BootstrapError):
    """The directory cannot be used; the text says why."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, fix="restore the directory, or name another with --state-dir", code="state"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The secrets that a cluster is born with. `ssh_host_ca` certifies its servers' host keys."""

    pki: minting.ClusterPki
    token: str = field(repr=False)
    ssh_host_ca: minting.SshKeyPair = field(repr=False)

    @property
    def ca_hash(self) -> str:
        """64 hex digits: how servers and join tokens name the cluster's CA."""
        return minting.ca_hash(self.pki.server_ca.certificate)


def default_directory(cluster: str, environment: dict[str, str]) -> Path:
    """Return where a cluster's state is kept unless `--state-dir` says otherwise."""
    home = environment.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(home) / "hk3s" / cluster


def mint(now: datetime, random_bytes: Callable[[int], bytes]) -> State:
    """Return the secrets of a new cluster."""
    return State(
        pki=minting.mint_cluster_pki(now),
        token=minting.server_token(random_bytes),
        ssh_host_ca=minting.mint_ssh_host_ca(),
    )


def load(directory: Path) -> State | None:
    """Return what is stored, `None` when nothing is.

    A directory without its VERSION file was never finished: whoever was killed while writing it had
    not made a server yet, so it counts as nothing.

    Raises:
        StateError: unreadable, of another version, or incomplete.
    """
    try:
        version = (directory / "VERSION").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{directory}/VERSION cannot be read: {error.strerror}") from error
    if version != VERSION:
        raise StateError(f"{directory} has version {version!r}, this hk3s knows {VERSION}")
    try:
        tls = {
            str(file.relative_to(directory / "tls")): file.read_bytes()
            for file in sorted((directory / "tls").rglob("*"))
            if file.is_file()
        }
        return State(
            pki=minting.ClusterPki.from_tls_files(tls),
            token=_text(directory / "k3s-token"),
            ssh_host_ca=minting.SshKeyPair(
                private=(directory / "ssh-host-ca").read_text(encoding="utf-8"),
                public=_text(directory / "ssh-host-ca.pub"),
            ),
        )
    except KeyError as error:
        raise StateError(f"{directory}/tls lacks {error}: restore it from a backup") from error
    except OSError as error:
        raise StateError(f"{error.filename} cannot be read: {error.strerror}") from error


def save(directory: Path, state: State) -> None:
    """Write all of it, private to the user and on the disk when this returns; VERSION comes last.

    Raises:
        StateError: the directory cannot be written.
    """
    contents = {f"tls/{name}": content for name, content in state.pki.tls_files().items()} | {
        "k3s-token": f"{state.token}\n".encode(),
        "ssh-host-ca": state.ssh_host_ca.private.encode(),
        "ssh-host-ca.pub": f"{state.ssh_host_ca.public}\n".encode(),
    }
    try:
        directory.mkdir(mode=files.PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        directory.chmod(files.PRIVATE_DIRECTORY)
        for name, content in contents.items():
            files.write_private(directory / name, content)
        files.write_private(directory / "VERSION", f"{VERSION}\n".encode())
    except OSError as error:
        raise StateError(f"{error.filename} cannot be written: {error.strerror}") from error


def read_cluster_uid(directory: Path) -> str | None:
    """Return the UID of the cluster that these secrets opened, `None` before it first answered."""
    try:
        return _text(directory / "cluster-uid") or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{error.filename} cannot be read: {error.strerror}") from error


def save_cluster_uid(directory: Path, uid: str) -> None:
    """Remember the cluster: from now on a missing master is a loss, not something to make."""
    try:
        files.write_private(directory / "cluster-uid", f"{uid}\n".encode())
    except OSError as error:
        raise StateError(f"{error.filename} cannot be written: {error.strerror}") from error


def forget_cluster_uid(directory: Path) -> None:
    """Forget the cluster, not its secrets."""
    (directory / "cluster-uid").unlink(missing_ok=True)


def forget(directory: Path) -> None:
    """Remove what `save` wrote, VERSION first, and the directory if nothing else is in it."""
    (directory / "VERSION").unlink(missing_ok=True)
    written = ("cluster-uid", "k3s-token", "ssh-host-ca", "ssh-host-ca.pub")
    for name in (*written, "ssh_config", "known_hosts"):
        (directory / name).unlink(missing_ok=True)
    for file in sorted((directory / "tls").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    for folder in (directory / "tls", directory):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
