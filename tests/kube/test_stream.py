from collections.abc import Callable

import pytest

from hk3s_kube import errors
from hk3s_kube.client import Kube
from hk3s_kube.objects import UNFINISHED_PODS, Pod
from hk3s_kube.stream import ChangeKind, Reflector
from kube.conftest import Background
from kube.fakes import FakeApi, FakeClock, event, pod, pod_list, status, until

Changes = list[tuple[ChangeKind, str]]

PODS = "/api/v1/pods"


@pytest.fixture
def changes() -> Changes:
    return []


@pytest.fixture
def reflector(kube: Kube, clock: FakeClock, changes: Changes) -> Reflector[Pod]:
    return make(kube, clock, changes)


def make(
    kube: Kube,
    clock: FakeClock,
    changes: Changes,
    *,
    silence: float = 60.0,
    chance: Callable[[], float] = lambda: 0.0,
    field_selector: str | None = None,
) -> Reflector[Pod]:
    return Reflector(
        kube,
        Pod,
        clock=clock,
        chance=chance,
        field_selector=field_selector,
        on_change=lambda kind, item: changes.append((kind, item.key)),
        silence=silence,
    )


def bookmark(version: int) -> dict[str, object]:
    return event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version)}})


async def test_a_list_in_pages_and_a_watch_make_a_copy(
    api: FakeApi, reflector: Reflector[Pod], changes: Changes, background: Background
) -> None:
    api.lists.extend(
        [
            (200, pod_list(10, pod("a", 1), more="token")),
            (200, pod_list(10, pod("b", 2), pod("c", 3))),
        ]
    )
    api.watches.append(
        [
            event("ADDED", pod("d", 11)),
            event("MODIFIED", pod("a", 12, nodeName="n1")),
            event("DELETED", pod("b", 13)),
            None,
        ]
    )

    background.start(reflector.run())
    await until(lambda: len(changes) == 6)

    assert reflector.synced.is_set()
    assert sorted(reflector.items) == ["default/a", "default/c", "default/d"]
    assert reflector.items["default/a"].spec.node_name == "n1"
    assert reflector.resource_version == "13"
    assert changes[3:] == [
        ("ADDED", "default/d"),
        ("MODIFIED", "default/a"),
        ("DELETED", "default/b"),
    ]
    queries = [request.query for request in api.requests]
    assert queries[0] == {"limit": "500"}
    assert queries[1] == {"limit": "500", "continue": "token"}
    assert queries[2] == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "10",
        "timeoutSeconds": "240",
    }


async def test_a_watch_continues_where_the_bookmark_was(
    api: FakeApi, reflector: Reflector[Pod], background: Background
) -> None:
    api.lists.append((200, pod_list(10)))
    api.watches.append([bookmark(50)])

    background.start(reflector.run())
    await api.idle.wait()

    assert api.requests[-1].query["resourceVersion"] == "50"
    assert len(api.requests) == 3


@pytest.mark.parametrize("inside", [True, False], ids=["as an event", "as the answer"])
async def test_an_expired_version_lists_again_and_tells_missed_changes(
    api: FakeApi,
    reflector: Reflector[Pod],
    changes: Changes,
    background: Background,
    *,
    inside: bool,
) -> None:
    gone = status(410, "Expired")
    api.lists.append((200, pod_list(10, pod("a", 1), pod("b", 2), pod("c", 3))))
    api.watches.append([event("ERROR", gone)] if inside else (410, gone))
    api.lists.append((200, pod_list(99, pod("a", 1), pod("b", 90), pod("c", 91, uid="new"))))

    background.start(reflector.run())
    await api.idle.wait()

    assert changes[3:] == [
        ("MODIFIED", "default/b"),
        ("DELETED", "default/c"),
        ("ADDED", "default/c"),
    ]
    assert api.requests[-1].query["resourceVersion"] == "99"


async def test_a_delete_that_was_missed_is_told_after_the_next_list(
    api: FakeApi, reflector: Reflector[Pod], changes: Changes, background: Background
) -> None:
    api.lists.append((200, pod_list(10, pod("a", 1), pod("b", 2))))
    api.watches.append((410, status(410, "Expired")))
    api.lists.append((200, pod_list(99, pod("b", 2))))

    background.start(reflector.run())
    await api.idle.wait()

    assert changes[2:] == [("DELETED", "default/a")]
    assert list(reflector.items) == ["default/b"]


async def test_what_is_told_need_not_be_kept(
    api: FakeApi, kube: Kube, clock: FakeClock, background: Background
) -> None:
    told: list[tuple[ChangeKind, str]] = []
    reflector = Reflector(
        kube,
        Pod,
        clock=clock,
        chance=lambda: 0.0,
        keep=Pod.identity,
        on_change=lambda kind, item: told.append((kind, item.spec.node_name)),
    )
    api.lists.append((200, pod_list(10, pod("a", 1, nodeName="n1"), pod("b", 2, nodeName="n2"))))
    api.watches.append([event("MODIFIED", pod("a", 11, nodeName="n3"))])
    api.watches.append((410, status(410, "Expired")))
    api.lists.append((200, pod_list(99, pod("a", 11, nodeName="n3"))))

    background.start(reflector.run())
    await api.idle.wait()

    assert told == [("ADDED", "n1"), ("ADDED", "n2"), ("MODIFIED", "n3"), ("DELETED", "")]
    assert reflector.items["default/a"].metadata.uid == pod("a", 11)["metadata"]["uid"]
    assert reflector.items["default/a"].spec.node_name == ""


