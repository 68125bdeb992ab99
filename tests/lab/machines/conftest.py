import asyncio
import socket

import pytest

from hk3s_lab.kubernetes.build import ensure_binary


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a first build takes longer than any test may."""
    needs_binary = any("cluster" in getattr(item, "fixturenames", ()) for item in session.items)
    if needs_binary and not session.config.option.collectonly:
        asyncio.run(ensure_binary(print))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
