"""How an agent gets its kubelet's identity from k3s's supervisor, step by step as k3s does.

The order matters: the CA bundle is fetched without trust, compared with the token's hash, fetched
again with trust, and only then is the token shown to anyone (k3s pkg/clientaccess/token.go).
"""

import base64
import ipaddress
import os
import secrets
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hk3s_lab.hetzner.events import PrivateNic
from hk3s_lab.kubernetes_client import Access
from hk3s_lab.machines.k3s_config import AgentConfig
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.trust import BadToken, Token, ca_hash, parse_token

log = structlog.get_logger()

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Two certificates with their keys: the kubelet's as a client and as a server."""

    access: Access
    serving_certificate: bytes
    serving_key: bytes = field(repr=False)
    client_ca: bytes
    """Who may call the kubelet."""


class Supervisor:
    """k3s's supervisor at an API address, as an agent on one private NIC sees it."""

    def __init__(self, site: Site, nic: PrivateNic, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise StepError("bad-config", f"server: {url!r} is no https URL")
        try:
            address = ipaddress.IPv4Address(parts.hostname)
        except ValueError as error:
            raise StepError("bad-config", "server: not an address of the network") from error
        if address not in ipaddress.IPv4Network(nic.network_range):
            raise StepError("api-unreachable", f"{address} is not in {nic.network_range}")
        self.name = str(address)
        self.url = f"https://{site.local(nic, self.name)}:{parts.port or 443}"
        self.source = site.local(nic)

    async def fetch_ca(self, expected: str | None) -> bytes:
        """Return the CA bundle, proven by its hash and then by the server's own certificate.

        Raises:
            StepError: `api-unreachable` or `ca-hash-mismatch`.
        """
        async with self._session(Access(url=self.url)) as blind:
            bundle = await self._read(blind, "GET", "/cacerts")
        if expected is not None and _hash(bundle) != expected:
            raise StepError("ca-hash-mismatch", "the API's CA does not have the expected hash")
        async with self._session(Access(url=self.url, ca=bundle)) as trusting:
            again = await self._read(trusting, "GET", "/cacerts")
        if again != bundle:
            raise StepError("ca-hash-mismatch", "the API's CA changed between two requests")
        return bundle

    async def sign(
        self, access: Access, path: str, headers: dict[str, str], request: bytes
    ) -> bytes:
        """Return the PEM certificate for a signing request.

        Raises:
            StepError: `token-rejected`, `name-taken`, `api-unreachable` or `k3s-failed`.
        """
        async with self._session(access) as session:
            return await self._read(session, "POST", path, headers=headers, data=request)

    async def read(self, access: Access, path: str) -> bytes:
        """Return what the supervisor answers to a GET; raises StepError as `sign` does."""
        async with self._session(access) as session:
            return await self._read(session, "GET", path)

    def _session(self, access: Access) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=access.tls(), local_addr=(self.source, 0))
        return aiohttp.ClientSession(access.url, connector=connector, timeout=_TIMEOUT)

    async def _read(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> bytes:
        try:
            async with session.request(
                method, path, headers=headers, data=data, server_hostname=self.name
            ) as response:
                body = await response.read()
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise StepError(
                "api-unreachable", "the API's certificate is not valid for its address and CA"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StepError("api-unreachable", f"{self.name} does not answer") from error
        if response.status != 200:  # noqa: PLR2004 - HTTP OK
            raise _refusal(response.status, body)
        return body


def _hash(bundle: bytes) -> str:
    try:
        return ca_hash(bundle)
    except ValueError as error:
        raise StepError("ca-hash-mismatch", "/cacerts holds no certificate") from error


def _refusal(status: int, body: bytes) -> StepError:
    text = body.decode(errors="replace")
    match status:
        case 401:
            return StepError("token-rejected", "the API does not accept the join token")
        case 403 if "ode password" in text:
            return StepError("name-taken", "another machine joined with this name before")
        case 403:
            return StepError("token-rejected", "the join token may not join nodes")
        case 500 | 502 | 503 | 504:
            return StepError("api-unreachable", f"the supervisor answers {status}")
        case _:
            return StepError("k3s-failed", f"the supervisor answers {status}")


async def join(
    site: Site, nic: PrivateNic, config: AgentConfig, disk: Path, server: str
) -> Identity:
    """Return a kubelet's identity; what survives a reboot is kept on `disk`.

    Raises:
        StepError: one of step `join`.
    """
    try:
        token = parse_token(config.token)
    except BadToken as error:
        raise StepError("bad-config", str(error)) from error
    supervisor = Supervisor(site, nic, server)
    if token.ca_hash is None and config.server is not None:
        log.warning("k3s.token_without_hash", machine=config.name)
    bundle = await supervisor.fetch_ca(token.ca_hash)
    base = Access(
        url=supervisor.url, server_name=supervisor.name, ca=bundle, source=supervisor.source
    )
    key, signing = make_key(), make_key()
    credentials = _credentials(base, token, config, disk)
    client = await _first(supervisor, "client-kubelet.crt", credentials, _csr(key))
    serving = await _first(supervisor, "serving-kubelet.crt", credentials, _csr(signing))
    access = Access(
        url=base.url,
        server_name=base.server_name,
        ca=bundle,
        certificate=client,
        key=_pem(key),
        source=base.source,
    )
    _keep(disk / "client-kubelet.crt", client)
    _keep(disk / "client-kubelet.key", _pem(key))
    return Identity(
        access=access,
        serving_certificate=serving,
        serving_key=_pem(signing),
        client_ca=await supervisor.read(access, "/v1-k3s/client-ca.crt"),
    )


@dataclass(frozen=True, slots=True)
class _Credential:
    access: Access
    headers: dict[str, str] = field(repr=False)


def _credentials(
    base: Access, token: Token, config: AgentConfig, disk: Path
) -> tuple[_Credential, ...]:
    """Return the ways to prove oneself in k3s's order: a certificate from before, the token."""
    headers = {
        "k3s-Node-Name": config.name,
        "k3s-Node-Password": _node_password(disk),
        "k3s-Node-IP": config.node_ip,
        "Content-Type": "application/octet-stream",
    }
    authorization = (
        f"Bearer {token.bearer}"
        if token.bearer
        else "Basic " + base64.b64encode(f"node:{token.password}".encode()).decode()
    )
    by_token = _Credential(base, {**headers, "Authorization": authorization})
    certificate, key = disk / "client-kubelet.crt", disk / "client-kubelet.key"
    if not (certificate.exists() and key.exists()):
        return (by_token,)
    kept = Access(
        url=base.url,
        server_name=base.server_name,
        ca=base.ca,
        certificate=certificate.read_bytes(),
        key=key.read_bytes(),
    )
    return (_Credential(kept, headers), by_token)


async def _first(
    supervisor: Supervisor, path: str, credentials: tuple[_Credential, ...], request: bytes
) -> bytes:
    """Sign with the first credential that is accepted; only a rejection moves on."""
    *early, last = credentials
    for credential in early:
        try:
            return await supervisor.sign(
                credential.access, f"/v1-k3s/{path}", credential.headers, request
            )
        except StepError as error:
            if error.code != "token-rejected":
                raise
    return await supervisor.sign(last.access, f"/v1-k3s/{path}", last.headers, request)


def make_key() -> ec.EllipticCurvePrivateKey:
    """Return a key as k3s makes them for kubelets."""
    return ec.generate_private_key(ec.SECP256R1())


def _csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The names are the supervisor's to decide; it takes only the key from the request.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelet")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _node_password(disk: Path) -> str:
    path = disk / "node-password"
    if not path.exists():
        _keep(path, secrets.token_hex(16).encode())
    return path.read_text()


def _keep(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
