import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from hk3s_lab.kubernetes.errors import BuildFailed
from lab.hetzner import walk_in_go
from lab.hetzner.support import Cloud, running_cloud


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a first build takes longer than any test may."""
    needed = any(item.path.name == "test_go_client.py" for item in session.items)
    if needed and not session.config.option.collectonly:
        with contextlib.suppress(AssertionError, BuildFailed):  # the test itself says why
            asyncio.run(walk_in_go.build())


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with running_cloud() as running:
        yield running
