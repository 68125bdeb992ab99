import pytest

from hk3s_lab.hetzner.events import NetworkRoutesChanged, ServerNetworkChanged
from lab.hetzner.support import PRIVATE, Cloud, Json, server_body

ZONE = "eu-central"


def subnet(ip_range: str | None = None, zone: str = ZONE, kind: str = "cloud") -> Json:
    made = {"type": kind, "network_zone": zone}
    return made if ip_range is None else {**made, "ip_range": ip_range}


async def attach(cloud: Cloud, server: Json, network: Json, **wanted: Json) -> Json:
    """Attach and return the server's address, or the error code."""
    path = f"/servers/{server['id']}"
    body = {"network": network["id"], **wanted}
    reply = await cloud.post(f"{path}/actions/attach_to_network", body)
    if reply.status != 201:
        return reply.code
    await cloud.settled()
    nics = (await cloud.get(path)).body["server"]["private_net"]
    return next(nic["ip"] for nic in nics if nic["network"] == network["id"])


async def test_addresses_are_given_out_in_order_without_the_gateway(cloud: Cloud) -> None:
    network = await cloud.network()
    given = []
    for number in range(3):
        server = await cloud.private_server(f"s{number}")
        given.append(await attach(cloud, server, network))

    assert given == ["10.4.0.2", "10.4.0.3", "10.4.0.4"]


async def test_the_first_address_of_a_later_subnet_is_usable(cloud: Cloud) -> None:
    network = await cloud.make(
        "/networks",
        {"name": "net", "ip_range": "10.4.0.0/16", "subnets": [subnet("10.4.1.0/24")]},
    )
    server = await cloud.private_server()

    assert await attach(cloud, server, network) == "10.4.1.1"


async def test_ip_range_chooses_the_subnet(cloud: Cloud) -> None:
    ranges = ["10.4.0.0/24", "10.4.1.0/24", "10.4.2.0/24"]
    network = await cloud.make(
        "/networks",
        {"name": "net", "ip_range": "10.4.0.0/16", "subnets": [subnet(text) for text in ranges]},
    )
    given = [
        await attach(cloud, await cloud.private_server(f"s{n}"), network, ip_range="10.4.1.0/24")
        for n in range(4)
    ]

    assert given == ["10.4.1.1", "10.4.1.2", "10.4.1.3", "10.4.1.4"]


async def test_without_a_choice_any_subnet_of_the_zone_may_be_used(cloud: Cloud) -> None:
    ranges = ["10.4.0.0/24", "10.4.1.0/24"]
    network = await cloud.make(
        "/networks",
        {"name": "net", "ip_range": "10.4.0.0/16", "subnets": [subnet(text) for text in ranges]},
    )
    given = [await attach(cloud, await cloud.private_server(f"s{n}"), network) for n in range(12)]

    assert {address.rsplit(".", 1)[0] for address in given} == {"10.4.0", "10.4.1"}


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [
        pytest.param({"ip": "10.4.0.9"}, "10.4.0.9", id="free"),
        pytest.param({"ip": "10.4.0.254"}, "10.4.0.254", id="last-host"),
        pytest.param({"ip": "10.4.0.1"}, "ip_not_available", id="gateway"),
        pytest.param({"ip": "10.4.0.0"}, "ip_not_available", id="network-address"),
        pytest.param({"ip": "10.4.0.255"}, "ip_not_available", id="broadcast"),
        pytest.param({"ip": "10.4.0.2"}, "ip_not_available", id="taken"),
        pytest.param({"ip": "10.4.9.2"}, "ip_not_available", id="no-subnet-there"),
        pytest.param({"ip": "192.168.0.2"}, "ip_not_available", id="outside"),
        pytest.param({"ip": "nonsense"}, "invalid_input", id="no-address"),
        pytest.param(
            {"ip": "10.4.0.9", "ip_range": "10.4.0.0/24"}, "10.4.0.9", id="within-ip-range"
        ),
        pytest.param(
            {"ip": "10.5.0.9", "ip_range": "10.4.0.0/24"}, "invalid_input", id="outside-ip-range"
        ),
        pytest.param({"ip_range": "10.4.7.0/24"}, "no_subnet_available", id="unknown-range"),
        pytest.param({"ip_range": "10.4.0.0"}, "no_subnet_available", id="range-of-one"),
        pytest.param({"alias_ips": ["10.4.0.2"]}, "ip_not_available", id="alias-taken"),
        pytest.param({"alias_ips": ["10.4.0.3"]}, "ip_not_available", id="alias-is-own-address"),
        pytest.param({"alias_ips": ["10.4.0.8"]}, "10.4.0.3", id="alias"),
        pytest.param(
            {"alias_ips": [f"10.4.0.{n}" for n in range(10, 16)]}, "invalid_input", id="six-aliases"
        ),
    ],
)
async def test_the_address_of_an_attachment(cloud: Cloud, wanted: Json, outcome: str) -> None:
    network = await cloud.network()
    await attach(cloud, await cloud.private_server("first"), network)

    assert await attach(cloud, await cloud.private_server(), network, **wanted) == outcome


