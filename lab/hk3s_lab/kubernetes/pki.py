"""Leaf certificates from given CAs.

Pure but for the randomness of keys and serial numbers; times are arguments.
A CA's bundle may be one self-signed certificate or leaf, intermediate and root in this order,
as k3s lays them out; the first certificate signs.
"""

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hk3s_lab.kubernetes.errors import BadCertificates

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """PEM of a leaf certificate followed by its CA's bundle, and PEM of its key (SEC1)."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A CA that can sign; `bundle` is PEM, byte for byte as it was given."""

    bundle: bytes
    certificate: x509.Certificate
    key: SigningKey

    @property
    def first(self) -> bytes:
        """PEM of the signing certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who a certificate speaks for and for what it may be used."""

    common_name: str
    organization: str | None = None
    dns_names: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    client: bool = False
    server: bool = False


def load_authority(bundle: bytes, key: bytes) -> Authority:
    """Read a CA's PEM bundle and PEM key (PKCS#1, SEC1 or PKCS#8).

    Raises:
        BadCertificates: unreadable, not a CA, or not the key of the first certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificates(bundle)[0]
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise BadCertificates(f"a CA's certificate or key is not PEM: {error}") from error
    name = certificate.subject.rfc4514_string()
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise BadCertificates(f"the key of {name} is neither EC nor RSA")
    if _public_bytes(certificate.public_key()) != _public_bytes(private.public_key()):
        raise BadCertificates(f"the key handed over with {name} belongs to another certificate")
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        raise BadCertificates(f"{name} is not a CA: it has no basic constraints") from None
    if not constraints.value.ca:
        raise BadCertificates(f"{name} is not a CA: its basic constraints say so")
    return Authority(bundle=bundle, certificate=certificate, key=private)


def issue(
    authority: Authority, subject: Subject, *, not_before: datetime, not_after: datetime
) -> KeyPair:
    """Make a P-256 key and a certificate for it, valid between two aware times.

    The end is cut to the CA's own.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    certificate = (
        _with_names(_unsigned(subject, authority), subject)
        .public_key(key.public_key())
        .not_valid_before(max(not_before, issuer.not_valid_before_utc))
        .not_valid_after(min(not_after, issuer.not_valid_after_utc))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM) + authority.bundle,
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


ADMIN = Subject(common_name="system:admin", organization="system:masters", client=True)
APISERVER_TO_KUBELET = Subject(
    common_name="system:kube-apiserver", organization="system:masters", client=True
)
CONTROLLER_MANAGER = Subject(common_name="system:kube-controller-manager", client=True)
SCHEDULER = Subject(common_name="system:kube-scheduler", client=True)
FRONT_PROXY = Subject(common_name="system:auth-proxy", client=True)
ETCD_CLIENT = Subject(common_name="etcd-client", client=True)


def serving(name: str, *alternatives: str) -> Subject:
    """A server's identity; each alternative is an address or a DNS name, in any order."""
    addresses: list[Address] = []
    dns_names: list[str] = []
    for alternative in dict.fromkeys(alternatives):
        try:
            addresses.append(ipaddress.ip_address(alternative))
        except ValueError:
            dns_names.append(alternative)
    return Subject(
        common_name=name, dns_names=tuple(dns_names), addresses=tuple(addresses), server=True
    )


def peer(name: str, *alternatives: str) -> Subject:
    """A member of a ring, which both calls and is called."""
    return replace(serving(name, *alternatives), client=True)


def _unsigned(subject: Subject, authority: Authority) -> x509.CertificateBuilder:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name)]
    if subject.organization is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organization))
    usages = [
        oid
        for wanted, oid in (
            (subject.client, ExtendedKeyUsageOID.CLIENT_AUTH),
            (subject.server, ExtendedKeyUsageOID.SERVER_AUTH),
        )
        if wanted
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(authority.certificate.subject)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_authority_key(authority.certificate), critical=False)
    )


def _with_names(builder: x509.CertificateBuilder, subject: Subject) -> x509.CertificateBuilder:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in subject.dns_names]
    names += [x509.IPAddress(address) for address in subject.addresses]
    if not names:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False)


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the issuer's key as the issuer itself does, or verifiers will not find the chain."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public = issuer.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - load_authority checked it
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _public_bytes(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined] # every public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
