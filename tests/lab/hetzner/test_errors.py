"""The table: a condition of a project, a request, and the status, code and details it gets."""

from dataclasses import dataclass, field

import pytest

from lab.hetzner.support import PRIVATE, PUBLIC_KEY, Cloud, Json, server_body


@dataclass(frozen=True, kw_only=True)
class Row:
    method: str
    path: str
    status: int
    code: str
    body: Json = None
    details: Json = None
    limits: dict[str, int] = field(default_factory=dict)
    stock: dict[str, bool] = field(default_factory=dict)


def invalid(path: str, body: Json, *fields: str, method: str = "POST") -> Row:
    return Row(
        method=method,
        path=path,
        body=body,
        status=422,
        code="invalid_input",
        details=sorted(fields),
    )


def limited(path: str, body: Json, limit: str, name: str) -> Row:
    return Row(
        method="POST",
        path=path,
        body=body,
        status=403,
        code="resource_limit_exceeded",
        details={"limits": [{"name": name}]},
        limits={limit: 0},
    )


def missing(method: str, path: str, body: Json = None) -> Row:
    return Row(method=method, path=path, body=body, status=404, code="not_found")


def refused(path: str, body: Json, code: str, status: int = 422) -> Row:
    return Row(method="POST", path=path, body=body, status=status, code=code)


