"""Builders and stand-ins for the tests of hk3s-bootstrap."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.session import Connect, Session
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.transport import Call
from hk3s_kube.client import Kube
from hk3s_kube.clock import Clock
from hk3s_kube.rest import Method

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOKEN = "t" * 64
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJSwSxI+jeMVO1PAf0NUNJ16SvTZdNs5B1oPVO8Ly3E test"

VALID: dict[str, Any] = {
    "cluster": "demo",
    "location": "fsn1",
    "bastion": {"serverType": "cpx12", "allowedCidrs": ["203.0.113.7/32"]},
    "master": {"serverType": "cpx22"},
    "ssh": {"publicKeys": [KEY]},
    "nodePools": [{"name": "general", "maxNodes": 5, "serverTypes": ["cx23", "cpx22"]}],
}


def values(**changes: object) -> dict[str, Any]:
    """A valid file with `a__b=value` set at a.b; a value of `...` removes the key."""
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(VALID))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return result


def config(**changes: object) -> ClusterConfig:
    return ClusterConfig.model_validate(values(**changes))


def text(**changes: object) -> str:
    return yaml.safe_dump(values(**changes), sort_keys=False)


@dataclass
class FakeClock:
    """Time that passes only when somebody sleeps."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Recorder:
    """A Reporter that keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    @contextmanager
    def doing(self, what: str) -> Iterator[Any]:
        self.lines.append(what)
        yield lambda detail: self.lines.append(f"{what}: {detail}")

    def note(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Writes:
    """Every call that may change something, to either API."""

    hetzner: list[str] = field(default_factory=list)
    kube: list[str] = field(default_factory=list)

    def saw(self, call: Call) -> None:
        if call.method != "GET":
            self.hetzner.append(f"{call.method} {call.path}")


class RecordingKube(Kube):
    """A Kube that tells of its writes."""

    writes: Writes

    async def _request(self, method: Method, path: str, *args: Any) -> Any:  # noqa: ANN401 - as is
        if method != "GET":
            self.writes.kube.append(f"{method} {path}")
        return await super()._request(method, path, *args)


def recording(writes: Writes) -> Connect:
    async def connect(kubeconfig: str) -> Kube:
        kube = await RecordingKube.from_kubeconfig(kubeconfig)
        kube.writes = writes
        return kube

    return connect


async def no_api(kubeconfig: str) -> Kube:
    """A cluster that does not answer."""
    text = kubeconfig.replace(_host(kubeconfig), "127.0.0.1:1")
    return await Kube.from_kubeconfig(text)


def _host(kubeconfig: str) -> str:
    server: str = yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"]
    return server.removeprefix("https://")


def session(
    directory: Path,
    hetzner: Hetzner,
    endpoint: str,
    *,
    cluster: ClusterConfig | None = None,
    connect: Connect = no_api,
    clock: Clock | None = None,
) -> Session:
    return Session(
        config=cluster or config(),
        hetzner=hetzner,
        endpoint=endpoint,
        token=TOKEN,
        state_directory=directory / "state",
        kubeconfig_path=directory / "kubeconfig",
        clock=clock or FakeClock(),
        random_bytes=lambda size: bytes(range(7, 7 + size)),
        connect=connect,
        reporter=Recorder(),
    )
