"""A server that lost its Node outlives whatever hides the others, and goes when all is well again.

On fakes and a clock of their own: hours pass in a second.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler import fakes
from autoscaler.daemon.mortal import POOL, Realm
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.ports import Unavailable

MINUTE, HOUR = 60, 3600
GRACE = 5 * MINUTE
HETZNER = ("list_servers", "list_offerings", "count_attachments", "get_server", "delete_server")

Disturbance = Callable[[Realm], Iterator[None]]


def nothing() -> tuple[()]:
    return ()


async def no_servers() -> tuple[()]:
    return ()


async def silent(*_: object) -> None:
    raise Unavailable("no answer")


@contextmanager
def answering(target: object, names: tuple[str, ...], answer: object) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:
            setattr(target, name, answer)
            stack.callback(delattr, target, name)
        yield


def empty_servers(realm: Realm) -> Iterator[None]:
    with answering(realm.cloud, ("list_servers",), no_servers):
        yield


def empty_nodes(realm: Realm) -> Iterator[None]:
    with answering(realm.cluster, ("nodes",), nothing):
        yield


def emptied(realm: Realm) -> Iterator[None]:
    with answering(realm.cluster, ("nodes", "pods", "pools"), nothing):
        yield


def no_hetzner(realm: Realm) -> Iterator[None]:
    with answering(realm.cloud, HETZNER, silent):
        yield


def silent_watch(realm: Realm) -> Iterator[None]:
    realm.cluster.contact = realm.world.clock.monotonic() - 2 * MINUTE
    yield
    realm.cluster.contact = None


def jumped_clock(realm: Realm) -> Iterator[None]:
    realm.world.clock.jumped = timedelta(hours=1)
    yield
    realm.world.clock.jumped = timedelta(hours=0)


def restarts(realm: Realm) -> Iterator[None]:
    """Each new process counts from its own start."""
    realm.process.dead = True
    yield
    realm.process.dead = True


@pytest.fixture
async def realm() -> AsyncIterator[Realm]:
    """Ten servers at work for an hour; what loses its Node does not get it back."""
    realm = Realm(config=PlanConfig(max_servers=20))
    realm.cluster.add(replace(POOL, max_nodes=20, disruption=Disruption(policy="Never")))
    await realm.begin()
    realm.ask(40)
    await realm.live(30)
    await realm.live(HOUR, step=300)
    assert len(realm.cluster.node_objects) == len(realm.cloud.servers) == 10
    realm.cloud.offerings = (fakes.offering("cx23/fsn1"),)
    realm.joins = False
    yield realm
    await realm.end()


def lose_node(realm: Realm) -> str:
    name = min(realm.cluster.node_objects)
    realm.drop([k.name for k, pod in realm.cluster.pod_objects.items() if pod.node == name])
    del realm.cluster.node_objects[name]
    return name


async def seconds_until_gone(realm: Realm, name: str, most: int) -> int:
    waited = 0
    while name in realm.cloud.servers:
        assert waited <= most, "it is never collected"
        await realm.live(10, step=10)
        waited += 10
    return waited


@pytest.mark.parametrize(
    ("disturbance", "least"),
    [
        pytest.param(empty_servers, 0, id="empty-servers"),
        pytest.param(empty_nodes, 0, id="empty-nodes"),
        pytest.param(emptied, 0, id="emptied"),
        pytest.param(no_hetzner, 10 * MINUTE, id="no-hetzner"),
        pytest.param(silent_watch, 10 * MINUTE, id="silent-watch"),
        pytest.param(jumped_clock, 10 * MINUTE, id="clock-jump"),
        pytest.param(restarts, GRACE, id="restarts"),
    ],
)
async def test_a_leftover_outlives_a_disturbance_and_goes_after_it(
    realm: Realm, disturbance: Disturbance, least: int
) -> None:
    """`least`: so many seconds it is left alone from the end of the disturbance on."""
    leftover = lose_node(realm)
    with contextmanager(disturbance)(realm):
        await realm.live(4 * MINUTE, step=20)
        assert len(realm.cloud.servers) == 10
        if least != GRACE:
            await realm.live(8 * MINUTE, step=20)
            assert len(realm.cloud.servers) == 10 or least == 0
            assert realm.cloud.servers.keys() >= realm.cluster.node_objects.keys()

    waited = await seconds_until_gone(realm, leftover, most=17 * MINUTE)
    await realm.live(15 * MINUTE, step=30)

    assert waited >= least
    assert len(realm.cloud.servers) == 9
    assert realm.cloud.servers.keys() == realm.cluster.node_objects.keys()
    assert len(realm.cloud.bought) == 10


async def test_a_server_whose_node_comes_back_in_time_is_left_alone(realm: Realm) -> None:
    name = lose_node(realm)
    await realm.live(GRACE - 20, step=10)
    assert name in realm.cloud.servers

    node = fakes.node(name, server_id=realm.cloud.servers[name].server_id)
    realm.cluster.add(replace(node, created_at=realm.world.clock.now()))
    await realm.live(20 * MINUTE, step=10)

    assert len(realm.cloud.servers) == 10


async def test_a_server_that_lost_its_node_is_collected_after_its_grace(realm: Realm) -> None:
    waited = await seconds_until_gone(realm, lose_node(realm), most=GRACE + MINUTE)

    assert waited >= GRACE