# The project has: network {network} with 10.4.0.0/24, running server {server} ("taken") in it,
# server {off} that is off and has no interface, firewall {firewall} on {server}.
NETWORK = {"name": "n", "ip_range": "10.9.0.0/16"}
ROWS = {
    "no-such-path": missing("GET", "/nothing"),
    "no-such-path-below": missing("GET", "/servers/1/nothing"),
    "trailing-slash": missing("GET", "/servers/"),
    "double-slash": missing("GET", "//servers"),
    "id-is-no-number": missing("GET", "/servers/one"),
    "id-is-zero": missing("GET", "/servers/0"),
    "id-is-negative": missing("GET", "/servers/-1"),
    "id-is-huge": missing("GET", f"/servers/{'9' * 5000}"),
    "id-is-encoded": missing("GET", "/servers/%31"),
    "server-missing": missing("GET", "/servers/1"),
    "network-missing": missing("GET", "/networks/1"),
    "firewall-missing": missing("PUT", "/firewalls/1", {"name": "x"}),
    "action-missing": missing("GET", "/actions/1"),
    "action-of-other-kind": missing("GET", "/networks/actions/{server_action}"),
    "type-missing": missing("GET", "/server_types/1"),
    "image-missing": missing("GET", "/images/1"),
    "power-on-missing": missing("POST", "/servers/1/actions/poweron"),
    "method": Row(method="DELETE", path="/servers", status=405, code="method_not_allowed"),
    "method-put-on-action": Row(
        method="PUT", path="/servers/1/actions/poweron", status=405, code="method_not_allowed"
    ),
    "no-body": Row(method="POST", path="/servers", status=400, code="json_error"),
    "body-is-a-list": Row(method="POST", path="/servers", body=[], status=400, code="json_error"),
    "body-is-text": Row(method="POST", path="/servers", body="x", status=400, code="json_error"),
    "all-actions": Row(method="GET", path="/actions", status=410, code="deprecated_api_endpoint"),
    "datacenters": Row(
        method="GET", path="/datacenters", status=410, code="deprecated_api_endpoint"
    ),
    "bad-page": invalid("/servers?page=0", None, "page", method="GET"),
    "bad-page-text": invalid("/servers?page=x", None, "page", method="GET"),
    "bad-per-page": invalid("/servers?per_page=-1", None, "per_page", method="GET"),
    "bad-sort": invalid("/networks?sort=color", None, "sort", method="GET"),
    "bad-direction": invalid("/networks?sort=id:up", None, "sort", method="GET"),
    "bad-selector": invalid(
        "/networks?label_selector=a%3D%3D%3Db", None, "label_selector", method="GET"
    ),
    "bad-action-id": invalid("/actions?id=x", None, "id", method="GET"),
    "bad-status-filter": invalid("/servers/actions?status=done", None, "status", method="GET"),
    # creating servers
    "server-empty": invalid("/servers", {}, "name", "server_type", "image"),
    "server-nulls": invalid("/servers", server_body(name=None), "name"),
    "server-name-underscore": invalid("/servers", server_body("a_b"), "name"),
    "server-name-long": invalid("/servers", server_body("a" * 64), "name"),
    "server-name-number": invalid("/servers", server_body(name=1), "name"),
    "server-type-unknown": invalid("/servers", server_body(server_type="cx1"), "server_type"),
    "server-type-retired": invalid(
        "/servers", server_body(server_type="cpx11", location="fsn1"), "server_type"
    ),
    "server-type-not-sold-there": invalid(
        "/servers", server_body(server_type="cx23", location="ash"), "server_type"
    ),
    "image-unknown": invalid("/servers", server_body(image="plan9"), "image"),
    "image-of-other-architecture": invalid("/servers", server_body(image=161547270), "image"),
    "location-unknown": invalid("/servers", server_body(location="mars"), "location"),
    "location-is-a-datacenter": invalid("/servers", server_body(location="fsn1-dc14"), "location"),
    "user-data-too-long": invalid("/servers", server_body(user_data="x" * 32769), "user_data"),
    "user-data-too-many-bytes": invalid(
        "/servers", server_body(user_data="ä" * 16385), "user_data"
    ),
    "label-key": invalid("/servers", server_body(labels={"a b": "1"}), "labels"),
    "label-value": invalid("/servers", server_body(labels={"a": "1 2"}), "labels"),
    "label-value-type": invalid("/servers", server_body(labels={"a": 1}), "labels"),
    "label-reserved": invalid("/servers", server_body(labels={"hetzner.cloud/a": "1"}), "labels"),
    "start-is-text": invalid(
        "/servers", server_body(start_after_create="yes"), "start_after_create"
    ),
    "networks-are-names": invalid("/servers", server_body(networks=["net"]), "networks"),
    "network-twice": invalid("/servers", server_body(networks=[1, 1]), "networks"),
    "private-without-network": invalid("/servers", server_body(public_net=PRIVATE), "public_net"),
    "all-problems-at-once": invalid(
        "/servers",
        server_body("a_b", image="plan9", labels={"": ""}, user_data=1),
        "image",
        "labels",
        "name",
        "user_data",
    ),
    "server-name-taken": Row(
        method="POST",
        path="/servers",
        body=server_body("taken"),
        status=409,
        code="uniqueness_error",
        details={"fields": [{"name": "name"}]},
    ),
    "key-missing": missing("POST", "/servers", server_body(ssh_keys=["nobody"])),
    "server-network-missing": missing("POST", "/servers", server_body(networks=[1])),
    "server-firewall-missing": missing(
        "POST", "/servers", server_body(firewalls=[{"firewall": 1}])
    ),
    "server-group-missing": missing("POST", "/servers", server_body(placement_group=1)),
    "server-volume-missing": missing("POST", "/servers", server_body(volumes=[1])),
    "server-address-missing": missing("POST", "/servers", server_body(public_net={"ipv4": 1})),
    "out-of-stock": Row(
        method="POST",
        path="/servers",
        body=server_body(),
        status=412,
        code="resource_unavailable",
        stock={"cx23/fsn1": False},
    ),
    "server-in-foreign-zone": refused(
        "/servers",
        server_body(server_type="ccx13", location="ash", networks=["{network}"]),
        "no_subnet_available",
    ),
    "server-limit": limited("/servers", server_body(), "servers", "server_limit"),
    "core-limit": limited(
        "/servers", server_body(server_type="ccx13"), "dedicated_cores", "dedicated_core_limit"
    ),
    "address-limit-of-server": limited(
        "/servers", server_body(), "primary_ips", "primary_ip_limit"
    ),
    "address-limit": limited(
        "/primary_ips",
        {"name": "a", "type": "ipv4", "location": "fsn1"},
        "primary_ips",
        "primary_ip_limit",
    ),
    "network-limit": limited("/networks", NETWORK, "networks", "network_limit"),
    "firewall-limit": limited("/firewalls", {"name": "f"}, "firewalls", "firewall_limit"),
    "group-limit": limited(
        "/placement_groups",
        {"name": "g", "type": "spread"},
        "placement_groups",
        "placement_group_limit",
    ),
    "volume-limit": limited(
        "/volumes", {"name": "v", "size": 10, "location": "fsn1"}, "volumes", "volume_limit"
    ),
    "key-limit": limited(
        "/ssh_keys", {"name": "k", "public_key": PUBLIC_KEY}, "ssh_keys", "ssh_key_limit"
    ),
    # other creations
    "network-unknown-field": invalid("/networks", {**NETWORK, "zone": "x"}, "zone"),
    "network-name-long": invalid("/networks", {**NETWORK, "name": "n" * 129}, "name"),
    "network-subnets-no-list": invalid("/networks", {**NETWORK, "subnets": {}}, "subnets"),
    "network-subnet-no-object": invalid("/networks", {**NETWORK, "subnets": [1]}, "subnets"),
    "network-name-taken": Row(
        method="POST",
        path="/networks",
        body={**NETWORK, "name": "net"},
        status=409,
        code="uniqueness_error",
        details={"fields": [{"name": "name"}]},
    ),
    "firewall-unknown-field": invalid("/firewalls", {"name": "f", "zone": "x"}, "zone"),
    "firewall-target-missing": refused(
        "/firewalls",
        {"name": "f", "apply_to": [{"type": "server", "server": {"id": 1}}]},
        "firewall_resource_not_found",
    ),
    "firewall-target-twice": refused(
        "/firewalls",
        {"name": "f", "apply_to": [{"type": "server", "server": {"id": 1}}] * 2},
        "server_already_added",
    ),
    "group-type": invalid("/placement_groups", {"name": "g", "type": "pack"}, "type"),
    "address-type": invalid(
        "/primary_ips", {"name": "a", "type": "ipv5", "location": "fsn1"}, "type"
    ),
    "address-without-location": invalid("/primary_ips", {"name": "a", "type": "ipv4"}, "location"),
    "address-with-datacenter": invalid(
        "/primary_ips",
        {"name": "a", "type": "ipv4", "location": "fsn1", "datacenter": "fsn1-dc14"},
        "datacenter",
    ),
    "address-for-running-server": refused(
        "/primary_ips",
        {"name": "a", "type": "ipv4", "assignee_id": "{server}", "assignee_type": "server"},
        "server_not_stopped",
    ),
    # server actions
    "attach-nothing": invalid("/servers/{server}/actions/attach_to_network", {}, "network"),
    "attach-missing-network": missing(
        "POST", "/servers/{server}/actions/attach_to_network", {"network": 1}
    ),
    "attach-again": refused(
        "/servers/{server}/actions/attach_to_network",
        {"network": "{network}"},
        "server_already_attached",
    ),
    "detach-unattached": invalid(
        "/servers/{off}/actions/detach_from_network", {"network": "{network}"}, "network"
    ),
    "poweron-without-interface": invalid("/servers/{off}/actions/poweron", None, "networks"),
    "group-of-running-server": refused(
        "/servers/{server}/actions/add_to_placement_group",
        {"placement_group": "{group}"},
        "server_not_stopped",
    ),
    "ungroup-ungrouped": invalid("/servers/{off}/actions/remove_from_placement_group", None, "id"),
    "subnet-missing": missing(
        "POST", "/networks/{network}/actions/delete_subnet", {"ip_range": "10.4.7.0/24"}
    ),
    "subnet-in-use": refused(
        "/networks/{network}/actions/delete_subnet", {"ip_range": "10.4.0.0/24"}, "resource_in_use"
    ),
    "firewall-in-use": Row(
        method="DELETE", path="/firewalls/{firewall}", status=422, code="resource_in_use"
    ),
    "rename-to-nothing": invalid("/servers/{off}", {"name": ""}, "name", method="PUT"),
    "rename-to-a-taken-name": Row(
        method="PUT",
        path="/servers/{off}",
        body={"name": "taken"},
        status=409,
        code="uniqueness_error",
    ),
}


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
async def test_every_condition_has_its_status_and_code(cloud: Cloud, row: Row) -> None:
    ids = await world(cloud)
    await cloud.put("/_lab/limits", row.limits)
    await cloud.put("/_lab/stock", row.stock)
    before = (await cloud.get("/_lab/servers")).body

    reply = await cloud.request(row.method, row.path.format(**ids), filled(row.body, ids))

    assert (reply.status, reply.code) == (row.status, row.code), reply.body
    assert set(reply.body["error"]) == {"code", "message", "details"}
    assert reply.headers["X-Correlation-Id"]
    if row.code == "invalid_input":
        assert sorted(reply.fields) == row.details
        assert all(f["messages"] for f in reply.body["error"]["details"]["fields"])
    elif row.details is not None:
        assert reply.body["error"]["details"] == row.details
    assert (await cloud.get("/_lab/servers")).body == before


