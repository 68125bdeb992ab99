"""The cluster's CAs, the administrator's certificate and kubeconfig, the hash that pins a CA.

Time is an argument. Keys and serials are drawn by `cryptography` from the operating system:
it offers no way to pass randomness in.
"""

import base64
import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Self

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SKEW = dt.timedelta(days=1)
"""Certificates start this much early: a laptop's and a server's clocks differ."""
CA_LIFETIME = dt.timedelta(days=3650)
ADMIN_LIFETIME = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both PEM. `repr` hides the key."""

    certificate: bytes
    private_key: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPki:
    """The CAs of one cluster and the key that signs service-account tokens.

    The layout is k3s's documented one for custom CAs
    (https://docs.k3s.io/cli/certificate, "Using Custom CA Certificates"):
    files present before the first start are used, not made.
    """

    server_ca: KeyPair
    client_ca: KeyPair
    request_header_ca: KeyPair
    etcd_server_ca: KeyPair
    etcd_peer_ca: KeyPair
    service_key: bytes = dataclasses.field(repr=False)

    def tls_files(self) -> dict[str, bytes]:
        """Return file contents by path below k3s's `server/tls` directory."""
        files = {}
        for field, stem in _CA_STEMS.items():
            pair: KeyPair = getattr(self, field)
            files[f"{stem}.crt"] = pair.certificate
            files[f"{stem}.key"] = pair.private_key
        return files | {"service.key": self.service_key}

    @classmethod
    def from_tls_files(cls, files: Mapping[str, bytes]) -> Self:
        """The reverse of `tls_files`; raises KeyError when a file is missing."""
        pairs = {
            field: KeyPair(certificate=files[f"{stem}.crt"], private_key=files[f"{stem}.key"])
            for field, stem in _CA_STEMS.items()
        }
        return cls(**pairs, service_key=files["service.key"])


_CA_STEMS = {
    "server_ca": "server-ca",
    "client_ca": "client-ca",
    "request_header_ca": "request-header-ca",
    "etcd_server_ca": "etcd/server-ca",
    "etcd_peer_ca": "etcd/peer-ca",
}


def mint_cluster_pki(now: dt.datetime) -> ClusterPki:
    """Mint five self-signed EC P-256 CAs and an RSA-2048 service-account key.

    Single certificates, as k3s's own defaults are: a chain would triple the size of user-data.
    """
    pairs = {
        field: _mint_ca(f"k3s-{stem.replace('/', '-')}@{int(now.timestamp())}", now)
        for field, stem in _CA_STEMS.items()
    }
    service_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ClusterPki(**pairs, service_key=_private_pem(service_key))


def _mint_ca(common_name: str, now: dt.datetime) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _certificate_builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(certificate_signing=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        private_key=_private_pem(key),
    )


def mint_admin_certificate(
    pki: ClusterPki,
    now: dt.datetime,
    lifetime: dt.timedelta = ADMIN_LIFETIME,
) -> tuple[bytes, bytes]:
    """Mint a client certificate of `system:masters`, as k3s's own admin has: (certificate, key).

    Nothing can revoke it and k3s does not renew it, hence the short life.
    """
    issuer = x509.load_pem_x509_certificate(pki.client_ca.certificate)
    issuer_key = serialization.load_pem_private_key(pki.client_ca.private_key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TypeError("the client CA's key is neither EC nor RSA")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "system:admin"),
        ]
    )
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _certificate_builder(subject, issuer.subject, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificate_signing=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def _certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, certificate_signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=certificate_signing,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """SEC1 for EC, PKCS#1 for RSA: the forms that k3s itself writes."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def ca_hash(bundle: bytes) -> str:
    """Return the hash by which a join token pins the CA bundle served at `/cacerts`.

    k3s's rule (pkg/clientaccess): SHA-256 of the bytes when the bundle holds one certificate;
    of the root's DER when it holds a chain from the first certificate to a root;
    of the bytes when the chain does not hold together.
    """
    certificates = x509.load_pem_x509_certificates(bundle)
    root = _root_of(certificates) if len(certificates) > 1 else None
    if root is None:
        return hashlib.sha256(bundle).hexdigest()
    return hashlib.sha256(root.public_bytes(serialization.Encoding.DER)).hexdigest()


def _root_of(certificates: list[x509.Certificate]) -> x509.Certificate | None:
    certificate = certificates[0]
    others = list(certificates[1:])
    while others:
        issuer = next((other for other in others if _issued(certificate, other)), None)
        if issuer is None:
            return None
        if _is_root(issuer):
            return issuer
        others.remove(issuer)
        certificate = issuer
    return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_root(certificate: x509.Certificate) -> bool:
    try:
        authority = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound:
        return True
    subject = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return authority.value.key_identifier == subject.value.digest


def render_kubeconfig(
    cluster: str,
    server_url: str,
    ca_pem: bytes,
    cert_pem: bytes,
    key_pem: bytes,
    tls_server_name: str | None = None,
) -> str:
    """Render a kubeconfig with one context, named after the cluster. The text holds a secret.

    `tls_server_name` is the name to verify when `server_url` is an address that the API's
    certificate does not carry (a tunnel's local end).
    """
    server = {
        "server": server_url,
        "certificate-authority-data": base64.b64encode(ca_pem).decode(),
    }
    if tls_server_name is not None:
        server["tls-server-name"] = tls_server_name
    user = {
        "client-certificate-data": base64.b64encode(cert_pem).decode(),
        "client-key-data": base64.b64encode(key_pem).decode(),
    }
    user_name = f"{cluster}-admin"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": server}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user_name}}],
        "current-context": cluster,
    }
    return yaml.safe_dump(config, sort_keys=False)
