"""The lab's own endpoint: stock, limits, the log, the bill, the clock."""

import pytest

from lab.hetzner.support import PRIVATE, TOKEN, Cloud, Json, running_cloud, server_body


async def stock_of(cloud: Cloud, name: str, location: str) -> bool:
    types = (await cloud.get(f"/server_types?name={name}")).body["server_types"]
    return next(bool(p["available"]) for p in types[0]["locations"] if p["name"] == location)


async def test_the_bundled_stock_has_no_cheap_types() -> None:
    async with running_cloud(stock="catalog") as cloud:
        stock = (await cloud.get("/_lab/stock")).body
        sold_out = await cloud.post("/servers", server_body())
        orderable = await cloud.post("/servers", server_body(server_type="cpx22"))

        assert (stock["cx23/fsn1"], stock["cpx22/fsn1"]) == (False, True)
        assert (sold_out.status, sold_out.code) == (412, "resource_unavailable")
        assert orderable.status == 201


async def test_with_all_stock_only_what_left_the_offer_is_missing(cloud: Cloud) -> None:
    stock = (await cloud.get("/_lab/stock")).body

    assert stock["cx23/fsn1"] is True
    assert {key for key, available in stock.items() if not available} == {
        f"cpx{size}1/{location}"
        for size in range(1, 6)
        for location in ("fsn1", "nbg1", "hel1", "sin")
    }


async def test_stock_is_set_by_pattern_and_taken_back(cloud: Cloud) -> None:
    await cloud.put("/_lab/stock", {"cx*/fsn1": False})
    set_back = (await cloud.get("/_lab/stock")).body
    shown = await stock_of(cloud, "cx23", "fsn1")
    elsewhere = await cloud.post("/servers", server_body(location="nbg1"))
    await cloud.put("/_lab/stock", {"cx*/fsn1": None})

    assert (set_back["cx23/fsn1"], set_back["cx53/fsn1"], shown) == (False, False, False)
    assert (set_back["cpx22/fsn1"], elsewhere.status) == (True, 201)
    assert await stock_of(cloud, "cx23", "fsn1")


async def test_refused_is_sold_out_though_listed_as_available(cloud: Cloud) -> None:
    stock = (await cloud.put("/_lab/stock", {"cx23/fsn1": "refused"})).body

    reply = await cloud.post("/servers", server_body())

    assert (stock["cx23/fsn1"], await stock_of(cloud, "cx23", "fsn1")) == ("refused", True)
    assert (reply.status, reply.code) == (412, "resource_unavailable")


async def test_stock_overrides_at_the_start() -> None:
    async with running_cloud(stock={"cx23/fsn1": True}) as cloud:
        assert (await cloud.post("/servers", server_body())).status == 201
        assert (await cloud.post("/servers", server_body("b", location="nbg1"))).status == 412


async def test_without_a_location_one_in_stock_is_chosen(cloud: Cloud) -> None:
    await cloud.put("/_lab/stock", {"cx23/fsn1": False, "cx23/nbg1": False})

    reply = await cloud.post("/servers", {**server_body(), "location": None})

    assert reply.body["server"]["location"]["name"] == "hel1"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/_lab/stock", {"cx99/fsn1": True}, id="unknown-type"),
        pytest.param("/_lab/stock", {"cx23/fsn1": "no"}, id="stock-text"),
        pytest.param("/_lab/stock", {"cx23/fsn1": 1}, id="stock-number"),
        pytest.param("/_lab/limits", {"dogs": 1}, id="unknown-limit"),
        pytest.param("/_lab/limits", {"servers": -1}, id="negative-limit"),
        pytest.param("/_lab/limits", {"servers": True}, id="limit-flag"),
    ],
)
async def test_settings_that_are_refused(cloud: Cloud, path: str, body: Json) -> None:
    reply = await cloud.put(path, body)

    assert (reply.status, reply.code) == (422, "invalid_input")


async def test_the_limits_of_a_new_account(cloud: Cloud) -> None:
    limits = (await cloud.put("/_lab/limits", {"servers": 5, "dedicated_cores": 8})).body
    made = [await cloud.post("/servers", server_body(f"s{n}")) for n in range(6)]

    assert (limits["servers"], limits["members_per_network"]) == (5, 100)
    assert [reply.status for reply in made] == [201] * 5 + [403]
    assert made[5].body["error"]["details"]["limits"] == [{"name": "server_limit"}]


async def test_dedicated_cores_count_together(cloud: Cloud) -> None:
    await cloud.put("/_lab/limits", {"dedicated_cores": 8})

    first = await cloud.post("/servers", server_body("a", server_type="ccx23"))
    shared = await cloud.post("/servers", server_body("b", server_type="cx53"))
    second = await cloud.post("/servers", server_body("c", server_type="ccx23"))
    third = await cloud.post("/servers", server_body("d", server_type="ccx13"))

    assert [reply.status for reply in (first, shared, second, third)] == [201, 201, 201, 403]


