import asyncio
import importlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from hetzner.scripted import Scripted
from hk3s_hetzner.client import Hetzner

TOKEN = "Kq3vX9sLb2TzR7mYw5NcJ8dPf4HgA6eUo1ViBtCkDxEzFyGwHuIsJrQpMaWnSl0Z"


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
async def hetzner(api: Scripted, clock: FakeClock) -> AsyncIterator[Hetzner]:
    client = Hetzner(TOKEN, endpoint=api.endpoint, clock=clock, workers=2)
    yield client
    await client.close()


@pytest.fixture(autouse=True)
def sdk_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The SDK's pauses before its retries, recorded instead of waited for."""
    pauses: list[float] = []
    module = importlib.import_module("hcloud._client")
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=pauses.append))
    return pauses
