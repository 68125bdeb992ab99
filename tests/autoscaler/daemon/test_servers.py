"""The cache of Hetzner: how old it may be and what outweighs it."""

import asyncio
from dataclasses import replace

import pytest

from autoscaler.fake_cloud import FakeCloud
from autoscaler.fakes import ManualClock, server
from hk3s_autoscaler.daemon.servers import ServerBook
from hk3s_autoscaler.ports import Unavailable


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cloud = FakeCloud(self.clock)
        self.book = ServerBook(self.cloud, self.clock)

    def names(self) -> list[str]:
        return [found.name for found in self.book.servers()]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_young_list_is_not_read_again(world: World) -> None:
    for _ in range(10):
        await world.book.refresh(max_age=10.0)
        await world.clock.advance(1.0)
    assert world.cloud.count("list_servers") == 1

    await world.book.refresh(max_age=10.0)
    assert world.cloud.count("list_servers") == 2


async def test_an_idle_hour_costs_at_most_sixty_calls(world: World) -> None:
    for _ in range(360):
        await world.book.refresh(max_age=90.0)
        await world.clock.advance(10.0)

    # The catalogue is one call for the types; places and networks are known after the first.
    assert len(world.cloud.calls) <= 60


async def test_an_outage_keeps_the_old_list_and_its_age(world: World) -> None:
    world.cloud.add(server("a"))
    await world.book.refresh(max_age=0)
    await world.clock.advance(30.0)
    world.cloud.fail("list_servers", Unavailable("no answer"))

    await world.book.refresh(max_age=10.0)

    assert world.names() == ["a"]
    assert not world.book.answers
    assert world.book.age() == 30.0

    await world.book.refresh(max_age=10.0)
    assert not world.book.answers, "it is not asked again at once"
    await world.clock.advance(1.0)
    await world.book.refresh(max_age=10.0)
    assert world.book.answers


async def test_without_any_list_an_outage_is_an_error(world: World) -> None:
    world.cloud.fail("list_servers", Unavailable("no answer"))

    with pytest.raises(Unavailable):
        await world.book.refresh(max_age=10.0)


async def test_a_server_made_during_a_listing_is_not_lost(world: World) -> None:
    await world.book.refresh(max_age=0)
    await world.clock.advance(5.0)
    stale = world.cloud.servers.copy()

    async def stale_list() -> tuple[object, ...]:
        await world.clock.advance(1.0)
        world.book.put(server("made"))
        return tuple(stale.values())

    world.cloud.list_servers = stale_list  # type: ignore[method-assign, assignment]
    await world.book.refresh(max_age=0)

    assert world.names() == ["made"]


async def test_a_listing_that_lags_behind_is_believed_only_later(world: World) -> None:
    world.book.put(server("made"))
    await world.clock.advance(5.0)
    await world.book.refresh(max_age=0)
    assert world.names() == ["made"]

    await world.clock.advance(30.0)
    await world.book.refresh(max_age=0)
    assert world.names() == []


async def test_a_listing_updates_what_we_made(world: World) -> None:
    world.book.put(server("made", status="starting", private_address=""))
    world.cloud.add(server("made", status="running", private_address="10.4.1.9"))
    await world.clock.advance(5.0)
    await world.book.refresh(max_age=0)

    (found,) = world.book.servers()
    assert (found.status, found.private_address) == ("running", "10.4.1.9")


async def test_a_create_under_way_stays_requested_when_it_is_listed(world: World) -> None:
    requested = server("new", server_id=0, status="requested", attached=False)
    world.book.request(requested)
    world.cloud.add(server("new", server_id=9, status="off", attached=False))
    await world.book.refresh(max_age=0)

    assert world.book.servers() == (replace(requested, server_id=9),)
    assert world.book.is_under_way("new")

    world.book.withdraw("new")
    assert world.book.servers()[0].status == "off"


async def test_a_delete_under_way_shows_until_it_is_over(world: World) -> None:
    world.cloud.add(server("old"))
    await world.book.refresh(max_age=0)

    world.book.begin_delete("old")
    assert world.book.servers()[0].status == "deleting"

    world.book.end_delete("old", gone=True)
    assert world.names() == []


async def test_members_of_the_network_are_ours_and_others(world: World) -> None:
    world.cloud.add(server("a"), server("b", server_id=2))
    await world.book.refresh(max_age=0)
    assert world.book.attachments == 4

    world.book.request(server("c", server_id=0, status="requested"))
    assert world.book.attachments == 5
    await asyncio.sleep(0)
