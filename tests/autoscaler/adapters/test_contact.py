"""A quiet cluster is no outage, and an apiserver that answers others is no contact."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from autoscaler.fakes import ManualClock
from hk3s_autoscaler.adapters.contact import Contact
from hk3s_autoscaler.daemon.health import CONTACT_LOST_AFTER
from hk3s_kube.client import Kube
from hk3s_kube.objects import Pod
from hk3s_kube.stream import Reflector
from kube.fakes import FakeApi, kubeconfig, pod_list, status, until

KUBE_SYSTEM = ("GET", "/api/v1/namespaces/kube-system")


class Watched:
    """A reflector of an API that says nothing by itself, and the contact with it."""

    def __init__(self, api: FakeApi, kube: Kube) -> None:
        self.api = api
        self.clock = ManualClock()
        self.reflector = Reflector(kube, Pod, clock=self.clock, chance=lambda: 0.0)
        self.contact = Contact(kube, self.clock, self.reflector)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        works = (self.reflector.run(), self.contact.run())
        self.tasks += [asyncio.create_task(work) for work in works]

    @property
    def silence(self) -> float:
        return self.clock.monotonic() - self.contact.oldest()

    async def asked(self, seconds: float) -> None:
        """Let time pass until the API was asked once more."""
        before = len(self.api.requests)
        await self.clock.advance(seconds)
        await until(lambda: len(self.api.requests) > before)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    api = FakeApi()
    await api.start()
    api.lists.append((200, pod_list(10)))
    api.routes[KUBE_SYSTEM] = (200, {"kind": "Namespace"})
    kube = await Kube.from_kubeconfig(kubeconfig(api.url))
    watched = Watched(api, kube)
    yield watched
    for task in watched.tasks:
        task.cancel()
    await asyncio.gather(*watched.tasks, return_exceptions=True)
    await kube.close()
    await api.stop()


async def test_a_quiet_hour_is_no_outage(watched: Watched) -> None:
    watched.start()
    await until(lambda: watched.reflector.connected)

    for _ in range(120):
        await watched.asked(30)
        await until(lambda: watched.silence < CONTACT_LOST_AFTER)


async def test_an_apiserver_that_fails_falls_silent(watched: Watched) -> None:
    watched.start()
    await until(lambda: watched.reflector.connected)
    watched.api.routes[KUBE_SYSTEM] = (503, status(503, "ServiceUnavailable"))

    for _ in range(3):
        await watched.asked(30)

    assert watched.silence >= CONTACT_LOST_AFTER


async def test_answers_do_not_count_for_a_watch_that_is_refused(watched: Watched) -> None:
    watched.api.lists.clear()
    watched.start()

    for _ in range(3):
        await watched.asked(30)

    assert watched.contact.oldest() == float("-inf")
