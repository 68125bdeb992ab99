"""The administrator's kubeconfig: rendered here, written in one step, never over somebody's own."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from cryptography import x509

from hk3s_bootstrap import files
from hk3s_bootstrap.state import State
from hk3s_cloudinit import minting

API_PORT = 6443
RENEW_BEFORE = timedelta(days=7)
Occupant = Literal["nothing", "ours", "empty", "foreign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Where a kubeconfig was written, and where what stood there is kept now."""

    path: Path
    backup: Path | None


def default_path(cluster: str) -> Path:
    """Return where the kubeconfig goes unless `--kubeconfig` says otherwise."""
    return Path(f"kubeconfig-{cluster}")


def render(
    cluster: str, state: State, address: str, now: datetime, *, tunnel: int | None = None
) -> str:
    """Return a kubeconfig with an administrator's certificate of 30 days. It is a secret.

    `address` is the bastion's public one, which the API's certificate carries; `tunnel` is the
    local port of a tunnel that leads there.
    """
    certificate, key = minting.mint_admin_certificate(state.pki, now)
    server = f"https://{address}:{API_PORT}" if tunnel is None else f"https://127.0.0.1:{tunnel}"
    return minting.render_kubeconfig(
        cluster,
        server,
        state.pki.server_ca.certificate,
        certificate,
        key,
        None if tunnel is None else address,
    )


def occupant(path: Path, state: State) -> Occupant:
    """Return what stands at the path: ours is what trusts this cluster's CA."""
    return _occupant(path, base64.b64encode(state.pki.server_ca.certificate).decode())


def _occupant(path: Path, authority: str) -> Occupant:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "nothing"
    except (OSError, UnicodeDecodeError):
        return "foreign"
    if not text.strip():
        return "empty"
    try:
        found = _authorities(text)
    except (yaml.YAMLError, KeyError, TypeError):
        return "foreign"
    return "ours" if found == {authority} else "foreign"


def _authorities(text: str) -> set[str]:
    values: Any = yaml.safe_load(text)
    return {entry["cluster"]["certificate-authority-data"] for entry in values["clusters"]}


def is_current(path: Path, state: State, address: str, now: datetime) -> bool:
    """Return whether the file at the path opens this cluster for a while yet."""
    if occupant(path, state) != "ours":
        return False
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        server = values["clusters"][0]["cluster"]["server"]
        data = values["users"][0]["user"]["client-certificate-data"]
        certificate = x509.load_pem_x509_certificate(base64.b64decode(data))
    except (OSError, KeyError, IndexError, TypeError, ValueError):
        return False
    expires = certificate.not_valid_after_utc
    return server == f"https://{address}:{API_PORT}" and expires > now + RENEW_BEFORE


def write(path: Path, text: str) -> Written:
    """Write a kubeconfig; a file that is not of the same cluster is kept beside it as `.bak`.

    Raises:
        OSError: the place cannot be written; what stood there still stands.
    """
    backup = None
    (authority,) = _authorities(text)
    if _occupant(path, authority) in ("empty", "foreign"):
        backup = _free_backup(path)
        backup.hardlink_to(path)
    files.write_private(path, text.encode())
    return Written(path=path, backup=backup)


def _free_backup(path: Path) -> Path:
    backup = path.with_name(f"{path.name}.bak")
    number = 1
    while backup.exists():
        number += 1
        backup = path.with_name(f"{path.name}.bak{number}")
    return backup