async def test_an_address_is_reserved_while_the_attachment_runs(cloud: Cloud) -> None:
    network = await cloud.network()
    one, two = await cloud.private_server("one"), await cloud.private_server("two")
    body = {"network": network["id"], "ip": "10.4.0.9"}

    first = await cloud.post(f"/servers/{one['id']}/actions/attach_to_network", body)
    second = await cloud.post(f"/servers/{two['id']}/actions/attach_to_network", body)

    assert (first.status, second.code) == (201, "ip_not_available")
    members = (await cloud.get(f"/networks/{network['id']}/members")).body["members"]
    assert members == [
        {
            "id": one["id"],
            "type": "server",
            "ip": "10.4.0.9",
            "alias_ips": [],
            "subnet": "10.4.0.0/24",
            "status": "attaching",
        }
    ]
    assert (await cloud.get(f"/networks/{network['id']}")).body["network"]["servers"] == []


async def test_a_full_subnet_has_no_address(cloud: Cloud) -> None:
    network = await cloud.make(
        "/networks",
        {"name": "net", "ip_range": "10.4.0.0/24", "subnets": [subnet("10.4.0.0/30")]},
    )

    # .0 and .3 are the edges, .1 the gateway of the network.
    assert await attach(cloud, await cloud.private_server("a"), network) == "10.4.0.2"
    assert await attach(cloud, await cloud.private_server("b"), network) == "no_subnet_available"


async def test_a_server_needs_a_subnet_in_its_zone(cloud: Cloud) -> None:
    network = await cloud.make(
        "/networks", {"name": "us", "ip_range": "10.4.0.0/16", "subnets": [subnet(zone="us-east")]}
    )

    assert await attach(cloud, await cloud.private_server(), network) == "no_subnet_available"


async def test_a_server_joins_a_network_once_and_only_disjoint_ones(cloud: Cloud) -> None:
    first = await cloud.network("first")
    overlapping = await cloud.network("overlapping", "10.4.0.0/24")
    server = await cloud.private_server()

    await attach(cloud, server, first)

    assert await attach(cloud, server, first) == "server_already_attached"
    assert await attach(cloud, server, overlapping) == "networks_overlap"


async def test_a_server_joins_three_networks(cloud: Cloud) -> None:
    server = await cloud.private_server()
    given = [
        await attach(cloud, server, await cloud.network(f"n{n}", f"10.{n}.0.0/16"))
        for n in range(4)
    ]

    assert given == ["10.0.0.2", "10.1.0.2", "10.2.0.2", "resource_limit_exceeded"]


async def test_a_network_has_a_hundred_members(cloud: Cloud) -> None:
    network = await cloud.network()
    inside = server_body(networks=[network["id"]], public_net=PRIVATE)
    for number in range(100):
        made = await cloud.post("/servers", {**inside, "name": f"s{number}"})
        assert made.status == 201

    refused = await cloud.post("/servers", {**inside, "name": "s100"})

    assert (refused.status, refused.code) == (403, "resource_limit_exceeded")
    assert refused.body["error"]["details"]["limits"] == [{"name": "network_member_limit"}]


