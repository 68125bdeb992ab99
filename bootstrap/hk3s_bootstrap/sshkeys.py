"""The public keys of cluster.yaml, read and normalized."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from hk3s_cloudinit.minting import ssh_fingerprint_md5

LONGEST_SHOWN = 40


class UnusableKey(Exception):
    """The entry is no public key; the text never quotes a private one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A key as `authorized_keys` has it, and the fingerprint by which Hetzner knows it."""

    line: str
    fingerprint: str


def resolve(entry: str) -> PublicKey:
    """Return the key that an entry of `ssh.publicKeys` names: a path, or the key itself.

    Raises:
        UnusableKey: unreadable, private, or malformed.
    """
    text = entry.strip()
    if "PRIVATE KEY" in text:
        raise UnusableKey("this is a private key: never put one here")
    if " " not in text:
        text = _read(Path(os.path.expandvars(text)).expanduser())
    line = text.strip()
    try:
        load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey(f"is no SSH public key: {line[:LONGEST_SHOWN]!r}") from None
    return PublicKey(line=line, fingerprint=ssh_fingerprint_md5(line))


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnusableKey(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnusableKey(f"{path} is no public key file") from None
    if "PRIVATE KEY" in text:
        raise UnusableKey(f"{path} is a private key; the public one is {path}.pub")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise UnusableKey(f"{path} holds {len(lines)} keys instead of one")
    return lines[0]