async def world(cloud: Cloud) -> dict[str, int]:
    network = await cloud.network()
    server = await cloud.server("taken", networks=[network["id"]])
    off = await cloud.private_server("off")
    group = await cloud.make("/placement_groups", {"name": "group", "type": "spread"})
    target = {"type": "server", "server": {"id": server["id"]}}
    firewall = await cloud.make("/firewalls", {"name": "firewall", "apply_to": [target]})
    actions = (await cloud.get(f"/servers/{server['id']}/actions")).body["actions"]
    return {
        "network": network["id"],
        "server": server["id"],
        "off": off["id"],
        "group": group["id"],
        "firewall": firewall["id"],
        "server_action": actions[0]["id"],
    }


def filled(body: Json, ids: dict[str, int]) -> Json:
    """Replace "{name}" by the id of the resource of that name."""
    if isinstance(body, dict):
        return {key: filled(value, ids) for key, value in body.items()}
    if isinstance(body, list):
        return [filled(value, ids) for value in body]
    if isinstance(body, str) and body.startswith("{"):
        return ids[body.strip("{}")]
    return body


@pytest.mark.parametrize("size", [32767, 32768])
async def test_user_data_up_to_the_limit_is_taken(cloud: Cloud, size: int) -> None:
    reply = await cloud.post("/servers", server_body(user_data="x" * size))

    assert reply.status == 201


