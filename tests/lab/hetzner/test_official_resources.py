"""hcloud-python, unmodified, through the life of the resources beside servers and networks."""

from collections.abc import AsyncIterator

import pytest
from hcloud import APIException, Client
from hcloud.actions import ActionException, ActionFailedException, BoundAction
from hcloud.images import Image
from hcloud.isos import Iso
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import (
    LoadBalancerAlgorithm,
    LoadBalancerCreatePublicNetwork,
    LoadBalancerHealthCheck,
    LoadBalancerService,
    LoadBalancerServiceHttp,
    LoadBalancerTarget,
    LoadBalancerTargetLabelSelector,
)
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from lab.hetzner.test_official_client import FSN1, Official, order, some

SPEED = 100.0


@pytest.fixture
async def official() -> AsyncIterator[Official]:
    emulator = Emulator(clock=RealClock(), speed=SPEED, stock="all")
    client = Official(await emulator.start())
    yield client
    client.client._client._session.close()
    await emulator.stop()


def done(action: BoundAction | None) -> None:
    some(action).wait_until_finished()


def server(client: Client, name: str = "one") -> BoundServer:
    created = order(client, name, labels={"role": "web"})
    for action in (created.action, *created.next_actions):
        done(action)
    return created.server


def disks(client: Client) -> None:
    one = server(client)
    created = client.volumes.create(name="v", size=10, server=one, automount=True, format="ext4")
    for action in (created.action, *created.next_actions):
        done(action)
    volume = some(client.volumes.get_by_name("v"))
    assert some(volume.server).id == one.id
    done(volume.detach())
    done(volume.resize(20))
    done(volume.attach(one))
    done(volume.change_protection(delete=True))
    volume = client.volumes.get_by_id(some(volume.id))
    assert (volume.size, volume.protection) == (20, {"delete": True})
    done(volume.change_protection(delete=False))
    done(volume.detach())
    assert volume.update(name="w").name == "w"
    assert [a.command for a in volume.get_actions()][:2] == ["create_volume", "attach_volume"]
    assert volume.delete()
    assert client.volumes.get_all() == []


def images(client: Client) -> None:
    one = server(client)
    done(one.enable_backup())
    made = one.create_image(description="first", type="backup", labels={"a": "b"})
    done(made.action)
    image = some(made.image)
    assert some(client.images.get_by_id(some(image.id)).bound_to).id == one.id
    snapshot = image.update(type="snapshot", description="kept")
    assert (snapshot.type, snapshot.bound_to) == ("snapshot", None)
    done(snapshot.change_protection(delete=True))
    done(snapshot.change_protection(delete=False))
    done(one.rebuild(image=snapshot).action)
    assert some(client.servers.get_by_id(some(one.id)).image).id == snapshot.id
    created = order(client, "two", image=Image(id=snapshot.id))
    done(created.action)
    assert [i.id for i in client.images.get_all(type=["snapshot"])] == [snapshot.id]
    assert snapshot.delete()
    done(one.disable_backup())
    assert [iso.id for iso in client.isos.get_all(architecture=["arm"])] == [8638, 8691]


def options(client: Client) -> None:
    one = server(client)
    rescue = one.enable_rescue(type="linux64")
    assert len(some(rescue.root_password)) == 20
    done(rescue.action)
    assert client.servers.get_by_id(some(one.id)).rescue_enabled
    done(one.disable_rescue())
    done(one.attach_iso(Iso(name="virtio-win-0.1.266.iso")))
    assert some(client.servers.get_by_id(some(one.id)).iso).id == 26
    done(one.detach_iso())
    done(one.reset_password().action)
    assert some(one.request_console().wss_url).startswith("wss://")
    done(one.get_actions()[-1])
    ip = some(some(client.servers.get_by_id(some(one.id)).public_net).ipv4).ip
    done(one.change_dns_ptr(ip, "a.example.com"))
    done(one.power_off())
    done(one.change_type(ServerType(name="cx33"), upgrade_disk=True))
    now = client.servers.get_by_id(some(one.id))
    assert (some(now.server_type).name, now.primary_disk_size) == ("cx33", 80)
    assert some(some(now.public_net).ipv4).dns_ptr == "a.example.com"
    metrics = one.get_metrics("cpu", "2026-10-01T00:00:00Z", "2026-10-01T01:00:00Z").metrics
    assert metrics.time_series == {"cpu": {"values": []}}


def floating(client: Client) -> None:
    one, two = server(client), server(client, "two")
    created = client.floating_ips.create(type="ipv4", server=one, name="f", description="moves")
    done(created.action)
    ip = client.floating_ips.get_by_id(some(created.floating_ip.id))
    assert (some(ip.server).id, some(ip.home_location).name) == (one.id, "fsn1")
    with pytest.raises(APIException) as caught:
        ip.assign(two)
    assert caught.value.code == "floating_ip_assigned"
    done(ip.unassign())
    done(ip.assign(two))
    done(ip.change_dns_ptr(some(ip.ip), "f.example.com"))
    assert client.floating_ips.get_by_id(some(ip.id)).dns_ptr == [
        {"ip": ip.ip, "dns_ptr": "f.example.com"}
    ]
    with pytest.raises(APIException) as caught:
        ip.delete()
    assert caught.value.code == "must_be_unassigned"
    done(ip.unassign())
    assert ip.delete()


