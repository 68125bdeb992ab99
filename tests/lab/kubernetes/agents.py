"""What tests ask a cluster as: its admin, a stranger, an agent that joins, a kubelet."""

import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes.controlplane import ControlPlane
from hk3s_lab.kubernetes.spec import ControlPlaneSpec
from lab.kubernetes.clusters import rfc3339

SECRETS = "/api/v1/namespaces/kube-system/secrets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Joiner:
    """A machine that wants to be a node; its key never leaves it."""

    name: str
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    address: str = "10.4.1.7"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def csr(self) -> bytes:
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return request.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "k3s-Node-Name": self.name,
            "k3s-Node-Password": self.password,
            "k3s-Node-IP": self.address,
        }

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )


class Caller:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        data, json = (body, None) if isinstance(body, bytes) else (None, body)
        async with self._session.request(
            method, path, headers=headers, data=data, json=json
        ) as answer:
            is_json = answer.content_type == "application/json"
            return Answer(
                status=answer.status, body=await (answer.json() if is_json else answer.read())
            )


class Cluster:
    """A running control plane and ways to talk to it."""

    def __init__(self, spec: ControlPlaneSpec, plane: ControlPlane) -> None:
        self.spec = spec
        self.plane = plane
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tls = self.spec.directory / "tls"
        admin = (tls / "admin.crt").read_bytes(), (tls / "admin.key").read_bytes()
        self.admin = await self._stack.enter_async_context(self.caller(*admin))
        self.stranger = await self._stack.enter_async_context(self.caller())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def caller(self, certificate: bytes = b"", key: bytes = b"") -> AsyncIterator[Caller]:
        context = ssl.create_default_context(cadata=self.spec.cas.server_crt.decode())
        if certificate:
            with tempfile.TemporaryDirectory() as folder:
                pair = Path(folder) / "pair.pem"
                pair.write_bytes(key + certificate)
                context.load_cert_chain(pair)
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(self.spec.url, connector=connector) as session:
            yield Caller(session)

    async def bootstrap_token(self, *, lifetime: timedelta = timedelta(minutes=10)) -> str:
        """Create a bootstrap token as k3s writes it; return `id.secret`."""
        token_id, secret = secrets.token_hex(3), secrets.token_hex(8)
        created = await self.admin(
            "POST",
            SECRETS,
            {
                "metadata": {"name": f"bootstrap-token-{token_id}"},
                "type": "bootstrap.kubernetes.io/token",
                "stringData": {
                    "token-id": token_id,
                    "token-secret": secret,
                    "expiration": rfc3339(RealClock().now() + lifetime),
                    "usage-bootstrap-authentication": "true",
                    "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
                },
            },
        )
        assert created.status == 201, created.body
        return f"{token_id}.{secret}"

    async def sign(self, joiner: Joiner, authorization: str, which: str = "client") -> Answer:
        headers = {**joiner.headers, "Authorization": authorization}
        return await self.stranger(
            "POST", f"/v1-k3s/{which}-kubelet.crt", joiner.csr, headers if authorization else None
        )

    @asynccontextmanager
    async def joined(self, joiner: Joiner) -> AsyncIterator[Caller]:
        """A kubelet's caller, joined with a token of its own; its Node is not registered yet."""
        token = await self.bootstrap_token()
        answer = await self.until_ready(joiner, f"Bearer {token}")
        async with self.caller(answer.body, joiner.key_pem) as kubelet:
            yield kubelet

    async def until_ready(self, joiner: Joiner, authorization: str) -> Answer:
        """Join as agents do: again while the apiserver does not know the new token yet."""
        answer = await eventually(
            lambda: self.sign(joiner, authorization), lambda one: one.status != 401
        )
        assert answer.status == 200, answer.body
        return answer


async def eventually(
    ask: Callable[[], Awaitable[Answer]], is_good: Callable[[Answer], bool]
) -> Answer:
    """Ask a real process until it has caught up, for a minute at most."""
    clock = RealClock()
    deadline = clock.monotonic() + 60
    while not is_good(answer := await ask()):
        assert clock.monotonic() < deadline, answer
        await clock.sleep(0.05)
    return answer


def node(name: str, **status: object) -> dict[str, Any]:
    resources = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{**ready, "lastHeartbeatTime": rfc3339(RealClock().now())}],
            **status,
        },
    }


def pod(name: str, cpu: str = "500m", memory: str = "1Gi", **spec: object) -> dict[str, Any]:
    requests = {"cpu": cpu, "memory": memory}
    container = {"name": "main", "image": "pause", "resources": {"requests": requests}}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}
