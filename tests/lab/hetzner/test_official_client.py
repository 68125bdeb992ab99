"""hcloud-python, unmodified, on a real clock that runs fast."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import aiohttp
import pytest
from hcloud import APIException, Client
from hcloud.actions import ActionFailedException, ActionTimeoutException
from hcloud.firewalls import FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import CreateServerResponse, ServerCreatePublicNetwork

from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from lab.hetzner.support import PUBLIC_KEY, TOKEN, Json

T = TypeVar("T")


def some(value: T | None) -> T:
    """The SDK types what it always sets as optional."""
    assert value is not None
    return value


SPEED = 50.0
CX23, UBUNTU, FSN1 = ServerType(name="cx23"), Image(name="ubuntu-24.04"), Location(name="fsn1")
PRIVATE = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)


class Official:
    """The client, run in a thread as its calls block."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client = Client(TOKEN, api_endpoint=endpoint, poll_interval=0.01, timeout=10)

    async def run(self, work: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(work, self.client)

    async def arm(self, effect: Json) -> None:
        url = f"{self.endpoint.removesuffix('/v1')}/_lab/faults"
        async with aiohttp.ClientSession() as session:
            await session.post(url, json={"effect": effect, "times": 1}, raise_for_status=True)

    async def lab(self, url: str, body: Json) -> None:
        async with aiohttp.ClientSession() as session:
            await session.put(url, json=body, raise_for_status=True)

    async def code(self, work: Callable[[Client], object]) -> str:
        with pytest.raises(APIException) as caught:
            await self.run(work)
        assert caught.value.correlation_id
        return str(caught.value.code)


@pytest.fixture
async def official() -> AsyncIterator[Official]:
    emulator = Emulator(clock=RealClock(), speed=SPEED, stock="all")
    client = Official(await emulator.start())
    yield client
    client.client._client._session.close()
    await emulator.stop()


async def test_a_private_cluster_is_built_and_torn_down(official: Official) -> None:
    await official.run(build_and_destroy)


def build_and_destroy(client: Client) -> None:
    key = client.ssh_keys.create(name="me", public_key=PUBLIC_KEY)
    subnet = NetworkSubnet(ip_range="10.4.0.0/24", type="cloud", network_zone="eu-central")
    network = client.networks.create(name="c", ip_range="10.4.0.0/16", subnets=[subnet])
    network.add_subnet(
        NetworkSubnet(ip_range="10.4.1.0/24", type="cloud", network_zone="eu-central")
    ).wait_until_finished()
    network.add_route(
        NetworkRoute(destination="0.0.0.0/0", gateway="10.4.0.2")
    ).wait_until_finished()

    ssh = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["198.51.100.0/24"])
    firewall = client.firewalls.create(name="fw", rules=[ssh]).firewall
    address = client.primary_ips.create(type="ipv4", name="ip", location=FSN1).primary_ip
    group = client.placement_groups.create(name="g", type="spread").placement_group

    bastion = client.servers.create(
        name="bastion",
        server_type=CX23,
        image=UBUNTU,
        location=FSN1,
        ssh_keys=[key],
        firewalls=[firewall],
        networks=[network],
        placement_group=group,
        public_net=ServerCreatePublicNetwork(ipv4=address, enable_ipv6=False),
        labels={"role": "bastion"},
    )
    assert bastion.root_password is None
    bastion.action.wait_until_finished()
    for action in bastion.next_actions:
        action.wait_until_finished()

    worker = client.servers.create(
        name="worker",
        server_type=CX23,
        image=UBUNTU,
        location=FSN1,
        public_net=PRIVATE,
        start_after_create=False,
        labels={"role": "worker"},
    )
    worker.action.wait_until_finished()
    worker.server.attach_to_network(network, ip_range="10.4.1.0/24").wait_until_finished()
    worker.server.power_on().wait_until_finished()

    seen = client.servers.get_all(label_selector="role=worker", status=["running"])
    assert [server.name for server in seen] == ["worker"]
    assert some(seen[0].public_net).ipv4 is None
    assert some(seen[0].private_net)[0].ip.startswith("10.4.1.")
    server = client.servers.get_by_name("bastion")
    assert server is not None
    assert some(some(server.public_net).ipv4).ip == address.ip
    assert some(server.image).name == "ubuntu-24.04"
    assert server.placement_group is not None
    assert server.placement_group.servers == [server.id]
    workers = client.networks.get_member_all(network, subnet=["10.4.1.0/24"], sort=["id:desc"])
    assert (workers[0].id, workers[0].type, workers[0].status) == (seen[0].id, "server", "ok")
    routes = some(client.networks.get_by_id(some(network.id)).routes)
    assert [route.gateway for route in routes] == ["10.4.0.2"]

    server.update(labels={"role": "gone"})
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    with pytest.raises(APIException) as caught:
        server.delete()
    assert caught.value.code == "protected"
    server.change_protection(delete=False, rebuild=False).wait_until_finished()

    server.delete().wait_until_finished()
    seen[0].delete().wait_until_finished()
    assert client.servers.get_all() == []
    client.primary_ips.delete(address)
    firewall.delete()
    network.delete()
    group.delete()
    key.delete()
    for left in (client.primary_ips, client.firewalls, client.networks, client.ssh_keys):
        assert left.get_all() == []


