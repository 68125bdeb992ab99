import pytest

from hk3s_lab.hetzner.events import ServerNetworkChanged
from lab.hetzner.support import Cloud, Json, running_cloud, server_body

V4: Json = {"name": "egress", "type": "ipv4", "location": "fsn1"}


async def test_an_address_outlives_the_server_it_was_given_to(cloud: Cloud) -> None:
    ip = await cloud.make("/primary_ips", V4)
    server = await cloud.server(public_net={"ipv4": ip["id"], "enable_ipv6": False})

    assigned = (await cloud.get(f"/primary_ips/{ip['id']}")).body["primary_ip"]
    await cloud.delete(f"/servers/{server['id']}")
    held = await cloud.delete(f"/primary_ips/{ip['id']}")
    await cloud.settled()
    freed = (await cloud.get(f"/primary_ips/{ip['id']}")).body["primary_ip"]

    assert server["public_net"]["ipv4"]["ip"] == ip["ip"]
    assert server["public_net"]["ipv6"] is None
    assert (assigned["assignee_id"], assigned["auto_delete"]) == (server["id"], False)
    assert (held.status, held.code) == (422, "must_be_unassigned")
    assert freed["assignee_id"] is None
    assert (await cloud.delete(f"/primary_ips/{ip['id']}")).status == 204


async def test_assign_and_unassign_need_a_server_that_is_off(cloud: Cloud) -> None:
    ip = await cloud.make("/primary_ips", V4)
    server = await cloud.server(public_net={"enable_ipv4": False})
    path, body = f"/primary_ips/{ip['id']}/actions", {"assignee_type": "server"}
    body = {**body, "assignee_id": server["id"]}

    running = await cloud.post(f"{path}/assign", body)
    await cloud.post(f"/servers/{server['id']}/actions/poweroff")
    await cloud.settled()
    assigned = await cloud.action(await cloud.post(f"{path}/assign", body))
    twice = await cloud.post(f"{path}/assign", body)
    event = cloud.events[-1]
    unassigned = await cloud.action(await cloud.post(f"{path}/unassign"))

    assert (running.status, running.code) == (422, "server_not_stopped")
    assert (assigned["status"], assigned["command"]) == ("success", "assign_primary_ip")
    assert (twice.status, twice.code) == (422, "primary_ip_already_assigned")
    assert event == ServerNetworkChanged(server["id"])
    assert unassigned["status"] == "success"
    assert (await cloud.get(f"/servers/{server['id']}")).body["server"]["public_net"][
        "ipv4"
    ] is None


async def test_an_address_can_be_made_for_a_server(cloud: Cloud) -> None:
    server = await cloud.private_server()
    made = {"name": "a", "type": "ipv4", "assignee_type": "server", "assignee_id": server["id"]}

    reply = await cloud.post("/primary_ips", made)
    await cloud.settled()
    second = await cloud.post("/primary_ips", {**made, "name": "b"})

    assert (reply.status, reply.body["action"]["command"]) == (201, "assign_primary_ip")
    assert reply.body["primary_ip"]["location"]["name"] == "fsn1"
    assert (second.status, second.code) == (422, "server_has_ipv4")
    found = (await cloud.get("/primary_ips?ip=203.0.113.1")).body["primary_ips"]
    assert [ip["assignee_id"] for ip in found] == [server["id"]]


@pytest.mark.parametrize(
    ("made", "body", "status", "code"),
    [
        pytest.param(V4, {"ipv6": "ID"}, 412, "primary_ip_version_mismatch", id="version"),
        pytest.param(
            {**V4, "location": "hel1"},
            {"ipv4": "ID"},
            422,
            "primary_ip_datacenter_mismatch",
            id="location",
        ),
        pytest.param(V4, {"ipv4": "ID", "enable_ipv4": False}, 422, "invalid_input", id="disabled"),
    ],
)
async def test_addresses_that_do_not_fit_a_new_server(
    cloud: Cloud, made: Json, body: Json, status: int, code: str
) -> None:
    ip = await cloud.make("/primary_ips", made)
    public = {key: ip["id"] if value == "ID" else value for key, value in body.items()}

    reply = await cloud.post("/servers", server_body(public_net=public))

    assert (reply.status, reply.code) == (status, code)
    assert (await cloud.get("/servers")).body["servers"] == []


async def test_an_assigned_address_is_not_given_to_a_second_server(cloud: Cloud) -> None:
    ip = await cloud.make("/primary_ips", V4)
    public = {"ipv4": ip["id"]}

    first = await cloud.post("/servers", server_body("one", public_net=public))
    second = await cloud.post("/servers", server_body("two", public_net=public))

    assert (first.status, second.status, second.code) == (201, 422, "primary_ip_assigned")


async def test_a_failed_create_gives_the_address_back(cloud: Cloud) -> None:
    ip = await cloud.make("/primary_ips", V4)
    fault = {"effect": {"action_fails": {"code": "resource_unavailable"}}}
    await cloud.post("/_lab/faults", fault)

    await cloud.post("/servers", server_body(public_net={"ipv4": ip["id"]}))
    await cloud.settled()

    left = (await cloud.get("/primary_ips")).body["primary_ips"]
    assert [(kept["id"], kept["assignee_id"]) for kept in left] == [(ip["id"], None)]


async def test_put_and_protection(cloud: Cloud) -> None:
    ip = await cloud.make("/primary_ips", V4)
    path = f"/primary_ips/{ip['id']}"

    changed = await cloud.put(path, {"name": "new", "auto_delete": True, "labels": {"a": "b"}})
    refused = await cloud.post(f"{path}/actions/change_protection", {"delete": True})
    await cloud.put(path, {"auto_delete": False})
    await cloud.post(f"{path}/actions/change_protection", {"delete": True})
    await cloud.settled()

    body = changed.body["primary_ip"]
    assert (body["name"], body["auto_delete"], body["labels"]) == ("new", True, {"a": "b"})
    assert refused.code == "invalid_input"
    assert (await cloud.delete(path)).code == "protected"


async def test_public_addresses_run_out_without_leaving_a_server() -> None:
    async with running_cloud(public_addresses=iter(["127.9.0.1"])) as cloud:
        first = await cloud.server("one")
        second = await cloud.post("/servers", server_body("two"))

        assert first["public_net"]["ipv4"]["ip"] == "127.9.0.1"
        assert (second.status, second.code) == (412, "resource_unavailable")
        assert len((await cloud.get("/servers")).body["servers"]) == 1
        assert len((await cloud.get("/primary_ips")).body["primary_ips"]) == 2
