"""How a k3s agent decides whom to trust: the token's form and the CA bundle's hash.

The rules are k3s's (pkg/clientaccess/token.go, kubeadm bootstrap token format).
"""

import hashlib
import re
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID

_BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_HASH = re.compile(r"[0-9a-f]{64}")


class BadToken(Exception):
    """The token has none of k3s's forms; the text does not repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A join token; exactly one of `bearer` and `password` is set, never shown in a repr."""

    ca_hash: str | None
    bearer: str | None = field(default=None, repr=False)
    username: str = ""
    password: str | None = field(default=None, repr=False)


def parse_token(text: str) -> Token:
    """Return the parts of `K10<hash>::<credentials>` or of the short form.

    Raises:
        BadToken: it is empty or its hash is not 64 hex digits.
    """
    if not text:
        raise BadToken("the token is empty")
    ca_hash: str | None = None
    credentials = text
    if text.startswith("K10"):
        head, mark, credentials = text.removeprefix("K10").partition("::")
        if not mark or not credentials:
            raise BadToken("the token has no credentials after its hash")
        if not _HASH.fullmatch(head):
            raise BadToken("the token's CA hash is not 64 hex digits")
        ca_hash = head
    if _BOOTSTRAP.fullmatch(credentials):
        return Token(ca_hash=ca_hash, bearer=credentials)
    username, mark, password = credentials.partition(":")
    if ca_hash is None:
        username, password = "", credentials
    elif not mark or not password:
        raise BadToken("the token's credentials are neither a bootstrap token nor user:password")
    return Token(ca_hash=ca_hash, username=username, password=password)


def ca_hash(bundle: bytes) -> str:
    """Return the hash that a token must carry for a CA bundle.

    One certificate: SHA-256 of the bytes as served. Several: SHA-256 of the DER form of the root
    that the first one leads to; the bytes again when there is no such chain.

    Raises:
        ValueError: the bundle holds no certificate.
    """
    certificates = x509.load_pem_x509_certificates(bundle)
    if len(certificates) > 1 and (root := _root(certificates)) is not None:
        return hashlib.sha256(root.public_bytes(serialization.Encoding.DER)).hexdigest()
    return hashlib.sha256(bundle).hexdigest()


def _root(certificates: list[x509.Certificate]) -> x509.Certificate | None:
    current = certificates[0]
    rest = certificates[1:]
    while rest:
        issuer = next((one for one in rest if _issued(current, one)), None)
        if issuer is None:
            return None
        if _is_root(issuer):
            return issuer
        rest.remove(issuer)
        current = issuer
    return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        authority = certificate.extensions.get_extension_for_oid(
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER
        ).value
    except x509.ExtensionNotFound:
        return True
    try:
        subject = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_KEY_IDENTIFIER
        ).value
    except x509.ExtensionNotFound:
        return False
    return (
        isinstance(authority, x509.AuthorityKeyIdentifier)
        and isinstance(subject, x509.SubjectKeyIdentifier)
        and authority.key_identifier == subject.digest
    )
