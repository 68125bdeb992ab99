"""Empty lists, APIs that go away, clocks that jump: nothing dies that should live."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autoscaler import fakes
from autoscaler.daemon.mortal import POOL, Realm
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.ports import Unavailable

MINUTE, HOUR = 60, 3600
METHODS = (
    "list_servers",
    "list_offerings",
    "count_attachments",
    "get_server",
    "create_server",
    "attach_server",
    "power_on_server",
    "delete_server",
)


@pytest.fixture
async def realm() -> AsyncIterator[Realm]:
    """Ten servers of four pods each, all at work, for hours already."""
    realm = Realm(config=PlanConfig(max_servers=20))
    realm.cluster.add(replace(POOL, max_nodes=20))
    await realm.begin()
    realm.ask(40)
    await realm.live(30)
    await realm.live(HOUR, step=300)
    assert len(realm.cluster.node_objects) == len(realm.cloud.servers) == 10
    yield realm
    await realm.end()


@contextmanager
def changed(target: object, name: str, value: object) -> Iterator[None]:
    """Let a method of a fake answer otherwise for a while."""
    setattr(target, name, value)
    try:
        yield
    finally:
        delattr(target, name)


@contextmanager
def hetzner_away(realm: Realm) -> Iterator[None]:
    async def silent(*_: object) -> None:
        raise Unavailable("no answer")

    for name in METHODS:
        setattr(realm.cloud, name, silent)
    try:
        yield
    finally:
        for name in METHODS:
            delattr(realm.cloud, name)


def alive(realm: Realm) -> tuple[int, int]:
    return len(realm.cloud.servers), len(realm.cluster.node_objects)


def nothing() -> tuple[()]:
    return ()


async def no_servers() -> tuple[()]:
    return ()


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param({"list_servers": no_servers}, id="no-servers"),
        pytest.param({"nodes": nothing}, id="no-nodes"),
        pytest.param({"nodes": nothing, "pods": nothing}, id="no-nodes-and-pods"),
        pytest.param({"nodes": nothing, "pods": nothing, "pools": nothing}, id="emptied"),
    ],
)
async def test_an_empty_list_costs_nobody_a_server(
    realm: Realm, empty: dict[str, Callable[..., Any]]
) -> None:
    bought = len(realm.cloud.bought)
    for name, answer in empty.items():
        setattr(realm.cloud if name == "list_servers" else realm.cluster, name, answer)
    await realm.live(20 * MINUTE, step=30)
    for name in empty:
        delattr(realm.cloud if name == "list_servers" else realm.cluster, name)
    assert alive(realm) == (10, 10)

    await realm.live(20 * MINUTE, step=30)

    assert alive(realm) == (10, 10)
    assert len(realm.cloud.bought) == bought


async def test_two_hours_without_hetzner_delete_nothing_and_the_idle_go_ten_minutes_later(
    realm: Realm,
) -> None:
    with hetzner_away(realm):
        await realm.live(2 * MINUTE, step=5)
        realm.drop([key.name for key in realm.cluster.pod_objects])
        realm.ask(4, "late")
        await realm.live(2 * HOUR, step=60)
        assert alive(realm) == (10, 10)
    back = realm.world.clock.now()
    while len(realm.cloud.servers) == 10:
        await realm.live(5, step=5)
    waited = realm.world.clock.now() - back
    await realm.live(10 * MINUTE, step=5)

    assert timedelta(minutes=10) <= waited <= timedelta(minutes=12)
    assert alive(realm) == (1, 1)
    assert len(realm.cloud.bought) == 10


async def test_ten_joins_outlive_the_bastion() -> None:
    """Without it the new servers have no egress, and the daemon has none either.

    An outage beyond the life of the join tokens would be another story.
    """
    realm = Realm(config=PlanConfig(max_servers=20))
    realm.cluster.add(replace(POOL, max_nodes=20))
    await realm.begin()
    realm.ask(40)
    realm.joins = False
    await realm.live(5)
    assert len(realm.cloud.servers) == 10
    with hetzner_away(realm):
        await realm.live(14 * MINUTE, step=10)
    realm.joins = True
    await realm.live(5 * MINUTE, step=5)
    await realm.end()

    assert alive(realm) == (10, 10)
    assert len(realm.cloud.bought) == 10
    assert all(pod.node for pod in realm.cluster.pod_objects.values())


async def test_a_stale_watch_does_not_delete_under_a_pod(realm: Realm) -> None:
    """What the watch still shows as idle is looked at again, past the caches."""
    realm.cluster.add(replace(POOL, disruption=replace(POOL.disruption, policy="WhenEmpty")))
    old = realm.cluster.pods()
    gone = {pod.node for pod in old[:4]}
    stale = tuple(pod for pod in old if pod.node not in gone)
    with changed(realm.cluster, "pods", lambda: stale):
        await realm.live(10 * MINUTE, step=5)
        assert alive(realm) == (10, 10)
        assert realm.cluster.evicted == []
    await realm.live(5 * MINUTE, step=5)

    assert alive(realm) == (10, 10)
    assert not any(node.unschedulable for node in realm.cluster.node_objects.values())


async def test_a_watch_that_hears_nothing_freezes_deletions(realm: Realm) -> None:
    realm.drop([key.name for key in realm.cluster.pod_objects])
    realm.cluster.contact = realm.world.clock.monotonic() - 120
    await realm.live(20 * MINUTE, step=30)
    assert alive(realm) == (10, 10)

    realm.cluster.contact = None
    await realm.live(20 * MINUTE, step=5)

    assert alive(realm) == (0, 0)


@pytest.mark.parametrize("minutes", [20, 60, -60])
async def test_a_clock_that_jumps_fails_no_join(realm: Realm, minutes: int) -> None:
    """The daemon's own clock; tokens and boots follow the others'."""
    realm.ask(8, "more")
    realm.joins = False
    await realm.live(60)
    assert len(realm.cloud.servers) == 12

    realm.world.clock.jumped = timedelta(minutes=minutes)
    await realm.live(5 * MINUTE, step=5)
    realm.joins = True
    await realm.live(MINUTE)

    assert alive(realm) == (12, 12)
    assert len(realm.cloud.bought) == 12


@pytest.mark.parametrize(("lost", "left"), [(2, 8), (3, 10)])
async def test_leftovers_are_collected_a_fifth_at_once_at_most(
    realm: Realm, lost: int, left: int
) -> None:
    """Servers whose Nodes somebody deleted, and which do not register again."""
    realm.cluster.add(replace(POOL, max_nodes=20, disruption=Disruption(policy="Never")))
    realm.joins = False
    realm.cloud.offerings = (fakes.offering("cx23/fsn1"),)
    for name in sorted(realm.cluster.node_objects)[:lost]:
        realm.drop([k.name for k, p in realm.cluster.pod_objects.items() if p.node == name])
        del realm.cluster.node_objects[name]

    with hetzner_away(realm):
        await realm.live(5 * MINUTE, step=10)
    await realm.live(9 * MINUTE, step=10)
    assert len(realm.cloud.servers) == 10
    await realm.live(20 * MINUTE, step=30)

    assert len(realm.cloud.servers) == left
