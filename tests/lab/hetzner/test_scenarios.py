"""Scripts of stock and accidents, and a state that survives the process."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from hk3s_lab.clock import ManualClock
from hk3s_lab.hetzner import state
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.events import NetworkRoutesChanged, ServerDeleted, ServerPoweredOn
from lab.hetzner.support import TOKEN, Cloud, Json, running_cloud, server_body

SCENARIO = yaml.safe_load("""
stock: {"cx23/fsn1": false}
limits: {servers: 5}
faults:
  - {match: {method: DELETE}, times: 1, effect: {error: {code: unavailable}}}
timeline:
  - {at: 60, stock: {"cx23/fsn1": true}}
  - {at: 90, limits: {servers: 2}, clear_faults: true}
  - {at: 120, stock: {"cx23/fsn1": null, "cx*/*": "refused"}}
""")


async def test_stock_follows_a_script(cloud: Cloud) -> None:
    cloud.emulator.play(SCENARIO)

    async def order(name: str) -> int:
        return (await cloud.post("/servers", server_body(name))).status

    assert await order("early") == 412
    await cloud.advance(59.9)
    assert await order("almost") == 412
    await cloud.advance(0.2)
    assert await order("now") == 201
    await cloud.advance(60)
    assert await order("late") == 412
    types = (await cloud.get("/server_types?name=cx23")).body["server_types"]
    assert all(place["available"] for place in types[0]["locations"])  # refused, though listed
    assert (await cloud.get("/_lab/limits")).body["servers"] == 2
    assert (await cloud.get("/_lab/faults")).body["faults"] == []


async def test_a_script_can_be_posted_and_shows_what_is_to_come(cloud: Cloud) -> None:
    reply = await cloud.post("/_lab/scenario", {"timeline": SCENARIO["timeline"]})
    assert [step["in"] for step in reply.body["timeline"]] == [60, 90, 120]
    await cloud.advance(100)
    left = (await cloud.get("/_lab/scenario")).body["timeline"]
    assert [step["in"] for step in left] == [20]


@pytest.mark.parametrize(
    "wrong",
    [
        {"weather": "rain"},
        {"stock": {"cx23/moon": True}},
        {"stock": []},
        {"limits": {"servers": -1}},
        {"faults": {"a": 1}},
        {"timeline": {}},
        {"timeline": [{"stock": {}}]},
        {"timeline": [{"at": -1, "stock": {}}]},
        {"timeline": [{"at": 1, "vanish": {}}]},
        {"timeline": [{"at": 1, "vanish": {"label": "a==="}}]},
    ],
)
async def test_a_wrong_script_changes_nothing(cloud: Cloud, wrong: Json) -> None:
    before = (await cloud.get("/_lab/stock")).body
    with pytest.raises(ApiError) as caught:
        cloud.emulator.play({"stock": {"cx23/fsn1": False}, **wrong})
    assert caught.value.code == "invalid_input"
    assert (await cloud.get("/_lab/stock")).body == before


async def test_a_server_can_vanish_even_while_an_action_runs(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server("gone", networks=[network["id"]], labels={"pool": "a"})
    path = f"/servers/{server['id']}"
    reboot = (await cloud.post(f"{path}/actions/reboot")).body["action"]

    hit = await cloud.post("/_lab/events", {"vanish": {"label": "pool=a"}})

    assert hit.body == {"servers": [server["id"]]}
    assert (await cloud.get(path)).status == 404
    assert (await cloud.get(f"/actions/{reboot['id']}")).body["action"]["status"] == "error"
    assert (await cloud.get(f"/networks/{network['id']}")).body["network"]["servers"] == []
    assert ServerDeleted(server["id"]) in cloud.events


async def test_a_server_can_crash_and_come_back(cloud: Cloud) -> None:
    server = await cloud.server("shaky")
    cloud.events.clear()
    hit = await cloud.post("/_lab/events", {"reboot": {"name": "sha*"}})
    assert hit.body == {"servers": [server["id"]]}
    assert cloud.events[-1] == ServerPoweredOn(server["id"])


async def test_routes_through_a_lost_gateway_lead_nowhere(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server("bastion", networks=[network["id"]])
    route = {"destination": "0.0.0.0/0", "gateway": server["private_net"][0]["ip"]}
    await cloud.post(f"/networks/{network['id']}/actions/add_route", route)
    await cloud.settled()
    cloud.events.clear()

    await cloud.post("/_lab/events", {"nat_loss": {"name": "bastion"}})
    assert cloud.emulator.routes(network["id"]) == ()
    assert cloud.events == [NetworkRoutesChanged(network["id"])]
    shown = (await cloud.get(f"/networks/{network['id']}")).body["network"]["routes"]
    assert shown == [route]  # the API does not know

    await cloud.post("/_lab/events", {"nat_back": {"name": "bastion"}})
    assert cloud.emulator.routes(network["id"]) == (("0.0.0.0/0", route["gateway"]),)


async def test_an_unknown_event_is_refused(cloud: Cloud) -> None:
    assert (await cloud.post("/_lab/events", {"flood": {"name": "x"}})).code == "invalid_input"
    assert (await cloud.post("/_lab/events", {})).code == "invalid_input"


async def everything(cloud: Cloud) -> list[bytes]:
    paths = ("servers", "networks", "volumes", "load_balancers", "primary_ips", "firewalls")
    found = [(await cloud.get(f"/{path}?per_page=50")).raw for path in paths]
    controls = ("cost", "servers", "stock", "limits", "faults", "scenario")
    return found + [(await cloud.get(f"/_lab/{name}")).raw for name in controls]


async def busy(cloud: Cloud) -> None:
    network = await cloud.network()
    await cloud.server("one", networks=[network["id"]], user_data="#cloud-config\n")
    await cloud.make("/volumes", {"name": "v", "size": 10, "location": "fsn1"})
    lb = {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1", "network": network["id"]}
    await cloud.make("/load_balancers", lb)
    await cloud.make("/firewalls", {"name": "f"})
    cloud.emulator.play(SCENARIO)
    await cloud.put("/_lab/stock", {"cx23/fsn1": True})
    await cloud.post("/servers", server_body("two", networks=[network["id"]]))


async def test_a_saved_state_continues_as_if_nothing_had_happened() -> None:
    async with running_cloud(seed=3) as first:
        await busy(first)
        before, saved = await everything(first), first.emulator.save()
        await first.advance(61)
        expected = await everything(first)

    loaded = state.load(saved)
    clock = ManualClock(loaded.now)
    emulator = Emulator(clock=clock, seed=99, stock="all")
    emulator.restore(loaded)
    endpoint = await emulator.start()
    second = Cloud(emulator, clock, endpoint, first.session, TOKEN)
    try:
        async with running_cloud() as spare:
            second.session = spare.session
            assert await everything(second) == before
            await second.advance(61)
            assert await everything(second) == expected
    finally:
        await emulator.stop()


def test_a_state_file_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    state.write(path, b"{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["cloud.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", json.dumps({"version": 1}).encode()])
def test_what_is_no_state_is_refused(content: bytes) -> None:
    with pytest.raises(state.StateError):
        state.load(content)
