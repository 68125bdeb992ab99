"""An agent against a supervisor that follows a script."""

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from hk3s_lab.hetzner.events import PrivateNic
from hk3s_lab.kubernetes import pki
from hk3s_lab.machines.join import join
from hk3s_lab.machines.k3s_config import AgentConfig
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.trust import ca_hash
from lab.kubernetes.clusters import CA, ca, tls
from lab.machines import sites

SECRET = "abcdef.0123456789abcdef"


@dataclass
class Supervisor:
    """Answers as told and keeps what it was shown."""

    site: Site
    disk: Path
    authority: CA = field(default_factory=lambda: ca("server-ca"))
    bundle: bytes = b""
    answer: Callable[[web.Request], web.Response | None] = lambda _: None
    requests: list[web.Request] = field(default_factory=list)

    @property
    def nic(self) -> PrivateNic:
        return sites.nic("10.4.1.1")

    async def serve(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if request.path == "/cacerts":
            return web.Response(body=self.bundle or self.authority.bundle)
        told = self.answer(request)
        if told is not None:
            return told
        if request.method == "GET":
            return web.Response(body=self.authority.bundle)
        return web.Response(body=self.sign(await request.read()))

    def sign(self, csr: bytes) -> bytes:
        wanted = x509.load_pem_x509_csr(csr)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:demo")]))
            .issuer_name(self.authority.certificate.subject)
            .public_key(wanted.public_key())
            .serial_number(1)
            .not_valid_before(self.authority.certificate.not_valid_before_utc)
            .not_valid_after(self.authority.certificate.not_valid_after_utc)
            .sign(self.authority.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    async def join(self, expected: str | None = None, server: str = "10.4.0.3") -> None:
        expected = expected or ca_hash(self.authority.bundle)
        config = AgentConfig(
            name="demo",
            token=f"K10{expected}::{SECRET}",
            server=None,
            node_ip="10.4.1.1",
            labels={},
            taints=(),
            kubelet={},
        )
        await join(self.site, self.nic, config, self.disk, f"https://{server}:6443")

    @property
    def shown(self) -> list[str]:
        """The Authorization headers, in order."""
        return [r.headers["Authorization"] for r in self.requests if "Authorization" in r.headers]


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    with sites.site(tmp_path) as (site, _):
        supervisor = Supervisor(site, tmp_path)
        runner = web.AppRunner(_app(supervisor), access_log=None)
        await runner.setup()
        address = site.local(supervisor.nic, "10.4.0.3")
        await web.TCPSite(runner, address, 6443, ssl_context=_tls(supervisor.authority)).start()
        yield supervisor
        await runner.cleanup()


def _app(supervisor: Supervisor) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", supervisor.serve)
    return app


def _tls(authority: CA, address: str = "10.4.0.3") -> ssl.SSLContext:
    loaded = pki.load_authority(authority.bundle, authority.key_pem)
    pair = pki.issue(
        loaded,
        pki.serving("k3s", address),
        not_before=authority.certificate.not_valid_before_utc,
        not_after=authority.certificate.not_valid_after_utc,
    )
    return tls(pair.certificate, pair.key)


def refuse(status: int, text: str) -> Callable[[web.Request], web.Response | None]:
    return lambda _: web.Response(status=status, text=text)


async def test_the_ca_is_asked_twice_and_then_the_token_is_shown(supervisor: Supervisor) -> None:
    await supervisor.join()
    paths = [request.path for request in supervisor.requests]
    assert paths == [
        "/cacerts",
        "/cacerts",
        "/v1-k3s/client-kubelet.crt",
        "/v1-k3s/serving-kubelet.crt",
        "/v1-k3s/client-ca.crt",
    ]
    assert supervisor.shown == [f"Bearer {SECRET}"] * 2
    signing = supervisor.requests[2].headers
    assert (signing["k3s-Node-Name"], signing["k3s-Node-IP"]) == ("demo", "10.4.1.1")
    assert {request.remote for request in supervisor.requests} == {
        supervisor.site.local(supervisor.nic)
    }


async def test_another_hash_means_that_the_token_is_shown_to_nobody(
    supervisor: Supervisor,
) -> None:
    with pytest.raises(StepError, match="ca-hash-mismatch"):
        await supervisor.join(expected="0" * 64)
    assert [request.path for request in supervisor.requests] == ["/cacerts"]
    assert supervisor.shown == []


async def test_a_borrowed_bundle_does_not_get_the_token_either(supervisor: Supervisor) -> None:
    """The right CA bundle, served by one who has no certificate from it."""
    other = ca("the-real-one")
    supervisor.bundle = other.bundle
    with pytest.raises(StepError, match="api-unreachable"):
        await supervisor.join(expected=ca_hash(other.bundle))
    assert supervisor.shown == []


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (401, "Unauthorized", "token-rejected"),
        (403, "Node password rejected: duplicate hostname", "name-taken"),
        (403, "forbidden", "token-rejected"),
        (503, "starting", "api-unreachable"),
        (400, "odd", "k3s-failed"),
    ],
)
async def test_refusals_become_the_contracts_errors(
    supervisor: Supervisor, status: int, text: str, code: str
) -> None:
    supervisor.answer = refuse(status, text)
    with pytest.raises(StepError) as caught:
        await supervisor.join()
    assert caught.value.code == code
    assert "abcdef" not in caught.value.message


@pytest.mark.parametrize("server", ["10.4.0.9", "10.9.0.3"])
async def test_an_api_that_is_not_there_is_unreachable(supervisor: Supervisor, server: str) -> None:
    with pytest.raises(StepError, match="api-unreachable"):
        await supervisor.join(server=server)


async def test_a_reboot_proves_itself_by_certificate_and_falls_back_to_the_token(
    supervisor: Supervisor,
) -> None:
    await supervisor.join()
    password = supervisor.requests[2].headers["k3s-Node-Password"]
    supervisor.requests.clear()
    await supervisor.join()
    assert supervisor.shown == []
    assert supervisor.requests[2].headers["k3s-Node-Password"] == password

    supervisor.requests.clear()
    supervisor.answer = lambda request: (
        None
        if "Authorization" in request.headers or request.method == "GET"
        else web.Response(status=401)
    )
    await supervisor.join()
    assert supervisor.shown == [f"Bearer {SECRET}"] * 2


async def test_what_is_kept_on_disk_is_private(supervisor: Supervisor) -> None:
    await supervisor.join()
    kept = {path.name: path.stat().st_mode & 0o777 for path in supervisor.disk.iterdir()}
    assert kept == dict.fromkeys(
        ("node-password", "client-kubelet.crt", "client-kubelet.key"), 0o600
    )
