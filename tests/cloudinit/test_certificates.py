import base64
import datetime as dt
import hashlib
import pathlib
import shutil
import subprocess

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloudinit.examples import NOW, pki
from hk3s_cloudinit import minting


def load(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def common_name(certificate: x509.Certificate) -> str | bytes:
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_every_ca_is_a_self_signed_p256_certificate_of_ten_years() -> None:
    authorities = {
        name: load(content) for name, content in pki().tls_files().items() if name.endswith(".crt")
    }

    assert set(authorities) == {
        "server-ca.crt",
        "client-ca.crt",
        "request-header-ca.crt",
        "etcd/server-ca.crt",
        "etcd/peer-ca.crt",
    }
    for certificate in authorities.values():
        certificate.verify_directly_issued_by(certificate)
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value.ca
        assert certificate.not_valid_before_utc == NOW - dt.timedelta(days=1)
        assert certificate.not_valid_after_utc == NOW + dt.timedelta(days=3650)
    assert common_name(authorities["etcd/peer-ca.crt"]) == f"k3s-etcd-peer-ca@{NOW.timestamp():.0f}"


def test_keys_have_the_forms_that_k3s_writes_and_match_their_certificates() -> None:
    files = pki().tls_files()

    assert files["service.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    service_key = serialization.load_pem_private_key(files["service.key"], password=None)
    assert isinstance(service_key, rsa.RSAPrivateKey)
    assert service_key.key_size == 2048
    for name in (name for name in files if name.endswith(".crt")):
        key_pem = files[name.replace(".crt", ".key")]
        assert key_pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
        key = serialization.load_pem_private_key(key_pem, password=None)
        assert key.public_key() == load(files[name]).public_key()


def test_a_pki_survives_its_files() -> None:
    assert minting.ClusterPki.from_tls_files(pki().tls_files()) == pki()


def test_private_keys_do_not_show_in_repr() -> None:
    assert "PRIVATE KEY" not in repr(pki())


def test_the_admin_certificate_is_a_short_lived_client_of_system_masters() -> None:
    certificate_pem, key_pem = minting.mint_admin_certificate(pki(), NOW)

    certificate = load(certificate_pem)
    certificate.verify_directly_issued_by(load(pki().client_ca.certificate))
    assert common_name(certificate) == "system:admin"
    organization = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [attribute.value for attribute in organization] == ["system:masters"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_before_utc == NOW - dt.timedelta(days=1)
    assert certificate.not_valid_after_utc == NOW + dt.timedelta(days=30)
    key = serialization.load_pem_private_key(key_pem, password=None)
    assert key.public_key() == certificate.public_key()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_openssl_accepts_the_admin_certificate(tmp_path: pathlib.Path) -> None:
    ca, leaf = tmp_path / "ca.crt", tmp_path / "admin.crt"
    ca.write_bytes(pki().client_ca.certificate)
    leaf.write_bytes(minting.mint_admin_certificate(pki(), NOW)[0])
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient"]
    at = ["-attime", f"{NOW.timestamp():.0f}", "-CAfile", str(ca), str(leaf)]

    subprocess.run([*command, *at], check=True, capture_output=True)


def test_the_hash_of_a_single_certificate_is_that_of_its_file() -> None:
    bundle = pki().server_ca.certificate

    assert minting.ca_hash(bundle) == hashlib.sha256(bundle).hexdigest()


def issue(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(days=1))
        .add_extension(identifier(key.public_key()), critical=False)
        .add_extension(authority(identifier(issuer_key.public_key())), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_the_hash_of_a_chain_is_that_of_its_root_in_der() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = issue("root", keys[0], "root", keys[0])
    middle = issue("middle", keys[1], "root", keys[0])
    leaf = issue("leaf", keys[2], "middle", keys[1])

    digest = minting.ca_hash(pem(leaf) + pem(middle) + pem(root))

    der = root.public_bytes(serialization.Encoding.DER)
    assert digest == hashlib.sha256(der).hexdigest()


def test_the_hash_of_a_broken_chain_is_that_of_the_file() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    bundle = pem(issue("one", keys[0], "one", keys[0])) + pem(issue("two", keys[1], "two", keys[1]))

    assert minting.ca_hash(bundle) == hashlib.sha256(bundle).hexdigest()


def test_a_kubeconfig_has_one_context_that_is_current() -> None:
    text = minting.render_kubeconfig(
        "demo", "https://192.0.2.10:6443", b"ca", b"cert", b"key", tls_server_name="10.4.0.3"
    )

    config = yaml.safe_load(text)
    assert config["current-context"] == "demo"
    assert config["contexts"] == [
        {"name": "demo", "context": {"cluster": "demo", "user": "demo-admin"}}
    ]
    assert config["clusters"][0]["cluster"] == {
        "server": "https://192.0.2.10:6443",
        "certificate-authority-data": base64.b64encode(b"ca").decode(),
        "tls-server-name": "10.4.0.3",
    }
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == b"key"