@pytest.mark.parametrize(
    ("ip_range", "allowed"),
    [
        pytest.param("10.0.0.0/8", True, id="ten-eight"),
        pytest.param("172.16.0.0/12", True, id="172-12"),
        pytest.param("192.168.0.0/24", True, id="smallest"),
        pytest.param("192.168.0.0/25", False, id="too-small"),
        pytest.param("10.0.0.0/7", False, id="more-than-private"),
        pytest.param("8.8.8.0/24", False, id="public"),
        pytest.param("10.4.0.1/16", False, id="host-bits"),
        pytest.param("fd00::/64", False, id="ipv6"),
        pytest.param("", False, id="empty"),
    ],
)
async def test_the_range_of_a_network(cloud: Cloud, ip_range: str, *, allowed: bool) -> None:
    reply = await cloud.post("/networks", {"name": "net", "ip_range": ip_range})

    if allowed:
        assert reply.status == 201
    else:
        assert (reply.status, reply.code, reply.fields) == (422, "invalid_input", ["ip_range"])


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        pytest.param(subnet("10.4.1.0/24"), None, id="fits"),
        pytest.param(subnet(), None, id="first-free"),
        pytest.param(subnet("10.4.1.0/30"), None, id="smallest"),
        pytest.param(subnet("10.4.1.0/31"), "ip_range", id="too-small"),
        pytest.param(subnet("10.4.0.128/25"), "ip_range", id="overlaps-a-subnet"),
        pytest.param(subnet("10.4.9.0/24"), "ip_range", id="overlaps-a-route"),
        pytest.param(subnet("10.5.0.0/24"), "ip_range", id="outside"),
        pytest.param(subnet("10.4.1.1/24"), "ip_range", id="host-bits"),
        pytest.param(subnet("10.4.1.0/24", zone="us-east"), "network_zone", id="other-zone"),
        pytest.param(subnet("10.4.1.0/24", zone="mars"), "network_zone", id="unknown-zone"),
        pytest.param(subnet("10.4.1.0/24", kind="vlan"), "type", id="unknown-type"),
        pytest.param(subnet("10.4.1.0/24", kind="vswitch"), "vswitch_id", id="no-vswitch"),
    ],
)
async def test_adding_a_subnet(cloud: Cloud, wanted: Json, field: str | None) -> None:
    network = await cloud.network()
    path = f"/networks/{network['id']}"
    route = {"destination": "10.4.9.0/24", "gateway": "10.4.0.2"}
    await cloud.post(f"{path}/actions/add_route", route)
    await cloud.settled()

    reply = await cloud.post(f"{path}/actions/add_subnet", wanted)

    if field is not None:
        assert (reply.status, reply.fields) == (422, [field])
        return
    assert (await cloud.action(reply))["status"] == "success"
    added = (await cloud.get(path)).body["network"]["subnets"][-1]
    assert added["ip_range"] == wanted.get("ip_range", "10.4.1.0/24")
    assert added["gateway"] == "10.4.0.1"


@pytest.mark.parametrize(
    ("destination", "gateway", "field"),
    [
        pytest.param("0.0.0.0/0", "10.4.0.2", None, id="default"),
        pytest.param("192.168.7.0/24", "10.4.0.2", None, id="private"),
        pytest.param("8.8.8.0/24", "10.4.0.2", "destination", id="public"),
        pytest.param("10.4.0.0/24", "10.4.0.2", "destination", id="overlaps-a-subnet"),
        pytest.param("172.31.0.0/16", "10.4.0.2", "destination", id="public-gateway-inside"),
        pytest.param("10.9.0.0/16", "10.4.0.2", "destination", id="overlaps-a-route"),
        pytest.param("10.9.1.1/16", "10.4.0.2", "destination", id="host-bits"),
        pytest.param("0.0.0.0/0", "10.4.0.1", "gateway", id="gateway-of-the-network"),
        pytest.param("0.0.0.0/0", "172.31.1.1", "gateway", id="public-gateway"),
        pytest.param("0.0.0.0/0", "10.5.0.2", "gateway", id="gateway-outside"),
        pytest.param("0.0.0.0/0", "bastion", "gateway", id="no-address"),
    ],
)
async def test_adding_a_route(
    cloud: Cloud, destination: str, gateway: str, field: str | None
) -> None:
    network = await cloud.network()
    actions = f"/networks/{network['id']}/actions"
    await cloud.post(f"{actions}/add_route", {"destination": "10.9.1.0/24", "gateway": "10.4.0.2"})
    await cloud.settled()

    reply = await cloud.post(
        f"{actions}/add_route", {"destination": destination, "gateway": gateway}
    )

    if field is not None:
        assert (reply.status, reply.fields) == (422, [field])
        return
    assert (await cloud.action(reply))["status"] == "success"
    assert cloud.emulator.routes(network["id"])[-1] == (destination, gateway)
    assert cloud.events[-1] == NetworkRoutesChanged(network["id"])


async def test_a_second_default_route_overlaps_the_first(cloud: Cloud) -> None:
    network = await cloud.network()
    path = f"/networks/{network['id']}/actions"
    route = {"destination": "0.0.0.0/0", "gateway": "10.4.0.2"}

    await cloud.post(f"{path}/add_route", route)
    await cloud.settled()
    again = await cloud.post(f"{path}/add_route", route)
    await cloud.post(f"{path}/delete_route", route)
    await cloud.settled()

    assert again.fields == ["destination"]
    assert (await cloud.post(f"{path}/delete_route", route)).status == 404
    assert cloud.emulator.routes(network["id"]) == ()