def balancers(client: Client) -> None:
    one = server(client)
    subnet = NetworkSubnet(ip_range="10.4.0.0/24", type="cloud", network_zone="eu-central")
    network = client.networks.create(name="n", ip_range="10.4.0.0/16", subnets=[subnet])
    done(one.attach_to_network(network))
    address = client.primary_ips.create(type="ipv4", name="ip", location=FSN1).primary_ip
    certificate = client.certificates.create_managed(name="c", domain_names=["example.com"])
    done(certificate.action)
    https = LoadBalancerService(
        protocol="https",
        listen_port=443,
        destination_port=80,
        proxyprotocol=False,
        http=LoadBalancerServiceHttp(
            certificates=[client.certificates.get_by_id(some(certificate.certificate.id))]
        ),
        health_check=LoadBalancerHealthCheck(
            protocol="tcp", port=80, interval=15, timeout=10, retries=3
        ),
    )
    created = client.load_balancers.create(
        name="lb",
        load_balancer_type=LoadBalancerType(name="lb11"),
        location=FSN1,
        services=[https],
        network=network,
        public_net=LoadBalancerCreatePublicNetwork(ipv4=address),
    )
    done(created.action)
    target = LoadBalancerTarget(type="server", server=one, use_private_ip=True)
    done(created.load_balancer.add_target(target))
    chosen = LoadBalancerTargetLabelSelector(selector="role=web")
    done(
        created.load_balancer.add_target(
            LoadBalancerTarget(type="label_selector", label_selector=chosen, use_private_ip=True)
        )
    )
    balancer = some(client.load_balancers.get_by_name("lb"))
    assert some(some(balancer.public_net).ipv4).ip == address.ip
    direct, selected = some(balancer.targets)
    assert some(direct.server).id == one.id
    assert [some(t.server).id for t in some(selected.targets)] == [one.id]
    assert some(balancer.services)[0].listen_port == 443
    assert client.primary_ips.get_by_id(some(address.id)).assignee_type == "load_balancer"
    done(balancer.change_algorithm(LoadBalancerAlgorithm(type="least_connections")))
    done(balancer.change_type(LoadBalancerType(name="lb21")))
    done(balancer.remove_target(target))
    done(balancer.delete_service(https))
    done(balancer.detach_from_network(network))
    done(balancer.delete().action)
    assert client.load_balancers.get_all() == []
    assert client.primary_ips.get_by_id(some(address.id)).assignee_id is None
    assert client.certificates.get_by_id(some(certificate.certificate.id)).delete()


@pytest.mark.parametrize("life", [disks, images, options, floating, balancers])
async def test_the_whole_life_of_a_resource(official: Official, life) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - a function above
    await official.run(life)


async def test_a_certificate_that_is_refused_can_be_retried(official: Official) -> None:
    await official.arm({"action_fails": {"code": "dns_zone_not_found", "message": "no zone"}})

    def issue(client: Client) -> None:
        created = client.certificates.create_managed(name="c", domain_names=["example.com"])
        with pytest.raises(ActionFailedException) as caught:
            done(created.action)
        assert isinstance(caught.value, ActionException)
        certificate = client.certificates.get_by_name("c")
        status = some(some(certificate).status)
        assert (status.issuance, some(status.error).code) == ("failed", "dns_zone_not_found")
        done(some(certificate).retry_issuance())
        issued = client.certificates.get_by_id(some(some(certificate).id))
        assert some(issued.status).issuance == "completed"
        assert some(issued.certificate).startswith("-----BEGIN CERTIFICATE-----")

    await official.run(issue)


async def test_a_thousand_servers_are_read_page_by_page(official: Official) -> None:
    url = official.endpoint.removesuffix("/v1")
    await official.lab(f"{url}/_lab/limits", {"servers": 1000, "requests_per_hour": 100_000})

    def fill(client: Client) -> None:
        bare = {"enable_ipv4": False, "enable_ipv6": False}
        body = {"server_type": "cx23", "image": "ubuntu-24.04", "location": "fsn1"}
        for number in range(1000):
            order_body = {**body, "name": f"s{number:04}", "start_after_create": False}
            client._client.request("POST", "/servers", json={**order_body, "public_net": bare})
        servers = client.servers.get_all()
        assert [s.name for s in servers] == [f"s{number:04}" for number in range(1000)]
        meta = client.servers.get_list(page=20, per_page=50).meta.pagination
        assert meta is not None
        assert (meta.last_page, meta.next_page, meta.total_entries) == (20, None, 1000)

    await official.run(fill)


CODES = {
    "unauthorized": 401,
    "forbidden": 403,
    "maintenance": 403,
    "resource_limit_exceeded": 403,
    "token_readonly": 403,
    "deprecated_api_endpoint": 410,
    "resource_unavailable": 412,
    "service_error": 422,
    "unsupported_error": 422,
    "placement_error": 422,
    "protected": 423,
    "server_error": 500,
    "unavailable": 503,
}


@pytest.mark.parametrize("code", CODES)
async def test_every_code_is_an_api_exception_with_that_code(official: Official, code: str) -> None:
    await official.arm({"error": {"code": code, "message": "why"}})
    assert await official.code(lambda client: client.servers.get_all()) == code
