import asyncio
from collections.abc import AsyncIterator, Coroutine

import pytest

from hk3s_kube.client import Kube
from hk3s_kube.lease import LeaseElector
from kube.fakes import FakeApi, FakeClock, kubeconfig
from kube.leases import LeaseStore, MakeElector


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def kube(api: FakeApi) -> AsyncIterator[Kube]:
    client = await Kube.from_kubeconfig(kubeconfig(api.url), within=5.0)
    yield client
    await client.close()


class Background:
    """Tasks that end with the test; one that failed fails the test."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    started = Background()
    yield started
    for task in started.tasks:
        task.cancel()
    for outcome in await asyncio.gather(*started.tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


@pytest.fixture
def store(api: FakeApi) -> LeaseStore:
    return LeaseStore(api)


@pytest.fixture
def elector_for(kube: Kube, clock: FakeClock, store: LeaseStore) -> MakeElector:
    def make(identity: str = "us", own_clock: FakeClock = clock) -> LeaseElector:
        return LeaseElector(
            kube,
            namespace="hk3s-system",
            name="hk3s-autoscaler",
            identity=identity,
            clock=own_clock,
            chance=lambda: 0.5,
        )

    return make