@pytest.mark.parametrize(
    ("ip_range", "allowed"),
    [
        pytest.param("10.4.0.0/15", True, id="one-bit-more"),
        pytest.param("10.0.0.0/8", False, id="other-start"),
        pytest.param("10.4.0.0/17", False, id="shrinks"),
    ],
)
async def test_a_network_only_grows(cloud: Cloud, ip_range: str, *, allowed: bool) -> None:
    network = await cloud.network()
    path = f"/networks/{network['id']}"

    reply = await cloud.post(f"{path}/actions/change_ip_range", {"ip_range": ip_range})
    await cloud.settled()

    assert reply.status == (201 if allowed else 422)
    after = (await cloud.get(path)).body["network"]["ip_range"]
    assert after == (ip_range if allowed else "10.4.0.0/16")


async def test_a_change_of_a_network_excludes_others_and_attachments(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.private_server()
    path = f"/networks/{network['id']}"
    await cloud.post(f"{path}/actions/add_subnet", subnet())

    others = [
        await cloud.post(f"{path}/actions/add_subnet", subnet()),
        await cloud.put(path, {"name": "new"}),
        await cloud.delete(path),
    ]

    assert [(reply.status, reply.code) for reply in others] == [(409, "conflict")] * 3
    assert await attach(cloud, server, network) == "conflict"
    await cloud.settled()
    assert await attach(cloud, server, network) == "10.4.0.2"


async def test_a_subnet_in_use_stays(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.private_server()
    await attach(cloud, server, network)
    path = f"/networks/{network['id']}"
    body = {"ip_range": "10.4.0.0/24"}

    used = await cloud.post(f"{path}/actions/delete_subnet", body)
    detach = await cloud.post(
        f"/servers/{server['id']}/actions/detach_from_network", {"network": network["id"]}
    )
    await cloud.settled()
    await cloud.post(f"{path}/actions/delete_subnet", body)
    await cloud.settled()

    assert (used.status, used.code) == (422, "resource_in_use")
    assert detach.status == 201
    assert (await cloud.get(path)).body["network"]["subnets"] == []


async def test_deleting_a_network_detaches_its_servers(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server(networks=[network["id"]])

    assert (await cloud.delete(f"/networks/{network['id']}")).status == 204

    assert (await cloud.get(f"/servers/{server['id']}")).body["server"]["private_net"] == []
    assert cloud.events[-1] == ServerNetworkChanged(server["id"])


async def test_a_protected_network_stays(cloud: Cloud) -> None:
    network = await cloud.network()
    path = f"/networks/{network['id']}"

    await cloud.post(f"{path}/actions/change_protection", {"delete": True})
    await cloud.settled()

    assert (await cloud.delete(path)).code == "protected"


async def test_aliases_are_replaced(cloud: Cloud) -> None:
    network = await cloud.network()
    server = await cloud.server(networks=[network["id"]])
    path = f"/servers/{server['id']}"
    body = {"network": network["id"], "alias_ips": ["10.4.0.50", "10.4.0.51"]}

    action = await cloud.action(await cloud.post(f"{path}/actions/change_alias_ips", body))

    assert action["status"] == "success"
    nic = (await cloud.get(path)).body["server"]["private_net"][0]
    assert nic["alias_ips"] == ["10.4.0.50", "10.4.0.51"]


async def test_members_are_filtered_and_sorted_as_numbers(cloud: Cloud) -> None:
    ranges = ["10.4.0.0/24", "10.4.1.0/24"]
    network = await cloud.make(
        "/networks",
        {"name": "net", "ip_range": "10.4.0.0/16", "subnets": [subnet(text) for text in ranges]},
    )
    for name, ip in (("a", "10.4.0.10"), ("b", "10.4.0.9"), ("c", "10.4.1.2")):
        await attach(cloud, await cloud.private_server(name), network, ip=ip)
    path = f"/networks/{network['id']}/members"

    async def ips(query: str) -> list[str]:
        return [member["ip"] for member in (await cloud.get(f"{path}?{query}")).body["members"]]

    assert await ips("sort=ip") == ["10.4.0.9", "10.4.0.10", "10.4.1.2"]
    assert await ips("subnet=10.4.1.0/24") == ["10.4.1.2"]
    assert await ips("status=attaching") == []
    assert await ips("type=load_balancer") == []
