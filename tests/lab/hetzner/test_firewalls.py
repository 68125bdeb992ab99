import pytest

from hk3s_lab.hetzner.events import FirewallRule, FirewallsChanged
from lab.hetzner.support import PRIVATE, Cloud, Json

SSH: Json = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["198.51.100.7/32"]}


def on_server(number: int) -> Json:
    return {"type": "server", "server": {"id": number}}


def on_label(selector: str) -> Json:
    return {"type": "label_selector", "label_selector": {"selector": selector}}


async def test_a_firewall_in_the_create_call_protects_from_the_first_boot(cloud: Cloud) -> None:
    firewall = await cloud.make("/firewalls", {"name": "fw", "rules": [SSH]})
    server = await cloud.server(firewalls=[{"firewall": firewall["id"]}])

    assert server["public_net"]["firewalls"] == [{"id": firewall["id"], "status": "applied"}]
    assert cloud.emulator.machine(server["id"]).firewall_rules == (
        FirewallRule(direction="in", protocol="tcp", port="22", source_ips=("198.51.100.7/32",)),
    )


async def test_a_firewall_is_pending_until_its_action_ends(cloud: Cloud) -> None:
    server = await cloud.server()
    firewall = await cloud.make("/firewalls", {"name": "fw"})
    path = f"/firewalls/{firewall['id']}"

    reply = await cloud.post(
        f"{path}/actions/apply_to_resources", {"apply_to": [on_server(server["id"])]}
    )
    before = (await cloud.get(f"/servers/{server['id']}")).body["server"]["public_net"]
    await cloud.settled()
    after = (await cloud.get(f"/servers/{server['id']}")).body["server"]["public_net"]

    assert [action["command"] for action in reply.body["actions"]] == ["apply_firewall"]
    assert before["firewalls"] == [{"id": firewall["id"], "status": "pending"}]
    assert after["firewalls"] == [{"id": firewall["id"], "status": "applied"}]
    assert cloud.events[-1] == FirewallsChanged()
    # Applied without rules it admits nothing, which is not the same as no firewall.
    assert cloud.emulator.machine(server["id"]).firewall_rules == ()


async def test_a_label_selector_follows_the_labels(cloud: Cloud) -> None:
    server = await cloud.server(labels={"role": "bastion"})
    firewall = await cloud.make(
        "/firewalls", {"name": "fw", "rules": [SSH], "apply_to": [on_label("role=bastion")]}
    )
    applied = (await cloud.get(f"/firewalls/{firewall['id']}")).body["firewall"]["applied_to"]
    cloud.events.clear()

    await cloud.put(f"/servers/{server['id']}", {"labels": {}})

    assert applied[0]["applied_to_resources"] == [on_server(server["id"])]
    assert cloud.events == [FirewallsChanged()]
    assert cloud.emulator.machine(server["id"]).firewall_rules is None


async def test_set_rules_replaces_all(cloud: Cloud) -> None:
    firewall = await cloud.make("/firewalls", {"name": "fw", "rules": [SSH]})
    path = f"/firewalls/{firewall['id']}"
    ping = {"direction": "in", "protocol": "icmp", "source_ips": ["0.0.0.0/0", "::/0"]}

    reply = await cloud.post(f"{path}/actions/set_rules", {"rules": [ping]})
    busy = await cloud.post(f"{path}/actions/set_rules", {"rules": []})
    await cloud.settled()

    assert [action["command"] for action in reply.body["actions"]] == ["set_firewall_rules"]
    assert (busy.status, busy.code) == (409, "conflict")
    rules = (await cloud.get(path)).body["firewall"]["rules"]
    assert [(rule["protocol"], rule["port"]) for rule in rules] == [("icmp", None)]


