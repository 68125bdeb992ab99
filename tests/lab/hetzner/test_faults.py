import aiohttp
import pytest

from hk3s_lab.hetzner.events import ServerDeleted
from lab.hetzner.support import Cloud, Json, server_body

UNAVAILABLE = {"error": {"status": 503, "code": "unavailable", "message": "try later"}}


async def arm(cloud: Cloud, effect: Json, **rest: Json) -> Json:
    reply = await cloud.post("/_lab/faults", {"effect": effect, **rest})
    assert reply.status == 200, reply.body
    return reply.body["faults"][0]


async def statuses(cloud: Cloud, count: int, path: str = "/servers") -> list[int]:
    return [(await cloud.get(path)).status for _ in range(count)]


async def test_an_error_replaces_the_answer(cloud: Cloud) -> None:
    await arm(cloud, UNAVAILABLE)

    reply = await cloud.post("/servers", server_body())

    assert (reply.status, reply.code) == (503, "unavailable")
    assert reply.body["error"]["message"] == "try later"
    assert (await cloud.get("/_lab/servers")).body["servers"] == []


async def test_a_code_brings_its_own_status(cloud: Cloud) -> None:
    await arm(cloud, {"error": {"code": "conflict"}})

    assert (await cloud.get("/servers")).status == 409


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        pytest.param({}, [503, 503, 503, 503], id="always"),
        pytest.param({"times": 2}, [503, 503, 200, 200], id="times"),
        pytest.param({"nth": 3}, [200, 200, 503, 200], id="nth"),
        pytest.param({"probability": 0}, [200, 200, 200, 200], id="never"),
        pytest.param({"probability": 1, "times": 1}, [503, 200, 200, 200], id="surely-once"),
    ],
)
async def test_when_a_fault_fires(cloud: Cloud, rest: Json, expected: list[int]) -> None:
    await arm(cloud, UNAVAILABLE, **rest)

    assert await statuses(cloud, 4) == expected


async def test_chance_is_seeded(cloud: Cloud) -> None:
    await arm(cloud, UNAVAILABLE, probability=0.5)

    seen = await statuses(cloud, 200)

    assert 70 < seen.count(503) < 130


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param({"method": "GET"}, 503, id="method"),
        pytest.param({"method": "post"}, 200, id="other-method"),
        pytest.param({"path": "^/servers/\\d+$"}, 503, id="path"),
        pytest.param({"path": "^/servers$"}, 200, id="other-path"),
        pytest.param({"name": "demo-*"}, 503, id="name"),
        pytest.param({"name": "other-*"}, 200, id="other-name"),
        pytest.param({"label": "role=worker,!x"}, 503, id="label"),
        pytest.param({"label": "role=master"}, 200, id="other-label"),
        pytest.param({"name": "demo-*", "label": "role=master"}, 200, id="both-must-hold"),
    ],
)
async def test_what_a_fault_matches(cloud: Cloud, match: Json, expected: int) -> None:
    server = await cloud.server("demo-1", labels={"role": "worker"})
    await arm(cloud, UNAVAILABLE, match=match)

    assert await statuses(cloud, 1, f"/servers/{server['id']}") == [expected]


async def test_a_create_is_matched_by_the_name_it_asks_for(cloud: Cloud) -> None:
    await arm(cloud, UNAVAILABLE, match={"name": "bad-*"})

    assert (await cloud.post("/servers", server_body("bad-1"))).status == 503
    assert (await cloud.post("/servers", server_body("good-1"))).status == 201


async def test_a_create_fails_after_its_201_and_the_server_disappears(cloud: Cloud) -> None:
    failure = {"code": "resource_unavailable", "message": "no host"}
    await arm(cloud, {"action_fails": failure}, times=1)

    reply = await cloud.post("/servers", server_body())
    before = (await cloud.get("/servers")).body["servers"]
    action = await cloud.action(reply)
    start = reply.body["next_actions"][0]["id"]
    following = (await cloud.get(f"/actions/{start}")).body["action"]

    assert (reply.status, len(before)) == (201, 1)
    assert (action["status"], action["error"]) == ("error", failure)
    assert (following["status"], following["error"]) == ("error", failure)
    assert (await cloud.get("/servers")).body["servers"] == []
    assert (await cloud.get("/primary_ips")).body["primary_ips"] == []
    assert cloud.events == [ServerDeleted(reply.body["server"]["id"])]
    assert (await cloud.post("/servers", server_body())).status == 201


