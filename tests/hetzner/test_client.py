import asyncio
from datetime import UTC, datetime

import pytest

from hetzner import facts
from hetzner.conftest import TOKEN
from hetzner.scripted import Scripted
from hk3s_hetzner import domain, errors, transport
from hk3s_hetzner.client import Hetzner


async def create(client: Hetzner) -> domain.CreatedServer:
    return await client.create_server(
        name="demo-workers-x7k2p",
        server_type="cx23",
        location="fsn1",
        image="ubuntu-24.04",
        labels={"hk3s.dev/cluster": "demo"},
        user_data="#cloud-config\n",
        ssh_keys=[5],
    )


async def test_a_worker_is_created_off_without_public_addresses(
    api: Scripted, hetzner: Hetzner
) -> None:
    api.expect(
        "POST",
        "/servers",
        status=201,
        json={
            "server": facts.server(),
            "action": facts.action(1),
            "next_actions": [facts.action(2)],
        },
    )

    created = await create(hetzner)

    assert created.server.id == 42
    assert created.server.public_ipv4 is None
    assert created.action_ids == (1, 2)
    assert api.bodies == [
        {
            "name": "demo-workers-x7k2p",
            "server_type": "cx23",
            "location": "fsn1",
            "image": "ubuntu-24.04",
            "labels": {"hk3s.dev/cluster": "demo"},
            "user_data": "#cloud-config\n",
            "public_net": {"enable_ipv4": False, "enable_ipv6": False},
            "start_after_create": False,
            "ssh_keys": [5],
        }
    ]


async def test_a_bastion_gets_its_primary_ip_and_firewall_in_the_create_call(
    api: Scripted, hetzner: Hetzner
) -> None:
    ipv4 = {"ip": "127.9.0.1", "blocked": False, "dns_ptr": "x"}
    public: dict[str, object] = {"ipv4": ipv4, "ipv6": None, "floating_ips": [], "firewalls": []}
    answer = {"server": facts.server(public_net=public), "action": facts.action(1)}
    api.expect("POST", "/servers", status=201, json=answer)

    created = await hetzner.create_server(
        name="demo-bastion",
        server_type="cx23",
        location="fsn1",
        image="ubuntu-24.04",
        labels={},
        user_data="",
        primary_ipv4_id=9,
        firewalls=[3],
        start_after_create=True,
    )

    assert created.server.public_ipv4 == "127.9.0.1"
    assert api.bodies[0]["public_net"] == {"enable_ipv4": True, "enable_ipv6": False, "ipv4": 9}
    assert api.bodies[0]["firewalls"] == [{"firewall": 3}]


