import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap import hollow
from bootstrap.grid import Grid, grid
from bootstrap.planes import spec_of
from bootstrap.rights import Rights, installed
from bootstrap.support import TOKEN, Recorder, Writes, config, recording
from hk3s_bootstrap import kubeconfig, state
from hk3s_bootstrap.session import Session
from hk3s_hetzner.client import Hetzner
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes.clusters import loopback_network

SPEED = 200.0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a first build takes longer than any test may."""
    needs_binary = any("binary" in getattr(item, "fixturenames", ()) for item in session.items)
    if needs_binary and not session.config.option.collectonly:
        asyncio.run(ensure_binary(print))


@dataclass
class Project:
    """One Hetzner project on the emulator and our client for it."""

    emulator: Emulator
    endpoint: str
    hetzner: Hetzner
    writes: Writes


@pytest_asyncio.fixture
async def project() -> AsyncIterator[Project]:
    """An empty project in which everything is in stock and actions take milliseconds."""
    emulator = Emulator(clock=RealClock(), speed=SPEED, stock="all")
    endpoint = await emulator.start()
    writes = Writes()
    hetzner = Hetzner(TOKEN, endpoint=endpoint, observe=writes.saw, poll_interval=lambda _: 0.02)
    yield Project(emulator=emulator, endpoint=endpoint, hetzner=hetzner, writes=writes)
    await hetzner.close()
    await emulator.stop()


@pytest.fixture(scope="session")
def binary() -> Path:
    return asyncio.run(ensure_binary(print))


@pytest.fixture
def network() -> Iterator[int]:
    with loopback_network() as number:
        yield number


@dataclass
class Site:
    """A project whose master really is a control plane, at the bastion's public address."""

    session: Session
    writes: Writes
    admin: Kube
    plane: ControlPlane


@pytest_asyncio.fixture
async def site(binary: Path, network: int, tmp_path: Path) -> AsyncIterator[Site]:
    address = f"127.{network}.0.3"
    secrets = state.mint(SystemClock().now(), bytes)
    state.save(tmp_path / "state", secrets)
    plane = ControlPlane(spec_of(tmp_path / "master", address, secrets), binary=binary)
    emulator = Emulator(
        clock=RealClock(), speed=SPEED, stock="all", public_addresses=iter([address])
    )
    endpoint = await emulator.start()
    writes = Writes()
    hetzner = Hetzner(TOKEN, endpoint=endpoint, observe=writes.saw, poll_interval=lambda _: 0.02)
    await plane.start()
    text = kubeconfig.render("demo", secrets, address, SystemClock().now())
    admin = await Kube.from_kubeconfig(text)
    master = asyncio.create_task(hollow.run_master(admin, "demo-master-1"))
    session = Session(
        config=config(),
        hetzner=hetzner,
        endpoint=endpoint,
        token=TOKEN,
        state_directory=tmp_path / "state",
        kubeconfig_path=tmp_path / "kubeconfig",
        clock=SystemClock(),
        random_bytes=bytes,
        connect=recording(writes),
        reporter=Recorder(),
    )
    try:
        yield Site(session=session, writes=writes, admin=admin, plane=plane)
    finally:
        master.cancel()
        await asyncio.gather(master, return_exceptions=True)
        await admin.close()
        await hetzner.close()
        await plane.stop()
        await emulator.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rights(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rights]:
    """What the daemon may do; one API server for all tests that ask."""
    with loopback_network() as number:
        directory = tmp_path_factory.mktemp("master")
        async with installed(binary, directory, f"127.{number}.0.3") as rights:
            yield rights


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_grid(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grid]:
    """A control plane and taps for all tests that run the real command."""
    with loopback_network() as number:
        async with grid(binary, tmp_path_factory.mktemp("grid"), number) as made:
            yield made
