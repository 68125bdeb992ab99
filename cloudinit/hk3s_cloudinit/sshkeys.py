"""SSH key pairs, host keys and their certificates, in OpenSSH's text forms.

Time is an argument. Keys and the nonce of certificates are drawn by `cryptography` from the
operating system: it offers no way to pass randomness in.
"""

import base64
import dataclasses
import datetime as dt
import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hk3s_cloudinit.certificates import CLOCK_SKEW


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SshKeyPair:
    """An Ed25519 key pair in OpenSSH's text forms; `public` is one line without a newline."""

    private: str = dataclasses.field(repr=False)
    public: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A server's host key and its certificate by the cluster's host CA, in OpenSSH's forms."""

    private: str = dataclasses.field(repr=False)
    public: str
    certificate: str


def mint_ssh_keypair(comment: str) -> SshKeyPair:
    """Mint a key pair to log in with."""
    key = ed25519.Ed25519PrivateKey.generate()
    return SshKeyPair(private=_openssh_private(key), public=_openssh_public(key, comment))


def mint_ssh_host_ca() -> SshKeyPair:
    """Mint the CA that certifies the host keys of a cluster's servers."""
    return mint_ssh_keypair("hk3s-host-ca")


def mint_host_key(
    host_ca_private: str,
    principals: tuple[str, ...],
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> HostKey:
    """Mint a host key certified for `principals`: the names (or addresses) clients ask for.

    A worker's address is unknown when its user-data is written, so its certificate names the
    server only; connect with `HostKeyAlias=<server name>`.
    """
    ca = serialization.load_ssh_private_key(host_ca_private.encode(), password=None)
    if not isinstance(ca, ed25519.Ed25519PrivateKey):
        raise TypeError("the SSH host CA's key is not Ed25519")
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = (
        serialization.SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(int(now.timestamp()))
        .type(serialization.SSHCertificateType.HOST)
        .key_id(principals[0].encode())
        .valid_principals([principal.encode() for principal in principals])
        .valid_after(int((now - CLOCK_SKEW).timestamp()))
        .valid_before(int((now + lifetime).timestamp()))
        .sign(ca)
    )
    return HostKey(
        private=_openssh_private(key),
        public=_openssh_public(key, principals[0]),
        certificate=certificate.public_bytes().decode(),
    )


def known_hosts_line(ca_public: str, pattern: str) -> str:
    """Return the known_hosts line that trusts `ca_public` for hosts of `pattern` (`*`, `a,b`)."""
    algorithm, key = ca_public.split()[:2]
    return f"@cert-authority {pattern} {algorithm} {key} hk3s-host-ca"


def ssh_fingerprint_md5(public_key: str) -> str:
    """Return the fingerprint as Hetzner's API writes it: MD5 of the key, `aa:bb:…`."""
    blob = base64.b64decode(public_key.split()[1])
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def _openssh_private(key: ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def _openssh_public(key: ed25519.Ed25519PrivateKey, comment: str) -> str:
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{line.decode()} {comment}"