async def test_the_log_has_what_was_asked_and_no_token(cloud: Cloud) -> None:
    server = await cloud.server()
    await cloud.advance(10)
    await cloud.post(f"/servers/{server['id']}/actions/poweroff?x=1")
    await cloud.get("/servers/7")
    await cloud.request("GET", "/servers", headers={})

    entries = (await cloud.get("/_lab/requests")).body["requests"]
    power, missing, anonymous = entries[-3:]

    assert entries[0]["template"] == "/servers"
    assert entries[0]["ids"][-1] > server["id"]
    assert server["id"] in entries[0]["ids"]
    assert power["template"] == "/servers/{id}/actions/poweroff"
    assert (power["method"], power["status"], power["code"]) == ("POST", 201, None)
    assert power["path"] == f"/v1/servers/{server['id']}/actions/poweroff"
    assert (power["query"], power["monotonic"]) == ("x=1", cloud.clock.monotonic())
    assert power["time"] == cloud.clock.now().isoformat()
    assert (missing["status"], missing["code"]) == (404, "not_found")
    assert (anonymous["status"], anonymous["token"]) == (401, None)
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert TOKEN not in str(entries)
    later = (await cloud.get(f"/_lab/requests?after={power['seq']}")).body["requests"]
    assert later == [missing, anonymous]


async def test_started_hours_are_paid_in_full(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server(public_net=PRIVATE, networks=[network["id"]])
    young = (await cloud.get("/_lab/cost")).body
    await cloud.advance(3600)
    older = (await cloud.get("/_lab/cost")).body
    await cloud.post(f"/servers/{server['id']}/actions/poweroff")
    await cloud.advance(3600)
    off = (await cloud.get("/_lab/cost")).body
    await cloud.delete(f"/servers/{server['id']}")
    await cloud.advance(100_000)
    gone = (await cloud.get("/_lab/cost")).body

    assert (young["total"], young["eur_per_hour"]) == ("0.0088000000", "0.0088000000")
    assert older["total"] == "0.0176000000"
    assert off["total"] == "0.0264000000"
    assert (gone["total"], gone["eur_per_hour"]) == ("0.0264000000", "0")
    assert [item["hours"] for item in gone["items"]] == [3]


async def test_primary_ips_are_paid_even_when_nobody_has_them(cloud: Cloud) -> None:
    await cloud.make("/primary_ips", {"name": "v4", "type": "ipv4", "location": "fsn1"})
    await cloud.make("/primary_ips", {"name": "v6", "type": "ipv6", "location": "fsn1"})

    bill = (await cloud.get("/_lab/cost")).body

    assert bill["eur_per_hour"] == "0.0008000000"
    assert [(item["type"], item["cost"]) for item in bill["items"]] == [
        ("ipv4", "0.0008000000"),
        ("ipv6", "0"),
    ]


async def test_a_month_costs_at_most_its_price(cloud: Cloud) -> None:
    network = await cloud.network()
    await cloud.server(public_net=PRIVATE, networks=[network["id"]])

    await cloud.advance(29 * 24 * 3600)
    october = (await cloud.get("/_lab/cost")).body["total"]
    await cloud.advance(3 * 24 * 3600)
    november = (await cloud.get("/_lab/cost")).body["total"]

    assert october == "5.4900000000"
    assert 5.49 < float(november) < 5.49 + 3 * 24 * 0.0088


async def test_a_server_that_was_never_made_costs_nothing(cloud: Cloud) -> None:
    await cloud.post("/_lab/faults", {"effect": {"action_fails": {"code": "server_error"}}})
    network = await cloud.network()
    await cloud.post("/servers", server_body(public_net=PRIVATE, networks=[network["id"]]))
    await cloud.settled()

    assert (await cloud.get("/_lab/cost")).body["items"] == []


async def test_the_history_keeps_servers_that_are_gone(cloud: Cloud) -> None:
    network = await cloud.network()
    created_at = cloud.clock.now()
    server = await cloud.server(networks=[network["id"]], labels={"role": "worker"})
    await cloud.advance(5)
    deleted_at = cloud.clock.now()
    await cloud.delete(f"/servers/{server['id']}")
    await cloud.settled()

    history = (await cloud.get("/_lab/servers")).body["servers"]

    assert history == [
        {
            "id": server["id"],
            "project": history[0]["project"],
            "name": "one",
            "server_type": "cx23",
            "location": "fsn1",
            "status": "deleted",
            "labels": {"role": "worker"},
            "created": created_at.isoformat(),
            "deleted": deleted_at.isoformat(),
            "public_ipv4": "203.0.113.1",
            "public_ipv6": history[0]["public_ipv6"],
            "private": [{"network": network["id"], "ip": "10.4.0.2"}],
        }
    ]
    assert history[0]["public_ipv6"].endswith("::/64")
    assert (await cloud.get("/_lab/servers?project=nobody")).body["servers"] == []


async def test_the_manual_clock_is_advanced_by_a_call(cloud: Cloud) -> None:
    server = (await cloud.post("/servers", server_body())).body["server"]

    reply = await cloud.post("/_lab/clock", {"advance": 10})

    assert reply.body == {"now": "2026-10-01T00:00:10+00:00", "monotonic": 10.0}
    assert (await cloud.get(f"/servers/{server['id']}")).body["server"]["status"] == "running"
    assert (await cloud.post("/_lab/clock", {"advance": -1})).code == "invalid_input"


async def test_unknown_controls(cloud: Cloud) -> None:
    assert (await cloud.get("/_lab/dogs")).status == 404
    assert (await cloud.delete("/_lab/stock")).status == 405
    assert (await cloud.request("PUT", "/_lab/stock", raw=b"{")).code == "json_error"