def order(client: Client, name: str = "one", **changes: Json) -> CreateServerResponse:
    wanted = {"server_type": CX23, "image": UBUNTU, "location": FSN1, **changes}
    return client.servers.create(name=name, **wanted)


async def test_a_failed_creation_is_an_action_failed_exception(official: Official) -> None:
    await official.arm({"action_fails": {"code": "placement_error", "message": "no host"}})
    created = await official.run(order)

    with pytest.raises(ActionFailedException) as caught:
        await official.run(lambda _: created.action.wait_until_finished())

    assert dict(caught.value.action.error or {}) == {
        "code": "placement_error",
        "message": "no host",
    }
    assert await official.run(lambda client: client.servers.get_by_name("one")) is None


async def test_a_hanging_action_is_an_action_timeout_exception(official: Official) -> None:
    await official.arm({"action_hangs": True})
    created = await official.run(order)

    with pytest.raises(ActionTimeoutException):
        await official.run(lambda _: created.action.wait_until_finished(max_retries=3))


async def test_codes_arrive_as_the_client_knows_them(official: Official) -> None:
    await official.arm({"action_hangs": True})
    await official.run(order)

    assert await official.code(order) == "uniqueness_error"
    assert await official.code(lambda c: c.servers.get_by_id(1)) == "not_found"
    assert await official.code(lambda c: order(c, "a_b")) == "invalid_input"
    assert await official.code(lambda c: order(c, "b", server_type=ServerType(name="cx1"))) == (
        "invalid_input"
    )
    assert await official.code(lambda c: some(c.servers.get_by_name("one")).delete()) == "locked"
    for code in ("resource_unavailable", "unavailable", "maintenance", "service_error"):
        await official.arm({"error": {"code": code}})
        assert await official.code(lambda c: c.servers.get_all()) == code


async def test_lists_are_read_to_the_last_page(official: Official) -> None:
    def fill(client: Client) -> list[str]:
        for number in range(120):
            order(client, f"s{number:03}", public_net=PRIVATE, start_after_create=False)
        return [str(server.name) for server in client.servers.get_all()]

    assert await official.run(fill) == [f"s{number:03}" for number in range(120)]


async def test_the_catalogue_is_understood(official: Official) -> None:
    def read(client: Client) -> None:
        cx23 = client.server_types.get_by_name("cx23")
        assert cx23 is not None
        assert [place.location.name for place in some(cx23.locations) if place.available] == [
            "fsn1",
            "nbg1",
            "hel1",
        ]
        arm = client.images.get_by_name_and_architecture("debian-13", "arm")
        assert arm is not None
        assert arm.architecture == "arm"
        assert [location.network_zone for location in client.locations.get_all()][:3] == [
            "eu-central"
        ] * 3

    await official.run(read)
