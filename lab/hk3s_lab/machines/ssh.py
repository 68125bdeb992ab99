"""The `ssh` step: what a machine would let in, and with what it would prove itself."""

from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.userdata import UserData


def check(data: UserData, now: datetime) -> None:
    """Refuse keys that sshd would not load or that leave the machine without a way in.

    Raises:
        StepError: `ssh-failed`.
    """
    if not data.authorized_keys:
        raise StepError("ssh-failed", "no authorized key: nobody could log in")
    try:
        for key in data.authorized_keys:
            load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise StepError("ssh-failed", "an authorized key is not readable") from error
    if data.root_password_hash is None:
        raise StepError("ssh-failed", "root has no password hash of its own")
    _check_host_keys(data.ssh_host_keys, data.hostname, now)


def _check_host_keys(keys: Mapping[str, str], hostname: str, now: datetime) -> None:
    if missing := sorted(
        {"ed25519_private", "ed25519_public", "ed25519_certificate"} - keys.keys()
    ):
        raise StepError("ssh-failed", f"ssh_keys lacks {', '.join(missing)}")
    try:
        private = load_ssh_private_key(keys["ed25519_private"].encode(), password=None)
        public = load_ssh_public_key(keys["ed25519_public"].encode())
        certificate = load_ssh_public_identity(keys["ed25519_certificate"].encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise StepError("ssh-failed", "a host key is not readable") from error
    if not isinstance(private, Ed25519PrivateKey) or not isinstance(certificate, SSHCertificate):
        raise StepError("ssh-failed", "the host key must be ed25519 with a certificate")
    bits = {
        key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        for key in (private.public_key(), public, certificate.public_key())
    }
    if len(bits) != 1:
        raise StepError("ssh-failed", "host key, public key and certificate do not belong together")
    if certificate.type is not SSHCertificateType.HOST:
        raise StepError("ssh-failed", "the certificate is not one of a host")
    try:
        certificate.verify_cert_signature()
    except InvalidSignature as error:
        raise StepError("ssh-failed", "the host certificate's signature is wrong") from error
    if certificate.valid_principals and hostname.encode() not in certificate.valid_principals:
        raise StepError("ssh-failed", "the host certificate is for other names")
    if not certificate.valid_after <= now.timestamp() < certificate.valid_before:
        raise StepError("ssh-failed", "the host certificate is not valid now")