async def test_a_create_that_is_repeated_after_a_timeout_already_exists(
    api: Scripted, monkeypatch: pytest.MonkeyPatch, sdk_pauses: list[float]
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", (1.0, 0.1))
    client = Hetzner(TOKEN, endpoint=api.endpoint, workers=1)
    api.expect("POST", "/servers", hangs=True)
    api.refuse("POST", "/servers", 409, "uniqueness_error", fields=[{"name": "name"}])

    with pytest.raises(errors.AlreadyExists):
        await create(client)
    await client.close()

    assert len(sdk_pauses) == 1


async def test_lists_follow_pages(api: Scripted, hetzner: Hetzner) -> None:
    query = {"label_selector": ["a=b"], "per_page": ["50"]}
    api.expect(
        "GET",
        "/servers",
        query=query | {"page": ["1"]},
        json=facts.page("servers", [facts.server(id=1)], next_page=2),
    )
    api.expect(
        "GET",
        "/servers",
        query=query | {"page": ["2"]},
        json=facts.page("servers", [facts.server(id=2)]),
    )

    servers = await hetzner.list_servers(label_selector="a=b")

    assert [server.id for server in servers] == [1, 2]


async def test_a_server_is_read_without_hidden_calls(api: Scripted, hetzner: Hetzner) -> None:
    net = {"network": 8, "ip": "10.4.1.2", "alias_ips": [], "mac_address": "86:00:00:00:00:01"}
    api.expect("GET", "/servers/42", json={"server": facts.server(private_net=[net], image=None)})

    server = await hetzner.get_server(42)

    assert server is not None
    assert server.private_ip(8) == "10.4.1.2"
    assert server.private_ip(9) is None
    assert server.image is None
    assert server.created == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def test_what_is_absent_is_none(api: Scripted, hetzner: Hetzner) -> None:
    api.refuse("GET", "/servers/42", 404, "not_found")
    api.refuse("GET", "/networks/8", 404, "not_found")
    api.expect("GET", "/servers", json=facts.page("servers", []))

    assert await hetzner.get_server(42) is None
    assert await hetzner.get_network(8) is None
    assert await hetzner.get_server_by_name("demo-master-1") is None


async def test_deleting_what_is_gone_is_fine(api: Scripted, hetzner: Hetzner) -> None:
    api.refuse("DELETE", "/servers/42", 404, "not_found")
    api.refuse("DELETE", "/networks/8", 404, "not_found")

    assert await hetzner.delete_server(42) == ()
    await hetzner.delete_network(8)


async def test_deletions_with_an_empty_answer_and_with_an_action_are_read(
    api: Scripted, hetzner: Hetzner
) -> None:
    api.expect("DELETE", "/networks/8", status=204)
    api.expect("DELETE", "/load_balancers/3", status=201, json={"action": facts.action(5)})

    await hetzner.delete_network(8)
    assert await hetzner.delete_load_balancer(3) == (5,)


async def test_attaching_what_is_attached_is_fine(api: Scripted, hetzner: Hetzner) -> None:
    path = "/servers/42/actions/attach_to_network"
    api.expect("POST", path, status=201, json={"action": facts.action(3)})
    api.refuse("POST", path, 422, "server_already_attached")

    assert await hetzner.attach_to_network(42, 8, ip_range="10.4.1.0/24") == (3,)
    assert await hetzner.attach_to_network(42, 8, ip="10.4.0.3") == ()
    assert api.bodies == [
        {"network": 8, "ip_range": "10.4.1.0/24"},
        {"network": 8, "ip": "10.4.0.3"},
    ]


async def test_a_network_is_made_with_subnets_and_routes(api: Scripted, hetzner: Hetzner) -> None:
    subnet = {"type": "cloud", "ip_range": "10.4.0.0/24", "network_zone": "eu-central"}
    route = {"destination": "0.0.0.0/0", "gateway": "10.4.0.2"}
    network = {
        "id": 8,
        "name": "demo",
        "ip_range": "10.4.0.0/16",
        "subnets": [{**subnet, "gateway": "10.4.0.1"}],
        "routes": [route],
        "servers": [42],
        "labels": {"a": "b"},
    }
    api.expect("POST", "/networks", status=201, json={"network": network})

    made = await hetzner.create_network(
        name="demo",
        ip_range="10.4.0.0/16",
        labels={"a": "b"},
        subnets=[
            domain.Subnet(
                ip_range="10.4.0.0/24", network_zone="eu-central", type="cloud", gateway=None
            )
        ],
        routes=[domain.Route(destination="0.0.0.0/0", gateway="10.4.0.2")],
    )

    assert api.bodies[0]["subnets"] == [subnet]
    assert api.bodies[0]["routes"] == [route]
    assert made.subnets[0].gateway == "10.4.0.1"
    assert made.server_ids == (42,)


async def test_firewall_rules_survive_the_round_trip(api: Scripted, hetzner: Hetzner) -> None:
    rules = (
        domain.FirewallRule(direction="in", protocol="tcp", ips=("203.0.113.7/32",), port="22"),
        domain.FirewallRule(direction="out", protocol="icmp", ips=("0.0.0.0/0",)),
    )

    async def echo() -> domain.Firewall:
        api.expect("POST", "/firewalls/3/actions/set_rules", status=201, json={"actions": []})
        await hetzner.set_firewall_rules(3, rules)
        sent = api.bodies[0]["rules"]
        answer = {"firewall": {"id": 3, "name": "f", "rules": sent, "applied_to": [], "labels": {}}}
        api.expect("POST", "/firewalls", status=201, json=answer)
        return await hetzner.create_firewall(name="f", rules=rules, labels={})

    assert (await echo()).rules == rules
    assert api.bodies[0]["rules"][0]["source_ips"] == ["203.0.113.7/32"]
    assert api.bodies[0]["rules"][0]["destination_ips"] == []


async def test_load_balancers_are_found_by_network(api: Scripted, hetzner: Hetzner) -> None:
    def balancer(balancer_id: int, networks: list[int]) -> dict[str, object]:
        return {
            "id": balancer_id,
            "name": f"lb-{balancer_id}",
            "load_balancer_type": {"name": "lb11"},
            "location": {"name": "fsn1"},
            "public_net": {"enabled": False, "ipv4": {"ip": None}, "ipv6": {"ip": None}},
            "private_net": [{"network": network, "ip": "10.4.0.9"} for network in networks],
            "protection": {"delete": False},
            "labels": {},
        }

    api.expect(
        "GET",
        "/load_balancers",
        json=facts.page("load_balancers", [balancer(1, [8]), balancer(2, [])]),
    )

    found = await hetzner.list_load_balancers(network_id=8)

    assert [(one.id, one.public_ipv4) for one in found] == [(1, None)]


async def test_the_fence_stops_a_write_before_it_leaves(api: Scripted) -> None:
    def closed() -> None:
        raise errors.FenceLost("not the leader")

    client = Hetzner(TOKEN, endpoint=api.endpoint, fence=closed, workers=1)
    api.expect("GET", "/servers", json=facts.page("servers", []))

    with pytest.raises(errors.FenceLost):
        await client.power_on(42)
    assert await client.list_servers() == ()
    await client.close()


async def test_the_fence_stops_the_sdks_retry(api: Scripted, sdk_pauses: list[float]) -> None:
    attempts = iter((None, errors.FenceLost("the Lease may have expired")))

    def fence() -> None:
        if verdict := next(attempts):
            raise verdict

    client = Hetzner(TOKEN, endpoint=api.endpoint, fence=fence, workers=1)
    api.refuse("POST", "/servers/42/actions/poweron", 409, "conflict")

    with pytest.raises(errors.FenceLost):
        await client.power_on(42)
    await client.close()

    assert len(sdk_pauses) == 1


async def test_rate_limit_and_server_time_are_read_from_answers(
    api: Scripted, hetzner: Hetzner
) -> None:
    assert hetzner.rate_limit_remaining is None
    headers = {
        "RateLimit-Limit": "3600",
        "RateLimit-Remaining": "3599",
        "RateLimit-Reset": "1700000000",
        "Date": "Mon, 23 Nov 2026 12:00:00 GMT",
    }
    api.expect("GET", "/locations", json=facts.page("locations", []), headers=headers)
    api.expect("GET", "/locations", json=facts.page("locations", []))

    await hetzner.list_locations()
    await hetzner.list_locations()

    assert hetzner.rate_limit == domain.RateLimit(
        limit=3600, remaining=3599, reset=datetime.fromtimestamp(1700000000, UTC)
    )
    assert hetzner.rate_limit_remaining == 3599


async def test_each_attempt_is_observed(api: Scripted) -> None:
    calls: list[transport.Call] = []
    client = Hetzner(TOKEN, endpoint=api.endpoint, observe=calls.append, workers=1)
    api.refuse("GET", "/locations", 409, "conflict")
    api.expect("GET", "/locations", json=facts.page("locations", []))

    await client.list_locations()
    await client.close()

    assert [(call.method, call.status) for call in calls] == [("GET", 409), ("GET", 200)]
    assert all(call.path.startswith("/v1/locations?") for call in calls)


async def test_calls_of_several_threads_do_not_share_a_client(
    api: Scripted, hetzner: Hetzner
) -> None:
    for _ in range(6):
        api.expect("GET", "/locations", json=facts.page("locations", []))

    answers = await asyncio.gather(*(hetzner.list_locations() for _ in range(6)))

    assert answers == [()] * 6


async def test_a_closed_client_sends_nothing(api: Scripted) -> None:
    client = Hetzner(TOKEN, endpoint=api.endpoint, workers=1)
    await client.close()

    with pytest.raises(errors.FenceLost, match="closed"):
        await client.list_locations()
