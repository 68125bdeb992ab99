"""The Hetzner adapter against the emulator, over real HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from autoscaler import fakes
from hetzner.test_emulator import EmulatedTime
from hk3s_autoscaler.adapters.cloud import CloudSettings, HetznerCloud, offering
from hk3s_autoscaler.adapters.join_report import JoinReporter
from hk3s_autoscaler.ports import (
    CapacityUnavailable,
    Changed,
    NotLeader,
    QuotaExceeded,
    Rejected,
    ServerRequest,
)
from hk3s_data import catalog as bundled
from hk3s_hetzner import catalog, domain, labels
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import FenceLost
from lab.hetzner.support import PUBLIC_KEY, TOKEN, Cloud, running_cloud

EXPIRES = datetime(2026, 11, 23, 12, 20, tzinfo=UTC)


class Fence:
    def __init__(self) -> None:
        self.open = True

    def check(self) -> None:
        if not self.open:
            raise FenceLost("another process leads")


@dataclass(frozen=True, slots=True)
class World:
    emulator: Cloud
    hetzner: Hetzner
    cloud: HetznerCloud
    fence: Fence

    async def fault(self, body: object) -> None:
        reply = await self.emulator.post("/_lab/faults", body)
        assert reply.status < 300, reply.body

    async def stock(self, where: str, state: str) -> None:
        reply = await self.emulator.put("/_lab/stock", {where: state})
        assert reply.status < 300, reply.body


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_cloud() as emulator:
        fence = Fence()
        hetzner = Hetzner(
            TOKEN,
            endpoint=emulator.endpoint,
            clock=EmulatedTime(emulator),
            workers=2,
            fence=fence.check,
        )
        network = await hetzner.create_network(
            name="demo",
            ip_range="10.4.0.0/16",
            labels=labels.for_cluster("demo"),
            subnets=[
                domain.Subnet(ip_range=part, network_zone="eu-central", type="cloud", gateway=None)
                for part in ("10.4.0.0/24", "10.4.1.0/24")
            ],
            routes=[],
        )
        key = await hetzner.create_ssh_key(
            name="demo",
            public_key=PUBLIC_KEY,
            labels=labels.for_cluster("demo"),
        )
        settings = CloudSettings(
            cluster="demo",
            cluster_uid=fakes.CLUSTER_UID,
            network_id=network.id,
            worker_subnet=IPv4Network("10.4.1.0/24"),
            ssh_key_ids=(key.id,),
        )
        reporter = JoinReporter(IPv4Network("10.4.0.0/16"))
        yield World(emulator, hetzner, HetznerCloud(hetzner, settings, reporter), fence)
        await hetzner.close()


def request(name: str = "demo-workers-aaaaa", where: str = "cpx22/fsn1") -> ServerRequest:
    return ServerRequest(
        name=name,
        pool="workers",
        offering=fakes.key(where),
        image="ubuntu-24.04",
        user_data="#cloud-config\n{}\n",
        labels=labels.for_worker(
            labels.WorkerLabels(
                cluster="demo",
                cluster_uid=fakes.CLUSTER_UID,
                pool="workers",
                price_micro_eur_hour=8800,
                token_expires=EXPIRES,
                template="1.a.b",
            )
        ),
    )


async def test_a_worker_is_made_in_three_steps_and_deleted(world: World) -> None:
    cloud = world.cloud

    made = await cloud.create_server(request())
    assert (made.status, made.attached, made.micro_eur_per_hour) == ("off", False, 8800)
    assert (made.cluster_uid, made.token_expires_at) == (fakes.CLUSTER_UID, EXPIRES)
    attached = await cloud.attach_server(made.server_id)
    await cloud.power_on_server(made.server_id)

    assert attached.attached
    await world.emulator.clock.advance(5)
    (listed,) = await cloud.list_servers()
    assert (listed.status, listed.private_address) == ("running", "10.4.1.1")
    assert listed.template == "1.a.b"
    raw = (await world.emulator.get(f"/servers/{made.server_id}")).body["server"]
    assert (raw["public_net"]["ipv4"], raw["public_net"]["ipv6"]) == (None, None)
    assert await cloud.count_attachments() == 1

    await cloud.delete_server(made.server_id)
    await cloud.delete_server(made.server_id)

    assert await cloud.get_server(made.server_id) is None
    assert await cloud.list_servers() == ()


async def test_a_repeated_create_adopts_the_server(world: World) -> None:
    first = await world.cloud.create_server(request())

    again = await world.cloud.create_server(request())

    assert again.server_id == first.server_id


async def test_a_foreign_server_of_the_name_is_not_adopted(world: World) -> None:
    await world.emulator.server("demo-workers-aaaaa")

    with pytest.raises(Rejected) as refusal:
        await world.cloud.create_server(request())

    assert refusal.value.code == "name-taken"


async def test_sold_out_is_said_of_the_offering(world: World) -> None:
    await world.stock("cpx22/fsn1", "refused")

    with pytest.raises(CapacityUnavailable) as refusal:
        await world.cloud.create_server(request())

    assert (refusal.value.offering, refusal.value.code) == (
        fakes.key("cpx22/fsn1"),
        "resource_unavailable",
    )
    assert await world.cloud.list_servers() == ()


@pytest.mark.parametrize("code", ["placement_error", "action_failed"])
async def test_an_action_that_fails_after_the_answer_leaves_nothing(
    world: World, code: str
) -> None:
    await world.fault(
        {"effect": {"action_fails": {"code": code}}, "match": {"method": "POST"}, "times": 1}
    )

    with pytest.raises(CapacityUnavailable) as refusal:
        await world.cloud.create_server(request())

    assert refusal.value.code == code
    assert await world.cloud.list_servers() == ()


async def test_an_account_limit_is_named(world: World) -> None:
    reply = await world.emulator.put("/_lab/limits", {"servers": 0})
    assert reply.status == 200, reply.body

    with pytest.raises(QuotaExceeded) as refusal:
        await world.cloud.create_server(request())

    assert refusal.value.limit == "server_limit"


async def test_an_unknown_image_is_rejected(world: World) -> None:
    bad = request()

    with pytest.raises(Rejected):
        await world.cloud.create_server(
            ServerRequest(
                name=bad.name,
                pool=bad.pool,
                offering=bad.offering,
                image="no-such-image",
                user_data=bad.user_data,
                labels=bad.labels,
            )
        )


async def test_without_the_lease_nothing_is_created(world: World) -> None:
    world.fence.open = False

    with pytest.raises(NotLeader):
        await world.cloud.create_server(request())

    assert await world.cloud.list_servers() == ()


async def test_servers_without_our_labels_are_no_workers(world: World) -> None:
    made = await world.emulator.server("somebodys")

    assert await world.cloud.list_servers() == ()
    with pytest.raises(Changed):
        await world.cloud.get_server(made["id"])


async def test_offerings_are_those_of_the_networks_zone(world: World) -> None:
    offerings = await world.cloud.list_offerings()

    places = {item.key.location for item in offerings}
    assert "fsn1" in places
    assert "ash" not in places
    cpx22 = next(item for item in offerings if item.key == fakes.key("cpx22/fsn1"))
    assert cpx22.architecture == "x86"
    assert cpx22.micro_eur_per_hour > 0


def test_a_node_has_less_room_than_was_sold() -> None:
    sold = next(
        item
        for item in catalog.from_json(bundled.bundled()["server_types"])
        if item.key == "cx23/fsn1"
    )

    fact = offering(sold)

    assert fact.memory_bytes == 4 * fakes.GIB
    assert fact.capacity.memory_bytes < fact.memory_bytes
    assert fact.allocatable.memory_bytes < fact.capacity.memory_bytes
    assert fact.allocatable.cpu_milli < fact.capacity.cpu_milli == 2000
    assert fact.allocatable.pods == 110
