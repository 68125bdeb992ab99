import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes import clusters
from lab.kubernetes.agents import Cluster


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a first build takes longer than any test may."""
    needs_binary = any("binary" in getattr(item, "fixturenames", ()) for item in session.items)
    if needs_binary and not session.config.option.collectonly:
        asyncio.run(ensure_binary(print))


@pytest.fixture(scope="session")
def binary() -> Path:
    return asyncio.run(ensure_binary(print))


@pytest.fixture(scope="module")
def network() -> Iterator[int]:
    with clusters.loopback_network() as number:
        yield number


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(
    binary: Path, network: int, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    """A running control plane, shared by the tests of a module."""
    spec = clusters.spec(tmp_path_factory.mktemp("master"), network, clusters.cluster_cas())
    plane = ControlPlane(spec, binary=binary)
    await plane.start()
    try:
        async with Cluster(spec, plane) as running:
            yield running
    finally:
        await plane.stop()
