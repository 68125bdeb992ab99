"""Killed at any call, an answer lost at any call: nothing bought twice, nothing half-made kept."""

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping

import pytest
import structlog

from autoscaler.daemon.mortal import WRITES, Fate, Realm

FATES: tuple[Fate, ...] = ("before", "after", "lost")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of lives are told of by what they leave behind."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


async def story(fates: Mapping[int, Fate], *, pods: int = 6) -> Realm:
    """Grow for pods, shrink by moving what is left, shrink to nothing."""
    realm = Realm(fates=fates)
    await realm.begin()
    realm.ask(pods)
    await realm.live(16)
    for _ in range(8):
        if all(pod.node for pod in realm.cluster.pod_objects.values()):
            break
        await realm.live(10)
    else:
        raise AssertionError("pods wait for ever")
    kept = {pod.node: key.name for key, pod in realm.cluster.pod_objects.items()}
    realm.drop({key.name for key in realm.cluster.pod_objects} - set(kept.values()))
    await realm.live(40)
    running = [pod for pod in realm.cluster.pod_objects.values() if pod.node and not pod.deleted_at]
    assert len(running) == len(kept), "what was moved runs again"
    realm.drop([key.name for key in realm.cluster.pod_objects])
    await realm.live(30)
    await realm.end()
    return realm


def check(realm: Realm, servers: int) -> None:
    """Hold the end of a story against what was needed."""
    assert len(realm.cloud.bought) == servers, realm.calls
    assert realm.most == servers
    assert realm.cloud.servers == {}, "half-made or idle servers are kept"
    assert realm.cluster.node_objects == {}
    assert len(set(realm.cluster.evicted)) == len(realm.cluster.evicted), "a pod was evicted twice"
    left = realm.cluster.tokens.keys()
    assert left.isdisjoint(realm.cloud.bought), "the token of a joined server is still valid"


async def test_each_kind_of_call_is_made_in_the_story() -> None:
    """What the next test kills at is what there is; uncordon and replacing have their own tests."""
    realm = await story({})

    check(realm, 2)
    assert set(realm.calls) == WRITES - {"uncordon", "mark_replacing"}


@pytest.mark.parametrize("fate", FATES)
async def test_a_fate_at_any_writing_call_changes_nothing(fate: Fate) -> None:
    calls = (await story({})).calls
    told = {"emit", "write_report", "write_pool_status"}
    places = [n for n, name in enumerate(calls) if name not in told or calls[:n].count(name) < 2]

    for place in places:
        realm = await story({place: fate})
        assert realm.deaths == (0 if fate == "lost" else 1), f"{fate} call {place}"
        check(realm, 2)


async def many_fates(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    fates = {place: chance.choice(FATES) for place in range(200) if chance.random() < 0.12}
    fates[chance.randrange(12)] = "after"  # one death at least
    realm = await story(fates, pods=9)
    assert realm.deaths > 0
    check(realm, 3)


@pytest.mark.parametrize("seed", range(16))
async def test_many_fates_in_one_story_change_nothing(seed: int) -> None:
    await many_fates(seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_stories_end_alike() -> None:
    for seed in range(1000, 4000):
        asyncio.run(many_fates(seed))
