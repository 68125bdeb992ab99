"""A cloud and a control plane behind taps, and the real command run against both."""

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from bootstrap import hollow
from bootstrap.planes import spec_of
from bootstrap.support import TOKEN, text
from bootstrap.taps import Done, Tap, Trap, trap
from hk3s_bootstrap import kubeconfig, state
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.kubernetes.controlplane import ControlPlane

SPEED = 100.0
READ_ONLY = "r" * 64


@dataclass
class Grid:
    """`secrets` are those of every cluster here: all find the same control plane.

    Clouds differ only in their past, so the cluster's objects are the same in all of them.
    """

    trap: Trap
    hetzner: Tap
    api: Tap
    endpoint: str
    address: str
    admin: Kube
    secrets: state.State


@dataclass
class Cloud:
    """One project, empty at first, and a user with a directory of their own."""

    grid: Grid
    emulator: Emulator
    directory: Path
    control: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def writes(self) -> list[str]:
        """Writes of the last run that took effect."""
        return self.grid.trap.writes

    async def run(self, command: str, *arguments: str, kill_at: int | None = None) -> Done:
        """Run the command; `create` and `destroy` without questions."""
        where = ["--state-dir", str(self.state)]
        if command == "create":
            where += ["--kubeconfig", str(self.directory / "kubeconfig")]
        if command == "destroy":
            where += ["--yes"]
        return await self.grid.trap.run(
            command,
            *("-f", str(self.directory / "cluster.yaml"), *where, *arguments),
            environment=self.environment,
            directory=self.directory,
            kill_at=kill_at,
        )

    async def ask(self, method: str, name: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the emulator's own endpoint."""
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, f"{self.control}/{name}", json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, effect: Mapping[str, object], **fault: object) -> None:
        await self.ask("POST", "faults", {"effect": effect, **fault})

    async def requests(self) -> list[dict[str, Any]]:
        """The emulator's own log of this project."""
        found = (await self.ask("GET", "requests"))["requests"]
        return [request for request in found if request["token"] is not None]

    async def wrote(self) -> list[str]:
        """All that the emulator carried out."""
        return [
            f"{request['method']} {request['template'] or request['path']}"
            for request in await self.requests()
            if request["method"] != "GET" and (request["status"] or 0) < 300
        ]

    async def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """Call the API past the tap, as another tool of the same project."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        base = self.control.removesuffix("/_lab") + "/v1"
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.request(method, f"{base}/{path}", json=body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def things(self) -> dict[str, list[str]]:
        """Everything in the project, as names with what tells one cluster from another."""
        kinds = ("servers", "networks", "firewalls", "primary_ips", "ssh_keys")
        found = {kind: (await self.call("GET", kind))[kind] for kind in kinds}
        return {
            kind: [_essence(kind, each) for each in each_kind] for kind, each_kind in found.items()
        }


def _essence(kind: str, thing: dict[str, Any]) -> str:
    parts: list[object] = [thing["name"], sorted(thing["labels"].items())]
    match kind:
        case "servers":
            nets = [net["ip"] for net in thing["private_net"]]
            public = (thing["public_net"]["ipv4"] or {}).get("ip")
            parts += [thing["status"], thing["server_type"]["name"], nets, public]
        case "networks":
            parts += [thing["ip_range"], thing["subnets"], thing["routes"], len(thing["servers"])]
        case "firewalls":
            parts += [thing["rules"], len(thing["applied_to"])]
        case "primary_ips":
            parts += [thing["ip"], thing["auto_delete"]]
        case _:
            parts += [thing["fingerprint"]]
    return json.dumps(parts, sort_keys=True)


@asynccontextmanager
async def grid(binary: Path, directory: Path, network: int) -> AsyncIterator[Grid]:
    """Start a control plane with a hollow master and put both taps in place."""
    address, inner = f"127.{network}.0.2", f"127.{network}.0.3"
    now = SystemClock().now()
    secrets = state.mint(now, bytes)
    spec = spec_of(directory, inner, secrets, names=(address,))
    plane = ControlPlane(spec, binary=binary)
    await plane.start()
    tls = directory / "tls"
    upstream = ssl.create_default_context(cafile=str(tls / "server-ca.crt"))
    upstream.load_cert_chain(tls / "admin.crt", tls / "admin.key")
    # As the API server itself: its certificate, and clients that prove who they are.
    front = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls / "client-ca.crt"))
    front.load_cert_chain(tls / "apiserver.crt", tls / "apiserver.key")
    front.verify_mode = ssl.CERT_REQUIRED
    admin = await Kube.from_kubeconfig(kubeconfig.render("demo", secrets, inner, now))
    master = asyncio.create_task(hollow.run_master(admin, "demo-master-1"))
    try:
        async with trap() as ears:
            api = Tap(ears, f"https://{inner}:6443", upstream_tls=upstream)
            hetzner = Tap(ears)
            await api.start(address, 6443, tls=front)
            port = await hetzner.start("127.0.0.1")
            try:
                yield Grid(
                    trap=ears,
                    hetzner=hetzner,
                    api=api,
                    endpoint=f"http://127.0.0.1:{port}/v1",
                    address=address,
                    admin=admin,
                    secrets=secrets,
                )
            finally:
                await hetzner.stop()
                await api.stop()
    finally:
        master.cancel()
        await asyncio.gather(master, return_exceptions=True)
        await admin.close()
        await plane.stop()


def prepare(directory: Path, secrets: state.State, file: str) -> None:
    """Give a user a state directory and a cluster.yaml."""
    directory.mkdir(parents=True, exist_ok=True)
    state.save(directory / "state", secrets)
    (directory / "cluster.yaml").write_text(file, encoding="utf-8")


@asynccontextmanager
async def cloud(
    grid: Grid,
    directory: Path,
    *,
    speed: float = SPEED,
    token: str = TOKEN,
    **changes: object,
) -> AsyncIterator[Cloud]:
    """Put an empty project behind the tap; `changes` are to cluster.yaml."""
    emulator = Emulator(
        clock=RealClock(),
        speed=speed,
        stock="all",
        public_addresses=iter([grid.address] * 50),
        tokens={token: "demo", READ_ONLY: "demo"},
        readonly_tokens=(READ_ONLY,),
    )
    upstream = await emulator.start()
    grid.hetzner.upstream = upstream.removesuffix("/v1")
    grid.hetzner.open = grid.api.open = True
    grid.hetzner.bodies.clear()
    prepare(directory, grid.secrets, text(**changes))
    try:
        yield Cloud(
            grid=grid,
            emulator=emulator,
            directory=directory,
            control=upstream.removesuffix("/v1") + "/_lab",
            environment={"HCLOUD_ENDPOINT": grid.endpoint, "HCLOUD_TOKEN": token},
        )
    finally:
        await emulator.stop()
        shutil.rmtree(directory / "state", ignore_errors=True)