async def test_removing_and_deleting(cloud: Cloud) -> None:
    server = await cloud.server()
    firewall = await cloud.make("/firewalls", {"name": "fw", "apply_to": [on_server(server["id"])]})
    path = f"/firewalls/{firewall['id']}"
    body = {"remove_from": [on_server(server["id"])]}

    used = await cloud.delete(path)
    removed = await cloud.post(f"{path}/actions/remove_from_resources", body)
    await cloud.settled()
    again = await cloud.post(f"{path}/actions/remove_from_resources", body)

    assert (used.status, used.code) == (422, "resource_in_use")
    assert removed.status == 201
    assert (again.status, again.code) == (404, "firewall_resource_not_found")
    assert (await cloud.delete(path)).status == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"port": None}, "rules.0.port", id="tcp-without-port"),
        pytest.param({"port": "0"}, "rules.0.port", id="port-zero"),
        pytest.param({"port": "90-80"}, "rules.0.port", id="falling-range"),
        pytest.param({"port": "65536"}, "rules.0.port", id="port-too-high"),
        pytest.param({"protocol": "icmp"}, "rules.0.port", id="icmp-with-port"),
        pytest.param({"protocol": "sctp"}, "rules.0.protocol", id="unknown-protocol"),
        pytest.param({"direction": "out"}, "rules.0.source_ips", id="out-with-sources"),
        pytest.param({"source_ips": []}, "rules.0.source_ips", id="in-without-sources"),
        pytest.param({"source_ips": ["10.0.0.1"]}, "rules.0.source_ips", id="no-prefix"),
        pytest.param({"source_ips": ["10.0.0.1/8"]}, "rules.0.source_ips", id="host-bits"),
        pytest.param({"description": "x" * 256}, "rules.0.description", id="long-description"),
        pytest.param({"sport": "1"}, "rules.0.sport", id="unknown-field"),
    ],
)
async def test_rules_that_are_refused(cloud: Cloud, change: Json, field: str) -> None:
    reply = await cloud.post("/firewalls", {"name": "fw", "rules": [{**SSH, **change}]})

    assert (reply.status, reply.code) == (422, "invalid_input")
    assert field in reply.fields


@pytest.mark.parametrize("port", ["1", "65535", "80-80", "1024-5000", "any"])
async def test_ports_that_are_allowed(cloud: Cloud, port: str) -> None:
    reply = await cloud.post("/firewalls", {"name": "fw", "rules": [{**SSH, "port": port}]})

    assert reply.status == 201


async def test_fifty_rules_are_enough(cloud: Cloud) -> None:
    assert (await cloud.post("/firewalls", {"name": "a", "rules": [SSH] * 50})).status == 201
    assert (await cloud.post("/firewalls", {"name": "b", "rules": [SSH] * 51})).fields == ["rules"]


async def test_targets_that_are_refused(cloud: Cloud) -> None:
    private = await cloud.private_server("private")
    public = await cloud.server("public")
    firewall = await cloud.make("/firewalls", {"name": "fw"})
    path = f"/firewalls/{firewall['id']}/actions/apply_to_resources"

    to_private = await cloud.post(path, {"apply_to": [on_server(private["id"])]})
    to_nobody = await cloud.post(path, {"apply_to": [on_server(1)]})
    to_nothing = await cloud.post(path, {"apply_to": [on_label("==")]})
    await cloud.post(path, {"apply_to": [on_server(public["id"])]})
    await cloud.settled()
    again = await cloud.post(path, {"apply_to": [on_server(public["id"])]})
    born_private = await cloud.post(
        "/servers",
        {
            "name": "x",
            "server_type": "cx23",
            "image": "debian-13",
            "location": "fsn1",
            "public_net": PRIVATE,
            "start_after_create": False,
            "firewalls": [{"firewall": firewall["id"]}],
        },
    )

    assert (to_private.status, to_private.code) == (422, "private_net_only_server")
    assert (to_nobody.status, to_nobody.code) == (404, "firewall_resource_not_found")
    assert (to_nothing.status, to_nothing.code) == (422, "invalid_input")
    assert (again.status, again.code) == (422, "firewall_already_applied")
    assert (born_private.status, born_private.code) == (422, "private_net_only_server")


async def test_a_server_has_at_most_five_firewalls(cloud: Cloud) -> None:
    server = await cloud.server()
    target = {"apply_to": [on_server(server["id"])]}
    for number in range(5):
        await cloud.make("/firewalls", {"name": f"fw{number}", **target})

    refused = await cloud.post("/firewalls", {"name": "fw5", **target})

    assert (refused.status, refused.code) == (403, "resource_limit_exceeded")
