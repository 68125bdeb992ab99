"""Label selectors, pages, sorting, and the lists of actions."""

import re

import pytest

from hk3s_lab.hetzner.model import labels
from hk3s_lab.hetzner.model.labels import SelectorError
from lab.hetzner.support import Cloud, Json, names

LABELS = {"env": "prod", "tier": "db", "example.com/owner": "me", "empty": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("env=prod", True),
        ("env==prod", True),
        ("env=test", False),
        ("env!=test", True),
        ("env!=prod", False),
        ("missing!=anything", True),
        ("missing=anything", False),
        ("env", True),
        ("missing", False),
        ("!missing", True),
        ("!env", False),
        ("! env", False),
        ("env in (prod,test)", True),
        ("env in ( test , prod )", True),
        ("env in (test)", False),
        ("env notin (test,dev)", True),
        ("env notin (prod)", False),
        ("missing notin (prod)", True),
        ("missing in (prod)", False),
        ("env=prod,tier=db", True),
        ("env=prod,tier!=db", False),
        ("env in (prod,test),!missing,tier", True),
        (" env = prod , tier ", True),
        ("example.com/owner=me", True),
        ("example.com/owner in (you)", False),
        ("empty=", True),
        ("empty", True),
        ("env=", False),
        ("", True),
    ],
)
def test_selectors(text: str, *, expected: bool) -> None:
    assert labels.matches(labels.parse_selector(text), LABELS) is expected


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "a=b=c",
        "a===b",
        "a=b,",
        ",a",
        "a,,b",
        "!",
        "!a=b",
        "a in b",
        "a in (b",
        "a in b)",
        "a notin",
        "in (a)",
        "a b",
        "-a",
        "a=b c",
        "a=(b)",
        "a/b/c",
        "/a",
        "a/",
        f"a={'x' * 64}",
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(SelectorError):
        labels.parse_selector(text)


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        ("a", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("a.b_c-d", True),
        ("A0", True),
        ("-a", False),
        ("a-", False),
        ("", False),
        ("ä", False),
        ("example.com/a", True),
        ("ex_ample.com/a", False),
        ("/a", False),
        ("example.com/", False),
        ("a/b/c", False),
        ("a\n", False),
        (f"{'a.' * 126}a/name", True),
        (f"{'a.' * 127}a/name", False),
    ],
)
def test_label_keys(key: str, *, valid: bool) -> None:
    assert labels.is_key(key) is valid


async def test_a_hundred_and_twenty_servers_are_read_by_page(cloud: Cloud) -> None:
    for number in range(120):
        made = await cloud.post("/servers", {**BODY, "name": f"s{number:03}"})
        assert made.status == 201

    found: list[str] = []
    page: int | None = 1
    sizes = []
    pagination: Json = {}
    while page is not None:
        reply = await cloud.get(f"/servers?per_page=50&page={page}&label_selector=a")
        found += names(reply.body["servers"])
        sizes.append(len(reply.body["servers"]))
        pagination = reply.body["meta"]["pagination"]
        page = pagination["next_page"]

    assert found == [f"s{number:03}" for number in range(120)]
    assert sizes == [50, 50, 20]
    assert pagination == {
        "page": 3,
        "per_page": 50,
        "previous_page": 2,
        "next_page": None,
        "last_page": 3,
        "total_entries": 120,
    }


BODY = {
    "server_type": "cx23",
    "image": "ubuntu-24.04",
    "location": "fsn1",
    "labels": {"a": "1"},
    "public_net": {"enable_ipv4": False, "enable_ipv6": False},
    "start_after_create": False,
}


async def test_the_link_header_leads_through_the_pages(cloud: Cloud) -> None:
    for number in range(5):
        await cloud.make("/placement_groups", {"name": f"g{number}", "type": "spread"})

    reply = await cloud.get("/placement_groups?per_page=2&page=2&sort=name")
    found = re.findall(r'<([^>]+)>; rel="(\w+)"', reply.headers["Link"])
    by_name = {rel: url for url, rel in found}
    following = await cloud.get(by_name["next"].removeprefix(cloud.endpoint))

    assert set(by_name) == {"prev", "next", "last"}
    assert by_name["prev"] == f"{cloud.endpoint}/placement_groups?sort=name&page=1&per_page=2"
    assert names(following.body["placement_groups"]) == ["g4"]


async def test_pages_beyond_the_last_are_empty_and_sizes_are_capped(cloud: Cloud) -> None:
    empty = (await cloud.get("/servers")).body["meta"]["pagination"]
    beyond = (await cloud.get("/server_types?page=99")).body
    capped = (await cloud.get("/server_types?per_page=1000")).body["meta"]["pagination"]
    default = (await cloud.get("/server_types")).body

    assert (empty["last_page"], empty["next_page"], empty["total_entries"]) == (1, None, 0)
    assert (beyond["server_types"], beyond["meta"]["pagination"]["next_page"]) == ([], None)
    assert capped["per_page"] == 50
    assert len(default["server_types"]) == 25


async def test_sorting_by_several_fields(cloud: Cloud) -> None:
    for name in ("b", "a"):
        await cloud.make("/placement_groups", {"name": name, "type": "spread"})
    await cloud.post("/placement_groups", {"name": "c", "type": "spread"})
    await cloud.post("/placement_groups", {"name": "d", "type": "spread"})

    async def order(query: str) -> str:
        reply = await cloud.get(f"/placement_groups?{query}")
        return "".join(names(reply.body["placement_groups"]))

    assert await order("") == "bacd"
    assert await order("sort=name") == "abcd"
    assert await order("sort=id:desc") == "dcab"
    assert await order("sort=created:desc&sort=name:desc") == "dcab"
    assert await order("sort=created:desc&sort=name:asc") == "cdab"


async def test_actions_are_read_in_a_batch(cloud: Cloud) -> None:
    first = (await cloud.post("/servers", {**BODY, "name": "a"})).body
    second = (await cloud.post("/servers", {**BODY, "name": "b"})).body
    ids = [first["action"]["id"], second["action"]["id"]]

    reply = await cloud.get(f"/actions?id={ids[0]}&id={ids[1]}&id=1&id={ids[0]}")

    assert [action["id"] for action in reply.body["actions"]] == ids


async def test_actions_below_resources(cloud: Cloud) -> None:
    server = await cloud.server()
    await cloud.post(f"/servers/{server['id']}/actions/poweroff")
    path = f"/servers/{server['id']}/actions"

    async def commands(query: str) -> list[str]:
        return [a["command"] for a in (await cloud.get(query)).body["actions"]]

    assert await commands(path) == ["create_server", "start_server", "stop_server"]
    assert await commands(f"{path}?status=running") == ["stop_server"]
    assert await commands(f"{path}?sort=command:desc") == [
        "stop_server",
        "start_server",
        "create_server",
    ]
    assert await commands("/servers/actions?status=success") == ["create_server", "start_server"]
    assert await commands("/networks/actions") == []
    assert (await cloud.get("/servers/1/actions")).status == 404


@pytest.mark.parametrize(
    ("value", "status"), [("true", 200), ("True", 200), ("False", 200), ("yes", 422), ("", 422)]
)
async def test_booleans_are_read_as_go_and_python_write_them(
    cloud: Cloud, value: str, status: int
) -> None:
    assert (await cloud.get(f"/images?include_deprecated={value}")).status == status
    path = f"/isos?architecture=x86&include_architecture_wildcard={value}"
    assert (await cloud.get(path)).status == status
