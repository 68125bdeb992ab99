"""Builders: throw-away CAs in k3s's layout, a free loopback network, a control plane's spec."""

import fcntl
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes.spec import ClusterCAs, ControlPlaneSpec

TOKEN = "a-server-token"
MOST_ALLOCATED = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
  pluginConfig:
  - name: NodeResourcesFit
    args:
      scoringStrategy:
        type: MostAllocated
        resources:
        - {name: cpu, weight: 1}
        - {name: memory, weight: 1}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CA:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    bundle: bytes

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )


def ca(name: str, parent: CA | None = None, *, now: datetime | None = None) -> CA:
    now = now or RealClock().now()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key = parent.key if parent else key
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.certificate.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    own = certificate.public_bytes(serialization.Encoding.PEM)
    return CA(certificate=certificate, key=key, bundle=own + (parent.bundle if parent else b""))


def cluster_cas() -> ClusterCAs:
    """A server CA of three levels as custom CAs have them, and single ones elsewhere."""
    server = ca("k3s-server-ca", ca("k3s-intermediate-ca", ca("k3s-root-ca")))
    client, request_header = ca("k3s-client-ca"), ca("k3s-request-header-ca")
    etcd_server, etcd_peer = ca("etcd-server-ca"), ca("etcd-peer-ca")
    service_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ClusterCAs(
        server_crt=server.bundle,
        server_key=server.key_pem,
        client_crt=client.bundle,
        client_key=client.key_pem,
        request_header_crt=request_header.bundle,
        request_header_key=request_header.key_pem,
        etcd_server_crt=etcd_server.bundle,
        etcd_server_key=etcd_server.key_pem,
        etcd_peer_crt=etcd_peer.bundle,
        etcd_peer_key=etcd_peer.key_pem,
        service_key=service_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )


@contextmanager
def loopback_network() -> Iterator[int]:
    """Yield an N such that 127.N.0.0/16 is this process's alone while the block lasts."""
    for number in range(200, 255):
        path = Path(f"/tmp/hk3s-test-127.{number}.{os.getuid()}.lock")  # noqa: S108 - shared on purpose
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_free(f"127.{number}.0.3"):
                continue
            yield number
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
        return
    raise RuntimeError("no 127.N.0.0/16 is free")


def spec(directory: Path, network: int, cas: ClusterCAs) -> ControlPlaneSpec:
    return ControlPlaneSpec(
        directory=directory,
        bind_address=f"127.{network}.0.3",
        advertise_address="10.4.0.3",
        node_name="demo-master-1",
        cas=cas,
        token=TOKEN,
        tls_sans=("10.4.0.2", "api.demo.example"),
        scheduler_config=MOST_ALLOCATED,
        scheduler_args=("config=/etc/rancher/k3s/scheduler.yaml",),
        dial_map=("10.4.0.0/16", f"127.{network}.0.0/16"),
    )


def tls(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A server's context for a certificate and key in PEM."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(key + certificate)
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_free(address: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 6443))
        except OSError:
            return False
    return True


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
