"""What servers read about themselves."""

import yaml

from lab.hetzner.support import Cloud, Json, running_cloud


async def ask(cloud: Cloud, path: str, server_id: int) -> tuple[int, str]:
    url = cloud.endpoint.removesuffix("/v1") + "/hetzner/v1" + path
    async with cloud.session.get(url, headers={"X-Hk3s-Server": str(server_id)}) as response:
        return response.status, await response.text()


async def private_node(cloud: Cloud) -> tuple[Json, Json]:
    network = await cloud.network()
    server = await cloud.private_server("node", user_data="#cloud-config\n")
    path = f"/servers/{server['id']}/actions/attach_to_network"
    await cloud.post(path, {"network": network["id"], "ip": "10.4.0.9", "alias_ips": ["10.4.0.10"]})
    await cloud.settled()
    return network, server


async def test_the_summary_has_the_shape_of_the_reference(cloud: Cloud) -> None:
    server = await cloud.server("my-server", location="hel1")
    ip = server["public_net"]["ipv4"]["ip"]
    expected = (
        f"availability-zone: hel1-dc2\nhostname: my-server\ninstance-id: {server['id']}\n"
        f"public-ipv4: {ip}\nregion: eu-central\n"
    )
    assert await ask(cloud, "/metadata", server["id"]) == (200, expected)


async def test_single_values_are_plain_text(cloud: Cloud) -> None:
    server = await cloud.server("my-server")
    expected = {
        "hostname": "my-server",
        "instance-id": str(server["id"]),
        "public-ipv4": server["public_net"]["ipv4"]["ip"],
        "availability-zone": "fsn1-dc14",
        "region": "eu-central",
    }
    for key, value in expected.items():
        assert await ask(cloud, f"/metadata/{key}", server["id"]) == (200, value)


async def test_private_networks_are_yaml_with_gateway_and_aliases(cloud: Cloud) -> None:
    network, server = await private_node(cloud)
    status, text = await ask(cloud, "/metadata/private-networks", server["id"])
    (nic,) = yaml.safe_load(text)
    mac = nic.pop("mac_address")
    assert status == 200
    assert mac.startswith("86:00:")
    assert nic == {
        "ip": "10.4.0.9",
        "alias_ips": ["10.4.0.10"],
        "interface_num": 1,
        "network_id": network["id"],
        "network_name": "net",
        "network": "10.4.0.0/16",
        "subnet": "10.4.0.0/24",
        "gateway": "10.4.0.1",
    }


async def test_user_data_is_given_back_as_it_was(cloud: Cloud) -> None:
    _, server = await private_node(cloud)
    assert await ask(cloud, "/userdata", server["id"]) == (200, "#cloud-config\n")
    assert cloud.emulator.metadata(server["id"], "/userdata") == "#cloud-config\n"


async def test_a_server_without_user_data_reads_nothing(cloud: Cloud) -> None:
    server = await cloud.server()
    assert await ask(cloud, "/userdata", server["id"]) == (200, "")


async def test_unknown_askers_and_paths_are_not_found(cloud: Cloud) -> None:
    server = await cloud.server()
    assert (await ask(cloud, "/metadata", 1))[0] == 404
    assert (await ask(cloud, "/metadata/secrets", server["id"]))[0] == 404


async def test_the_address_of_a_request_tells_who_asks(cloud: Cloud) -> None:
    server = await cloud.server("mapped")
    url = cloud.endpoint.removesuffix("/v1") + "/hetzner/v1/metadata/hostname"
    async with cloud.session.get(url) as response:
        assert response.status == 404
    cloud.emulator.map_sources({"127.0.0.1": server["id"]}.get)
    async with cloud.session.get(url) as response:
        assert (response.status, await response.text()) == (200, "mapped")


async def test_a_public_address_that_is_the_asker_s_own_needs_no_mapping() -> None:
    async with running_cloud(public_addresses=iter(["127.0.0.1"])) as cloud:
        await cloud.server("itself")
        url = cloud.endpoint.removesuffix("/v1") + "/hetzner/v1/metadata/hostname"
        async with cloud.session.get(url) as response:
            assert await response.text() == "itself"
