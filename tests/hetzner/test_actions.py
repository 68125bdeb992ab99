import asyncio

import pytest

from hetzner import facts
from hetzner.conftest import FakeClock
from hetzner.scripted import Scripted
from hk3s_hetzner import errors
from hk3s_hetzner.actions import growing
from hk3s_hetzner.client import Hetzner


def ids(*numbers: int) -> dict[str, list[str]]:
    return {"id": [str(number) for number in numbers], "per_page": ["50"]}


async def test_two_waiters_share_one_poll(api: Scripted, hetzner: Hetzner) -> None:
    done = [facts.action(1, "success"), facts.action(2, "success"), facts.action(3, "success")]
    api.expect("GET", "/actions", query=ids(1, 2, 3), json={"actions": done})

    first, second = await asyncio.gather(
        hetzner.wait([2, 1], timeout=60), hetzner.wait([3], timeout=60)
    )

    assert [action.id for action in first] == [2, 1]
    assert [action.id for action in second] == [3]


async def test_only_what_still_runs_is_asked_for_again(
    api: Scripted, hetzner: Hetzner, clock: FakeClock
) -> None:
    api.expect(
        "GET",
        "/actions",
        query=ids(1, 2),
        json={"actions": [facts.action(1, "success"), facts.action(2)]},
    )
    api.expect("GET", "/actions", query=ids(2), json={"actions": [facts.action(2, "success")]})

    await hetzner.wait([1, 2], timeout=60)

    assert clock.slept == [growing(0), growing(1)]


async def test_many_actions_are_asked_for_by_twenty_five(api: Scripted, hetzner: Hetzner) -> None:
    first, second = range(1, 26), range(26, 31)
    for numbers in (first, second):
        done = [facts.action(number, "success") for number in numbers]
        api.expect("GET", "/actions", query=ids(*numbers), json={"actions": done})

    actions = await hetzner.wait([*first, *second], timeout=60)

    assert len(actions) == 30


async def test_a_failure_after_the_call_reaches_only_who_waits_for_it(
    api: Scripted, hetzner: Hetzner
) -> None:
    error = {"code": "placement_error", "message": "no host"}
    failed = facts.action(1, "error", error=error)
    api.expect(
        "GET", "/actions", query=ids(1, 2), json={"actions": [failed, facts.action(2, "success")]}
    )

    unlucky, lucky = await asyncio.gather(
        hetzner.wait([1], timeout=60), hetzner.wait([2], timeout=60), return_exceptions=True
    )

    assert isinstance(unlucky, errors.CapacityUnavailable)
    assert unlucky.action_id == 1
    assert isinstance(lucky, tuple)


async def test_an_error_beside_a_running_status_is_no_failure(
    api: Scripted, hetzner: Hetzner
) -> None:
    odd = facts.action(1, "running", error={"code": "action_failed", "message": "an example"})
    api.expect("GET", "/actions", json={"actions": [odd]})
    api.expect("GET", "/actions", json={"actions": [facts.action(1, "success")]})

    assert len(await hetzner.wait([1], timeout=60)) == 1


async def test_patience_ends_on_the_clock(api: Scripted, hetzner: Hetzner) -> None:
    for _ in range(3):  # after 0.3, 0.75 and 1.425 s
        api.expect("GET", "/actions", json={"actions": [facts.action(1)]})

    with pytest.raises(errors.ActionTimeout):
        await hetzner.wait([1], timeout=1.0)


async def test_a_failing_poll_is_repeated(api: Scripted, hetzner: Hetzner) -> None:
    api.refuse("GET", "/actions", 503, "unavailable")
    api.expect("GET", "/actions", json={"actions": [facts.action(1, "success")]})

    assert len(await hetzner.wait([1], timeout=60)) == 1


async def test_a_lost_token_ends_the_wait(api: Scripted, hetzner: Hetzner) -> None:
    api.refuse("GET", "/actions", 401, "unauthorized")

    with pytest.raises(errors.AccessDenied):
        await hetzner.wait([1], timeout=60)


async def test_an_unknown_action_is_not_found(api: Scripted, hetzner: Hetzner) -> None:
    api.expect("GET", "/actions", json={"actions": []})

    with pytest.raises(errors.NotFound):
        await hetzner.wait([1], timeout=60)


async def test_nothing_to_wait_for_costs_no_call(hetzner: Hetzner) -> None:
    assert await hetzner.wait([], timeout=60) == ()


async def test_a_cancelled_waiter_is_forgotten(
    api: Scripted, hetzner: Hetzner, clock: FakeClock
) -> None:
    waiting = asyncio.create_task(hetzner.wait([1], timeout=60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    api.expect("GET", "/actions", query=ids(2), json={"actions": [facts.action(2, "success")]})

    assert len(await hetzner.wait([2], timeout=60)) == 1


def test_the_pauses_grow_to_two_seconds() -> None:
    assert [round(growing(n), 3) for n in (0, 1, 2, 5, 100)] == [0.3, 0.45, 0.675, 2.0, 2.0]
