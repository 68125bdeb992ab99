"""The adapter against the emulator: the whole life of a cluster's objects, over real HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from hk3s_hetzner import catalog, domain, errors, labels
from hk3s_hetzner.client import Hetzner
from lab.hetzner.support import PUBLIC_KEY, TOKEN, Cloud, running_cloud


class EmulatedTime:
    """A wait of the adapter moves the emulator's clock."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await self.cloud.advance(seconds)


@dataclass(frozen=True, slots=True)
class World:
    cloud: Cloud
    hetzner: Hetzner
    network: domain.Network


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_cloud() as cloud:
        hetzner = Hetzner(TOKEN, endpoint=cloud.endpoint, clock=EmulatedTime(cloud), workers=2)
        network = await hetzner.create_network(
            name="demo",
            ip_range="10.4.0.0/16",
            labels=labels.for_cluster("demo"),
            subnets=[
                domain.Subnet(
                    ip_range=ip_range, network_zone="eu-central", type="cloud", gateway=None
                )
                for ip_range in ("10.4.0.0/24", "10.4.1.0/24")
            ],
            routes=[domain.Route(destination="0.0.0.0/0", gateway="10.4.0.2")],
        )
        yield World(cloud, hetzner, network)
        await hetzner.close()


async def buy(hetzner: Hetzner, name: str = "demo-workers-aaaaa") -> domain.CreatedServer:
    worker = labels.WorkerLabels(
        cluster="demo",
        cluster_uid="u",
        pool="workers",
        price_micro_eur_hour=8800,
        token_expires=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return await hetzner.create_server(
        name=name,
        server_type="cpx22",
        location="fsn1",
        image="ubuntu-24.04",
        labels=labels.for_worker(worker),
        user_data="#cloud-config\n{}\n",
    )


async def test_a_worker_lives_and_dies(world: World) -> None:
    hetzner, network = world.hetzner, world.network

    created = await buy(hetzner)
    await hetzner.wait(created.action_ids, timeout=60)
    server_id = created.server.id
    attached = await hetzner.attach_to_network(server_id, network.id, ip_range="10.4.1.0/24")
    await hetzner.wait(attached, timeout=60)
    await hetzner.wait(await hetzner.power_on(server_id), timeout=60)
    (server,) = await hetzner.list_servers(label_selector=labels.select_role("demo", "worker"))
    again = await hetzner.attach_to_network(server_id, network.id, ip_range="10.4.1.0/24")
    await hetzner.wait(await hetzner.delete_server(server_id), timeout=60)

    assert (server.status, server.public_ipv4, server.public_ipv6) == ("running", None, None)
    assert (server.private_ip(network.id) or "").startswith("10.4.1.")
    assert again == ()
    assert labels.read_worker(server.labels) is not None
    assert await hetzner.get_server(server_id) is None
    assert await hetzner.delete_server(server_id) == ()


async def test_a_second_server_of_the_name_already_exists(world: World) -> None:
    await buy(world.hetzner)

    with pytest.raises(errors.AlreadyExists):
        await buy(world.hetzner)
    assert await world.hetzner.get_server_by_name("demo-workers-aaaaa") is not None


async def test_a_wrong_token_is_denied(world: World) -> None:
    stranger = Hetzner("short", endpoint=world.cloud.endpoint, workers=1)

    with pytest.raises(errors.AccessDenied):
        await stranger.list_locations()
    await stranger.close()


async def test_a_bastion_has_the_one_public_address(world: World) -> None:
    hetzner = world.hetzner
    rules = (
        domain.FirewallRule(
            direction="in", protocol="tcp", ips=("203.0.113.7/32",), port="22", description="ssh"
        ),
    )
    tags = labels.for_infrastructure("demo", "bastion", "ab" * 32)
    address = await hetzner.create_primary_ipv4(name="demo", location="fsn1", labels=tags)
    firewall = await hetzner.create_firewall(name="demo", rules=rules, labels=tags)
    key = await hetzner.create_ssh_key(name="demo", public_key=PUBLIC_KEY, labels=tags)

    created = await hetzner.create_server(
        name="demo-bastion",
        server_type="cpx22",
        location="fsn1",
        image="ubuntu-24.04",
        labels=tags,
        user_data="#cloud-config\n{}\n",
        ssh_keys=[key.id],
        primary_ipv4_id=address.id,
        firewalls=[firewall.id],
        start_after_create=True,
    )
    await hetzner.wait(created.action_ids, timeout=60)
    with pytest.raises(errors.InUse):
        await hetzner.delete_firewall(firewall.id)
    (assigned,) = await hetzner.list_primary_ips(label_selector=labels.select_cluster("demo"))
    (found,) = await hetzner.list_ssh_keys(fingerprint=key.fingerprint)

    assert created.server.public_ipv4 == address.ip
    assert created.server.public_ipv6 is None
    assert (assigned.assignee_id, assigned.auto_delete) == (created.server.id, False)
    assert found == key
    assert (await hetzner.list_firewalls(name="demo"))[0].rules == rules


async def test_networks_are_read_and_changed(world: World) -> None:
    hetzner, network = world.hetzner, world.network

    added = await hetzner.add_subnet(network.id, ip_range="10.4.2.0/24", network_zone="eu-central")
    await hetzner.wait(added, timeout=60)
    (route,) = network.routes
    await hetzner.wait(await hetzner.delete_route(network.id, route), timeout=60)
    changed = await hetzner.get_network(network.id)
    await hetzner.delete_network(network.id)

    assert changed is not None
    assert [subnet.ip_range for subnet in changed.subnets] == [
        "10.4.0.0/24",
        "10.4.1.0/24",
        "10.4.2.0/24",
    ]
    assert changed.routes == ()
    assert await hetzner.list_networks(name="demo") == ()


async def test_the_catalogue_is_complete(world: World) -> None:
    hetzner = world.hetzner

    offerings = {one.key: one for one in catalog.offerings(await hetzner.list_server_types())}
    locations = await hetzner.list_locations()
    (image,) = await hetzner.list_images(name="ubuntu-24.04", architecture="x86")
    pricing = await hetzner.get_pricing()

    assert offerings["cpx22/fsn1"].price_micro_eur_hour == 31_200
    assert {place.network_zone for place in locations if place.name == "fsn1"} == {"eu-central"}
    assert (image.name, image.architecture) == ("ubuntu-24.04", "x86")
    assert pricing.primary_ipv4["fsn1"] == (800, 500_000)
    assert hetzner.rate_limit is not None


async def test_nothing_of_workloads_is_there_at_first(world: World) -> None:
    assert await world.hetzner.list_volumes() == ()
    assert await world.hetzner.list_load_balancers(network_id=world.network.id) == ()


async def test_a_type_that_is_sold_out_is_no_capacity(world: World) -> None:
    await world.cloud.put("/_lab/stock", {"cpx22/fsn1": False})

    with pytest.raises(errors.CapacityUnavailable):
        await buy(world.hetzner)


async def test_a_full_project_names_its_limit(world: World) -> None:
    await world.cloud.put("/_lab/limits", {"servers": 1})
    await buy(world.hetzner)

    with pytest.raises(errors.QuotaExceeded) as caught:
        await buy(world.hetzner, "demo-workers-bbbbb")

    assert caught.value.limit_name == "server_limit"
