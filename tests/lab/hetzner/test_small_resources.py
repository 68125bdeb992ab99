"""SSH keys, placement groups, volumes, and what the cloud offers."""

import pytest

from lab.hetzner.support import PUBLIC_KEY, Cloud, Json, names

FINGERPRINT = "7a:42:97:28:11:e6:c9:96:c9:5a:f4:0c:b0:42:8a:e6"  # as ssh-keygen -l -E md5 says


async def test_ssh_keys_are_unique_by_name_and_by_key(cloud: Cloud) -> None:
    key = await cloud.make("/ssh_keys", {"name": "me", "public_key": PUBLIC_KEY})
    other = PUBLIC_KEY.replace("AAAAIEJ0", "AAAAIEJ1")

    same_name = await cloud.post("/ssh_keys", {"name": "me", "public_key": other})
    same_key = await cloud.post("/ssh_keys", {"name": "you", "public_key": PUBLIC_KEY})
    found = await cloud.get(f"/ssh_keys?fingerprint={key['fingerprint']}")

    assert (same_name.status, same_name.code, same_name.fields) == (
        409,
        "uniqueness_error",
        ["name"],
    )
    assert (same_key.status, same_key.fields) == (409, ["public_key"])
    assert key["fingerprint"] == FINGERPRINT
    assert names(found.body["ssh_keys"]) == ["me"]


@pytest.mark.parametrize(
    "public_key",
    ["", "nonsense", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "ssh-ed25519"],
)
async def test_what_is_no_public_key_is_refused(cloud: Cloud, public_key: str) -> None:
    reply = await cloud.post("/ssh_keys", {"name": "me", "public_key": public_key})

    assert (reply.status, reply.code, reply.fields) == (422, "invalid_input", ["public_key"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/ssh_keys", {"public_key": PUBLIC_KEY}, id="ssh-key"),
        pytest.param("/placement_groups", {"type": "spread"}, id="placement-group"),
        pytest.param("/volumes", {"size": 10, "location": "fsn1"}, id="volume"),
        pytest.param("/firewalls", {}, id="firewall"),
        pytest.param("/networks", {"ip_range": "10.0.0.0/16"}, id="network"),
        pytest.param("/primary_ips", {"type": "ipv4", "location": "fsn1"}, id="primary-ip"),
    ],
)
async def test_the_life_of_a_simple_resource(cloud: Cloud, path: str, body: Json) -> None:
    made = await cloud.make(path, {"name": "one", "labels": {"a": "1"}, **body})
    one = f"{path}/{made['id']}"
    kind = path.strip("/").removesuffix("s")

    shown = (await cloud.get(one)).body[kind]
    assert (shown["name"], shown["labels"]) == ("one", {"a": "1"})
    assert shown["created"] == "2026-10-01T00:00:00Z"

    changed = (await cloud.put(one, {"name": "two", "labels": {"b": "2"}})).body[kind]
    assert (changed["name"], changed["labels"]) == ("two", {"b": "2"})

    for query, count in (("name=two", 1), ("name=one", 0), ("label_selector=b", 1)):
        found = (await cloud.get(f"{path}?{query}")).body[path.strip("/")]
        assert len(found) == count

    gone = await cloud.delete(one)
    assert (gone.status, gone.raw) == (204, b"")
    assert (await cloud.get(one)).status == 404
    assert (await cloud.delete(one)).code == "not_found"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"size": 9}, "size", id="too-small"),
        pytest.param({"size": 10241}, "size", id="too-large"),
        pytest.param({"name": "-a"}, "name", id="name"),
        pytest.param({"location": "mars"}, "location", id="location"),
        pytest.param({"format": "zfs"}, "format", id="format"),
    ],
)
async def test_volumes_that_are_refused(cloud: Cloud, change: Json, field: str) -> None:
    body = {"name": "data", "size": 10, "location": "fsn1", **change}

    assert (await cloud.post("/volumes", body)).fields == [field]


async def test_what_a_project_never_has_is_listed_as_nothing(cloud: Cloud) -> None:
    for plural in ("load_balancers", "floating_ips", "certificates"):
        assert (await cloud.get(f"/{plural}")).body[plural] == []
        assert (await cloud.get(f"/{plural}/1")).status == 404


async def test_the_catalogue(cloud: Cloud) -> None:
    types = (await cloud.get("/server_types?name=cx23")).body["server_types"]
    by_id = (await cloud.get(f"/server_types/{types[0]['id']}")).body["server_type"]
    locations = (await cloud.get("/locations")).body["locations"]
    images = (await cloud.get("/images?name=ubuntu-24.04")).body["images"]
    arm = (await cloud.get("/images?name=ubuntu-24.04&architecture=arm")).body["images"]
    pricing = (await cloud.get("/pricing")).body["pricing"]

    assert by_id == types[0]
    assert (types[0]["cores"], types[0]["memory"], types[0]["architecture"]) == (2, 4, "x86")
    assert types[0]["prices"][0]["price_hourly"]["net"] == "0.0088000000"
    assert names(locations) == ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
    assert [image["architecture"] for image in images] == ["x86", "arm"]
    assert [image["architecture"] for image in arm] == ["arm"]
    assert (pricing["currency"], len(pricing["server_types"])) == ("EUR", 25)
    assert names((await cloud.get("/locations?sort=name:desc")).body["locations"])[0] == "sin"


async def test_datacenters_are_gone(cloud: Cloud) -> None:
    for path in ("/datacenters", "/datacenters/4"):
        reply = await cloud.get(path)

        assert (reply.status, reply.code) == (410, "deprecated_api_endpoint")
        assert reply.body["error"]["details"]["announcement"].startswith("https://")
