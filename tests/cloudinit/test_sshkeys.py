import datetime as dt
import pathlib
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from cloudinit.examples import NOW
from hk3s_cloudinit import minting

YEAR = dt.timedelta(days=365)


def test_a_host_certificate_is_signed_by_the_ca_for_the_hosts_names() -> None:
    ca = minting.mint_ssh_host_ca()

    host = minting.mint_host_key(ca.private, ("demo-master-1", "10.4.0.3"), NOW, YEAR)

    certificate = serialization.load_ssh_public_identity(host.certificate.encode())
    assert isinstance(certificate, serialization.SSHCertificate)
    certificate.verify_cert_signature()
    assert certificate.type is serialization.SSHCertificateType.HOST
    assert certificate.valid_principals == [b"demo-master-1", b"10.4.0.3"]
    assert certificate.valid_after == (NOW - dt.timedelta(days=1)).timestamp()
    assert certificate.valid_before == (NOW + YEAR).timestamp()
    assert certificate.signature_key() == serialization.load_ssh_public_key(ca.public.encode())
    assert certificate.public_key() == serialization.load_ssh_public_key(host.public.encode())


def test_the_private_host_key_belongs_to_the_public_one() -> None:
    host = minting.mint_host_key(minting.mint_ssh_host_ca().private, ("demo",), NOW, YEAR)

    private = serialization.load_ssh_private_key(host.private.encode(), password=None)

    assert private.public_key() == serialization.load_ssh_public_key(host.public.encode())
    assert "PRIVATE" not in repr(host)


def test_the_known_hosts_line_trusts_the_ca_for_a_pattern() -> None:
    line = minting.known_hosts_line("ssh-ed25519 AAAA comment", "demo-*,10.4.*")

    assert line == "@cert-authority demo-*,10.4.* ssh-ed25519 AAAA hk3s-host-ca"


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_openssh_reads_the_certificate_and_agrees_on_the_fingerprint(
    tmp_path: pathlib.Path,
) -> None:
    ca = minting.mint_ssh_host_ca()
    host = minting.mint_host_key(ca.private, ("demo-master-1",), NOW, YEAR)
    (tmp_path / "host-cert.pub").write_text(host.certificate)
    (tmp_path / "host.pub").write_text(host.public)

    def keygen(*arguments: str) -> str:
        command = ["ssh-keygen", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    shown = keygen("-L", "-f", str(tmp_path / "host-cert.pub"))
    fingerprint = keygen("-l", "-E", "md5", "-f", str(tmp_path / "host.pub"))

    assert "host certificate" in shown
    assert "demo-master-1" in shown
    assert f"MD5:{minting.ssh_fingerprint_md5(host.public)}" in fingerprint