async def test_an_expired_continue_token_starts_the_list_over(
    api: FakeApi, reflector: Reflector[Pod], background: Background
) -> None:
    api.lists.extend(
        [
            (200, pod_list(10, pod("a", 1), more="old")),
            (410, status(410, "Expired")),
            (200, pod_list(20, pod("b", 2))),
        ]
    )

    background.start(reflector.run())
    await api.idle.wait()

    assert list(reflector.items) == ["default/b"]
    assert "continue" not in api.requests[2].query


async def test_a_storm_of_ends_does_not_spin(
    api: FakeApi, reflector: Reflector[Pod], clock: FakeClock, background: Background
) -> None:
    api.lists.append((200, pod_list(10)))
    api.watches.extend([[] for _ in range(12)])

    background.start(reflector.run())
    await api.idle.wait()

    assert len(api.requests) == 1 + 12 + 1
    assert clock.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15, 15]


async def test_chance_spreads_the_pauses(
    api: FakeApi, kube: Kube, clock: FakeClock, background: Background
) -> None:
    api.lists.append((200, pod_list(10)))
    api.watches.append([])

    background.start(make(kube, clock, [], chance=lambda: 1.0).run())
    await api.idle.wait()

    assert clock.slept == [0.2]


async def test_a_watch_that_lived_long_is_followed_by_a_short_pause(
    api: FakeApi, kube: Kube, clock: FakeClock, background: Background
) -> None:
    def live_on(kind: ChangeKind, item: Pod) -> None:
        clock.advance(11.0)

    reflector = Reflector(kube, Pod, clock=clock, chance=lambda: 0.0, on_change=live_on)
    api.lists.append((200, pod_list(10)))
    api.watches.extend([[], [], [event("ADDED", pod("a", 11))], []])

    background.start(reflector.run())
    await api.idle.wait()

    assert clock.slept == [0.1, 0.2, 0.1, 0.2]


async def test_a_half_open_connection_is_left_and_watched_anew(
    api: FakeApi, kube: Kube, clock: FakeClock, changes: Changes, background: Background
) -> None:
    # Long enough for the second watch to be heard, however busy the machine is.
    reflector = make(kube, clock, changes, silence=0.5)
    api.lists.append((200, pod_list(10)))
    api.watches.extend([[None], [event("ADDED", pod("a", 11))]])

    background.start(reflector.run())
    await until(lambda: changes == [("ADDED", "default/a")])

    assert [request.query.get("watch") for request in api.requests[:3]] == [None, "1", "1"]
    assert api.requests[2].query["resourceVersion"] == "10"


async def test_a_watch_that_stays_silent_for_long_is_followed_by_a_list(
    api: FakeApi, kube: Kube, clock: FakeClock, changes: Changes, background: Background
) -> None:
    reflector = make(kube, clock, changes, silence=0.05)
    api.lists.append((200, pod_list(10)))
    api.watches.append([None])
    api.lists.append((200, pod_list(5, pod("restored", 4))))

    background.start(reflector.run())
    await until(lambda: len(api.requests) >= 2)
    clock.advance(90.0)
    await until(lambda: changes == [("ADDED", "default/restored")])

    await until(lambda: api.requests[-1].query.get("resourceVersion") == "5")


async def test_a_refused_list_is_repeated_and_leaves_nothing_synced(
    api: FakeApi, reflector: Reflector[Pod], background: Background
) -> None:
    api.lists.append((403, status(403, "Forbidden")))

    background.start(reflector.run())
    await until(lambda: isinstance(reflector.last_error, errors.Forbidden))
    synced_too_early = reflector.synced.is_set()
    api.lists.append((200, pod_list(10)))
    await api.idle.wait()

    assert not synced_too_early
    assert reflector.synced.is_set()


async def test_an_object_that_cannot_be_read_does_not_pass_for_fresh(
    api: FakeApi, reflector: Reflector[Pod], clock: FakeClock, background: Background
) -> None:
    api.lists.append((200, pod_list(10)))
    api.watches.append([event("ADDED", pod("a", 11, priority="high"))])

    background.start(reflector.run())
    await until(lambda: reflector.last_error is not None)
    contact = reflector.last_contact
    await until(lambda: len(clock.slept) > 3)

    assert reflector.last_contact == contact
    assert api.said().count(f"GET {PODS}") > 2


async def test_contact_is_the_time_of_the_last_sign_of_life(
    api: FakeApi, kube: Kube, clock: FakeClock, background: Background
) -> None:
    def move(kind: ChangeKind, item: Pod) -> None:
        clock.advance(5.0)

    reflector = Reflector(kube, Pod, clock=clock, chance=lambda: 0.0, on_change=move)
    assert reflector.last_contact is None
    api.lists.append((200, pod_list(10)))
    api.watches.append([event("ADDED", pod("a", 11)), None])

    background.start(reflector.run())
    await until(lambda: reflector.last_contact == 1005.0)


async def test_selectors_go_with_lists_and_watches(
    api: FakeApi, kube: Kube, clock: FakeClock, background: Background
) -> None:
    reflector = make(kube, clock, [], field_selector=UNFINISHED_PODS)
    api.lists.append((200, pod_list(10)))

    background.start(reflector.run())
    await api.idle.wait()

    assert [request.query["fieldSelector"] for request in api.requests] == [UNFINISHED_PODS] * 2


async def test_an_object_larger_than_the_read_buffer_arrives_whole(
    api: FakeApi, reflector: Reflector[Pod], changes: Changes, background: Background
) -> None:
    large = pod("a", 11)
    large["metadata"]["annotations"] = {"big": "x" * 5_000_000}
    api.lists.append((200, pod_list(10)))
    api.watches.append([event("ADDED", large), None])

    background.start(reflector.run())
    await until(lambda: len(changes) == 1)

    assert len(reflector.items["default/a"].metadata.annotations["big"]) == 5_000_000
