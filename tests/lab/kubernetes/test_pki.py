from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from hk3s_lab.kubernetes import pki
from hk3s_lab.kubernetes.errors import BadCertificates
from lab.kubernetes.clusters import CA, ca

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def issue(authority: CA, subject: pki.Subject, life: timedelta = timedelta(days=1)) -> pki.KeyPair:
    loaded = pki.load_authority(authority.bundle, authority.key_pem)
    return pki.issue(loaded, subject, not_before=NOW, not_after=NOW + life)


def test_a_bundle_signs_with_its_first_certificate_and_comes_along_whole() -> None:
    root = ca("root", now=NOW)
    leaf_ca = ca("server", ca("intermediate", root, now=NOW), now=NOW)

    pair = issue(leaf_ca, pki.serving("api", "localhost"))

    leaf, *chain = x509.load_pem_x509_certificates(pair.certificate)
    assert [one.subject.rfc4514_string() for one in chain] == [
        "CN=server",
        "CN=intermediate",
        "CN=root",
    ]
    leaf.verify_directly_issued_by(leaf_ca.certificate)


def test_the_key_is_the_certificates() -> None:
    pair = issue(ca("client", now=NOW), pki.ADMIN)

    key = load_pem_private_key(pair.key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == x509.load_pem_x509_certificate(pair.certificate).public_key()


def test_a_verifier_accepts_the_name_and_no_other() -> None:
    authority = ca("server", now=NOW)
    pair = issue(authority, pki.serving("api", "10.4.0.3", "api.example"))
    store = x509.verification.Store([authority.certificate])
    builder = x509.verification.PolicyBuilder().store(store).time(NOW + timedelta(hours=1))
    leaf = x509.load_pem_x509_certificates(pair.certificate)[0]

    builder.build_server_verifier(x509.IPAddress(ip_address("10.4.0.3"))).verify(leaf, [])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("other.example")).verify(leaf, [])


@pytest.mark.parametrize(
    ("subject", "client", "server"),
    [
        pytest.param(pki.ADMIN, True, False, id="client"),
        pytest.param(pki.serving("api", "localhost"), False, True, id="server"),
        pytest.param(pki.peer("etcd", "localhost"), True, True, id="peer"),
    ],
)
def test_usages_are_those_of_the_subject(subject: pki.Subject, client: bool, server: bool) -> None:  # noqa: FBT001 - parametrized
    leaf = x509.load_pem_x509_certificates(issue(ca("any", now=NOW), subject).certificate)[0]

    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in usages) is client
    assert (ExtendedKeyUsageOID.SERVER_AUTH in usages) is server


def test_no_leaf_outlives_its_ca() -> None:
    authority = ca("client", now=NOW)

    pair = issue(authority, pki.SCHEDULER, life=timedelta(days=9999))

    leaf = x509.load_pem_x509_certificates(pair.certificate)[0]
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_key_of_another_ca_is_refused() -> None:
    with pytest.raises(BadCertificates, match="CN=one belongs to another"):
        pki.load_authority(ca("one").bundle, ca("two").key_pem)


def test_a_leaf_is_no_ca() -> None:
    pair = issue(ca("client", now=NOW), pki.ADMIN)

    with pytest.raises(BadCertificates, match="not a CA"):
        pki.load_authority(pair.certificate, pair.key)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_pem_is_refused(content: bytes) -> None:
    with pytest.raises(BadCertificates, match="not PEM"):
        pki.load_authority(content, ca("any").key_pem)
