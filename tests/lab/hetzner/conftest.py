from collections.abc import AsyncIterator

import pytest

from lab.hetzner.support import Cloud, running_cloud


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with running_cloud() as running:
        yield running