async def test_a_failed_start_leaves_the_server_off(cloud: Cloud) -> None:
    await arm(cloud, {"action_fails": {"code": "placement_error", "command": "start_server"}})

    reply = await cloud.post("/servers", server_body())
    action = await cloud.action(reply)

    assert action["status"] == "success"
    assert (await cloud.get("/servers")).body["servers"][0]["status"] == "off"


async def test_a_failed_attachment_gives_the_address_back(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.private_server()
    path = f"/servers/{server['id']}/actions/attach_to_network"
    await arm(cloud, {"action_fails": {"code": "server_error"}}, times=1)

    first = await cloud.action(await cloud.post(path, {"network": network["id"]}))
    second = await cloud.action(await cloud.post(path, {"network": network["id"]}))

    assert (first["status"], second["status"]) == ("error", "success")
    nics = (await cloud.get(f"/servers/{server['id']}")).body["server"]["private_net"]
    assert [nic["ip"] for nic in nics] == ["10.4.0.2"]


async def test_a_hanging_action_locks_and_fails_in_the_end(cloud: Cloud) -> None:
    server = await cloud.server()
    path = f"/servers/{server['id']}"
    await arm(cloud, {"action_hangs": {"seconds": 100}}, times=1)

    action = (await cloud.post(f"{path}/actions/poweroff")).body["action"]
    await cloud.advance(99)
    hanging = (await cloud.get(f"/actions/{action['id']}")).body["action"]
    locked = await cloud.delete(path)
    await cloud.advance(2)
    ended = (await cloud.get(f"/actions/{action['id']}")).body["action"]

    assert (hanging["status"], locked.code) == ("running", "locked")
    assert (ended["status"], ended["error"]["code"]) == ("error", "timeout")
    assert (await cloud.get(path)).body["server"]["status"] == "running"
    assert (await cloud.delete(path)).status == 200


async def test_dropped_before_nothing_happened(cloud: Cloud) -> None:
    await arm(cloud, {"drop_before": True}, match={"method": "POST"}, times=1)

    with pytest.raises(aiohttp.ClientError):
        await cloud.post("/servers", server_body())

    assert (await cloud.get("/servers")).body["servers"] == []
    entry = (await cloud.get("/_lab/requests")).body["requests"][0]
    assert (entry["status"], entry["code"]) == (None, "dropped_before")


async def test_dropped_after_the_effect_stays(cloud: Cloud) -> None:
    await arm(cloud, {"drop_after": True}, match={"method": "POST"}, times=1)

    with pytest.raises(aiohttp.ClientError):
        await cloud.post("/servers", server_body())

    assert len((await cloud.get("/servers")).body["servers"]) == 1
    assert (await cloud.post("/servers", server_body())).code == "uniqueness_error"
    entry = (await cloud.get("/_lab/requests")).body["requests"][0]
    assert (entry["status"], entry["code"]) == (None, "dropped_after")


async def test_the_first_fault_that_fires_wins_and_all_count(cloud: Cloud) -> None:
    await arm(cloud, {"error": {"code": "timeout"}}, nth=2)
    second = await arm(cloud, UNAVAILABLE)

    assert await statuses(cloud, 3) == [503, 504, 503]
    listed = (await cloud.get("/_lab/faults")).body["faults"]
    assert [(f["matched"], f["fired"]) for f in listed] == [(3, 1), (3, 2)]

    await cloud.delete(f"/_lab/faults?id={second['id']}")
    assert await statuses(cloud, 1) == [200]
    assert (await cloud.delete(f"/_lab/faults?id={second['id']}")).status == 404
    assert (await cloud.delete("/_lab/faults")).body == {"faults": []}


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"effect": {}},
        {"effect": {"explode": True}},
        {"effect": UNAVAILABLE, "when": 1},
        {"effect": UNAVAILABLE, "nth": 0},
        {"effect": UNAVAILABLE, "probability": 2},
        {"effect": UNAVAILABLE, "match": {"path": "("}},
        {"effect": UNAVAILABLE, "match": {"label": "=="}},
        {"effect": {"error": {"status": 200, "code": "x"}}},
        {"effect": {"action_fails": {}}},
    ],
)
async def test_faults_that_are_refused(cloud: Cloud, fault: Json) -> None:
    good = {"effect": UNAVAILABLE}

    reply = await cloud.post("/_lab/faults", [good, fault])

    assert (reply.status, reply.code) == (422, "invalid_input")
    assert (await cloud.get("/_lab/faults")).body == {"faults": []}
