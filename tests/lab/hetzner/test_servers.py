import pytest

from hk3s_lab.hetzner.events import (
    ServerDeleted,
    ServerNetworkChanged,
    ServerPoweredOff,
    ServerPoweredOn,
)
from lab.hetzner.support import PRIVATE, PUBLIC_KEY, Cloud, names, server_body


async def test_a_create_answers_at_once_and_takes_its_time(cloud: Cloud) -> None:
    reply = await cloud.post("/servers", server_body())

    assert reply.status == 201
    assert reply.body["server"]["status"] == "initializing"
    assert reply.body["server"]["locked"] is True
    assert reply.body["action"]["command"] == "create_server"
    assert reply.body["action"]["status"] == "running"
    assert [a["command"] for a in reply.body["next_actions"]] == ["start_server"]
    assert cloud.events == []

    await cloud.settled()
    server = (await cloud.get(f"/servers/{reply.body['server']['id']}")).body["server"]

    assert (server["status"], server["locked"]) == ("running", False)
    assert cloud.events == [ServerPoweredOn(server["id"])]


async def test_a_server_passes_through_its_statuses(cloud: Cloud) -> None:
    made = (await cloud.post("/servers", server_body())).body["server"]
    seen = []
    for _ in range(30):
        status = (await cloud.get(f"/servers/{made['id']}")).body["server"]["status"]
        if status not in seen:
            seen.append(status)
        await cloud.advance(0.1)

    assert seen == ["initializing", "starting", "running"]


async def test_actions_take_the_time_of_the_table_divided_by_speed(cloud: Cloud) -> None:
    action = (await cloud.post("/servers", server_body())).body["action"]

    await cloud.advance(0.49)
    early = (await cloud.get(f"/actions/{action['id']}")).body["action"]
    await cloud.advance(1.02)
    late = (await cloud.get(f"/actions/{action['id']}")).body["action"]

    assert (early["status"], early["finished"]) == ("running", None)
    assert 0 < early["progress"] < 100
    assert (late["status"], late["progress"], late["error"]) == ("success", 100, None)


async def test_without_start_after_create_the_server_stays_off(cloud: Cloud) -> None:
    reply = await cloud.post("/servers", server_body(start_after_create=False))
    await cloud.settled()

    assert reply.body["next_actions"] == []
    found = (await cloud.get("/servers")).body["servers"]
    assert [server["status"] for server in found] == ["off"]
    assert cloud.events == []


async def test_a_public_server_gets_addresses_that_go_with_it(cloud: Cloud) -> None:
    server = await cloud.server()
    addresses = (await cloud.get("/primary_ips")).body["primary_ips"]

    assert server["public_net"]["ipv4"]["ip"] == "203.0.113.1"
    assert server["public_net"]["ipv6"]["ip"].endswith("::/64")
    assert [ip["assignee_id"] for ip in addresses] == [server["id"]] * 2
    assert [ip["auto_delete"] for ip in addresses] == [True, True]

    await cloud.delete(f"/servers/{server['id']}")
    await cloud.settled()

    assert (await cloud.get("/primary_ips")).body["primary_ips"] == []