async def test_everything_is_locked_while_an_action_runs(cloud: Cloud) -> None:
    network = await cloud.network()
    server = (await cloud.post("/servers", server_body())).body["server"]
    path = f"/servers/{server['id']}"

    replies = [
        await cloud.post(f"{path}/actions/poweroff"),
        await cloud.post(f"{path}/actions/attach_to_network", {"network": network["id"]}),
        await cloud.post(f"{path}/actions/change_protection", {"delete": True, "rebuild": True}),
        await cloud.delete(path),
    ]

    assert [(reply.status, reply.code) for reply in replies] == [(423, "locked")] * 4
    await cloud.settled()
    assert (await cloud.delete(path)).status == 200


async def test_what_is_changed_in_parts_answers_conflict_which_clients_retry(cloud: Cloud) -> None:
    network, firewall = await cloud.network(), await cloud.make("/firewalls", {"name": "f"})
    body = {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1"}
    balancer = await cloud.make("/load_balancers", body)
    service = {"protocol": "tcp", "listen_port": 80, "destination_port": 80}
    subnet = {"type": "cloud", "network_zone": "eu-central"}
    changes = {
        f"/load_balancers/{balancer['id']}/actions/add_service": service,
        f"/networks/{network['id']}/actions/add_subnet": subnet,
        f"/firewalls/{firewall['id']}/actions/set_rules": {"rules": []},
    }
    for path, change in changes.items():
        assert (await cloud.post(path, change)).status == 201
        again = await cloud.post(path, change)
        assert (again.status, again.code) == (409, "conflict"), path
