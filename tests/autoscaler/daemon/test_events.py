"""Events: queued, not repeated, never in the way."""

import pytest

from autoscaler import fakes
from autoscaler.fake_cluster import FakeCluster
from hk3s_autoscaler.daemon.events import Recorder
from hk3s_autoscaler.ports import ObjectRef, Unavailable

ABOUT = ObjectRef(kind="NodePool", name="workers", uid="u")


class World:
    def __init__(self) -> None:
        self.clock = fakes.ManualClock()
        self.cluster = FakeCluster(self.clock)
        self.recorder = Recorder(self.cluster, self.clock)

    def emit(self, message: str = "m") -> None:
        self.recorder.emit(ABOUT, reason="R", message=message)


@pytest.fixture
def world() -> World:
    return World()


async def test_equal_events_are_recorded_every_ten_minutes(world: World) -> None:
    for _ in range(61):
        world.emit()
        await world.clock.advance(10)
    await world.recorder.flush()

    assert world.cluster.reasons() == ["R", "R"]


async def test_different_messages_are_different_events(world: World) -> None:
    world.emit("a")
    world.emit("b")
    await world.recorder.flush()

    assert len(world.cluster.events) == 2


async def test_an_event_that_cannot_be_written_is_let_go(world: World) -> None:
    world.cluster.fail("emit", Unavailable("no answer"))
    world.emit("lost")
    world.emit("kept")
    await world.recorder.flush()

    assert [message for _, _, message in world.cluster.events] == ["kept"]


async def test_a_flood_is_cut_not_waited_for(world: World) -> None:
    for number in range(2000):
        world.emit(str(number))
    await world.recorder.flush()

    assert len(world.cluster.events) == 500