async def test_a_private_only_server_has_null_addresses(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server(public_net=PRIVATE, networks=[network["id"]])

    assert server["public_net"]["ipv4"] is None
    assert server["public_net"]["ipv6"] is None
    assert server["public_net"]["floating_ips"] == []
    assert [nic["ip"] for nic in server["private_net"]] == ["10.4.0.2"]
    assert server["private_net"][0]["mac_address"].startswith("86:00:")


async def test_create_off_attach_power_on_gives_the_wanted_address(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.private_server()
    path = f"/servers/{server['id']}"

    attach = await cloud.post(
        f"{path}/actions/attach_to_network", {"network": network["id"], "ip": "10.4.0.77"}
    )
    assert (await cloud.action(attach))["status"] == "success"
    power = await cloud.post(f"{path}/actions/poweron")
    assert (await cloud.action(power))["status"] == "success"

    server = (await cloud.get(path)).body["server"]
    assert server["status"] == "running"
    assert server["private_net"][0]["ip"] == "10.4.0.77"
    assert cloud.events == [ServerNetworkChanged(server["id"]), ServerPoweredOn(server["id"])]


async def test_the_hypervisor_knows_what_the_request_said(cloud: Cloud) -> None:
    network = await cloud.network()
    key = await cloud.make("/ssh_keys", {"name": "me", "public_key": PUBLIC_KEY})
    server = await cloud.server(
        server_type="cax11",
        user_data="#cloud-config\n",
        labels={"role": "worker"},
        ssh_keys=[key["id"]],
        networks=[network["id"]],
    )

    machine = cloud.emulator.machine(server["id"])

    assert (machine.name, machine.server_type, machine.architecture) == ("one", "cax11", "arm")
    assert (machine.cores, machine.memory_bytes) == (2, 4 * 1024**3)
    assert (machine.location, machine.network_zone) == ("fsn1", "eu-central")
    assert (machine.image, machine.user_data) == ("ubuntu-24.04", "#cloud-config\n")
    assert machine.labels == {"role": "worker"}
    assert machine.public_ipv4 == server["public_net"]["ipv4"]["ip"]
    assert machine.ssh_keys == (PUBLIC_KEY,)
    assert machine.firewall_rules is None
    assert machine.powered
    assert [(n.ip, n.gateway, n.network_range) for n in machine.private] == [
        ("10.4.0.2", "10.4.0.1", "10.4.0.0/16")
    ]
    assert cloud.emulator.machines() == (machine,)


async def test_the_root_password_comes_only_without_keys(cloud: Cloud) -> None:
    await cloud.make("/ssh_keys", {"name": "me", "public_key": PUBLIC_KEY})

    without = await cloud.post("/servers", server_body("one"))
    with_key = await cloud.post("/servers", server_body("two", ssh_keys=["me"]))

    assert len(without.body["root_password"]) >= 16
    assert with_key.body["root_password"] is None


@pytest.mark.parametrize(
    ("verb", "status", "events"),
    [
        pytest.param("poweron", "running", [], id="poweron-of-a-running-one"),
        pytest.param("poweroff", "off", [ServerPoweredOff(0, graceful=False)], id="poweroff"),
        pytest.param("shutdown", "off", [ServerPoweredOff(0, graceful=True)], id="shutdown"),
        pytest.param(
            "reboot",
            "running",
            [ServerPoweredOff(0, graceful=True), ServerPoweredOn(0)],
            id="reboot",
        ),
        pytest.param(
            "reset",
            "running",
            [ServerPoweredOff(0, graceful=False), ServerPoweredOn(0)],
            id="reset",
        ),
    ],
)
async def test_power_commands(
    cloud: Cloud, verb: str, status: str, events: list[ServerPoweredOff | ServerPoweredOn]
) -> None:
    server = await cloud.server()
    cloud.events.clear()

    reply = await cloud.post(f"/servers/{server['id']}/actions/{verb}")
    action = await cloud.action(reply)

    assert action["status"] == "success"
    assert (await cloud.get(f"/servers/{server['id']}")).body["server"]["status"] == status
    assert [type(event) for event in cloud.events] == [type(event) for event in events]
    for seen, expected in zip(cloud.events, events, strict=True):
        if isinstance(seen, ServerPoweredOff) and isinstance(expected, ServerPoweredOff):
            assert seen.graceful is expected.graceful


async def test_a_delete_takes_the_server_at_once_and_frees_the_rest_when_it_ends(
    cloud: Cloud,
) -> None:
    network = await cloud.network()
    firewall = await cloud.make("/firewalls", {"name": "fw"})
    server = await cloud.server(networks=[network["id"]], firewalls=[{"firewall": firewall["id"]}])

    reply = await cloud.delete(f"/servers/{server['id']}")

    assert reply.status == 200
    assert reply.body["action"]["command"] == "delete_server"
    assert cloud.events[-1] == ServerDeleted(server["id"])
    assert (await cloud.get(f"/servers/{server['id']}")).status == 404
    assert (await cloud.get("/servers")).body["servers"] == []
    assert (await cloud.delete(f"/firewalls/{firewall['id']}")).code == "resource_in_use"
    members = (await cloud.get(f"/networks/{network['id']}/members")).body["members"]
    assert [member["status"] for member in members] == ["detaching"]

    assert (await cloud.action(reply))["status"] == "success"

    assert (await cloud.get(f"/networks/{network['id']}/members")).body["members"] == []
    assert (await cloud.delete(f"/firewalls/{firewall['id']}")).status == 204


async def test_the_name_is_free_again_as_soon_as_the_server_is_deleted(cloud: Cloud) -> None:
    server = await cloud.server()

    assert (await cloud.post("/servers", server_body())).code == "uniqueness_error"
    await cloud.delete(f"/servers/{server['id']}")

    assert (await cloud.post("/servers", server_body())).status == 201


async def test_put_changes_name_and_replaces_all_labels(cloud: Cloud) -> None:
    server = await cloud.server(labels={"a": "1", "b": "2"})
    await cloud.server("taken")
    path = f"/servers/{server['id']}"

    changed = (await cloud.put(path, {"name": "new", "labels": {"c": "3"}})).body["server"]

    assert (changed["name"], changed["labels"]) == ("new", {"c": "3"})
    assert (await cloud.put(path, {"labels": {}})).body["server"]["name"] == "new"
    assert (await cloud.put(path, {"name": "taken"})).code == "uniqueness_error"


async def test_servers_are_filtered_by_name_status_and_labels(cloud: Cloud) -> None:
    await cloud.server("one", labels={"pool": "a"})
    await cloud.server("two", labels={"pool": "b"}, start_after_create=False)

    async def found(query: str) -> list[str]:
        return names((await cloud.get(f"/servers?{query}")).body["servers"])

    assert await found("name=two") == ["two"]
    assert await found("status=off&status=starting") == ["two"]
    assert await found("label_selector=pool%3Da") == ["one"]
    assert await found("sort=name:desc") == ["two", "one"]
    assert (await cloud.get("/servers?status=nonsense")).code == "invalid_input"
    assert (await cloud.get("/servers?sort=nonsense")).code == "invalid_input"


async def test_a_protected_server_cannot_be_deleted(cloud: Cloud) -> None:
    server = await cloud.server()
    path = f"/servers/{server['id']}"

    half = await cloud.post(f"{path}/actions/change_protection", {"delete": True})
    await cloud.post(f"{path}/actions/change_protection", {"delete": True, "rebuild": True})
    await cloud.settled()

    assert half.code == "invalid_input"
    refused = await cloud.delete(path)
    assert (refused.status, refused.code) == (423, "protected")


async def test_a_placement_group_holds_ten(cloud: Cloud) -> None:
    group = await cloud.make("/placement_groups", {"name": "spread", "type": "spread"})
    for number in range(10):
        made = await cloud.post("/servers", server_body(f"s{number}", placement_group=group["id"]))
        assert made.status == 201

    full = await cloud.post("/servers", server_body("s10", placement_group=group["id"]))

    assert (full.status, full.code) == (422, "placement_error")
    group = (await cloud.get(f"/placement_groups/{group['id']}")).body["placement_group"]
    assert len(group["servers"]) == 10
