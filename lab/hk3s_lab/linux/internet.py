"""The sites that servers need on the Internet, which is this process's own network.

Names resolve to the lab's addresses only. k3s's releases are served as github.com serves them,
with a certificate of the CA that the lab's roots trust, so the same user-data works here.
"""

import datetime as dt
import hashlib
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

API = "198.51.100.10"
"""Where the Hetzner API listens."""
RELEASES = "198.51.100.20"
LAPTOP = "198.51.100.1"
"""The address that bastions see of whoever works in the lab's Internet."""
STRANGER = "192.0.2.66"
"""Somebody whom no firewall should let in."""
SITES = ("github.com", "artifacts.lab.example")
ADDRESSES = (API, RELEASES, LAPTOP, STRANGER)

NAMES = dict.fromkeys(SITES, RELEASES)


@dataclass(slots=True)
class Releases:
    """What the release site serves; tests may change it while it runs.

    `content` is k3s for every version; `published` is what the checksum list is made from.
    """

    content: bytes
    published: bytes | None = None
    requests: list[str] = field(default_factory=list)


class ReleaseSite:
    """HTTP and HTTPS on one address: `.../<version>/k3s` and its list of checksums."""

    def __init__(
        self,
        releases: Releases,
        authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
        now: dt.datetime,
    ) -> None:
        self._releases = releases
        self._authority = authority
        self._now = now
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on both ports."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, RELEASES, 80).start()
        await web.TCPSite(self._runner, RELEASES, 443, ssl_context=self._tls()).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        path = unquote(request.path)
        self._releases.requests.append(path)
        name = path.rpartition("/")[2]
        if name == "k3s":
            return web.Response(body=self._releases.content)
        if name.startswith("sha256sum-"):
            published = self._releases.published or self._releases.content
            digest = hashlib.sha256(published).hexdigest()
            return web.Response(text=f"{digest}  k3s\n{digest}  k3s-airgap-images-amd64.tar\n")
        raise web.HTTPNotFound

    def _tls(self) -> ssl.SSLContext:
        authority, authority_key = self._authority
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SITES[0])]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - dt.timedelta(days=1))
            .not_valid_after(self._now + dt.timedelta(days=30))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in SITES]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            pem = certificate.public_bytes(serialization.Encoding.PEM)
            pem += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            Path(file.name).write_bytes(pem)
            context.load_cert_chain(file.name)
        return context
