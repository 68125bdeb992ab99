"""What comes before a resource: tokens, the rate limit, bodies; and what must never be a 500."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hk3s_lab.hetzner.gate import ROUTES
from lab.hetzner.support import TOKEN, Cloud, Json, running_cloud


async def test_a_token_is_required_and_must_be_known(cloud: Cloud) -> None:
    none = await cloud.request("GET", "/servers", headers={})
    other_scheme = await cloud.request("GET", "/servers", headers={"Authorization": "Basic x"})
    short = await cloud.request("GET", "/servers", headers={"Authorization": "Bearer short"})
    elsewhere = await cloud.request("GET", "/nowhere", headers={})

    assert [r.status for r in (none, other_scheme, short, elsewhere)] == [401, 401, 401, 404]
    assert none.body["error"]["message"] == "token is required"
    assert short.body["error"]["message"] == "the token you have provided is invalid"
    assert elsewhere.body["error"]["message"] == "api route not found"


async def test_every_long_token_is_a_project_of_its_own(cloud: Cloud) -> None:
    await cloud.network()
    other = {"Authorization": f"Bearer {'u' * 64}"}

    assert (await cloud.request("GET", "/networks", headers=other)).body["networks"] == []
    assert len((await cloud.get("/networks")).body["networks"]) == 1


async def test_listed_tokens_name_their_project_and_may_be_read_only() -> None:
    tokens = {"reader": "prod", "writer": "prod", "other": "test"}
    async with running_cloud(tokens=tokens, readonly_tokens=["reader"]) as cloud:
        cloud.token = "writer"
        await cloud.network()
        cloud.token = "reader"
        read = await cloud.get("/networks")
        write = await cloud.post("/networks", {"name": "x", "ip_range": "10.0.0.0/16"})
        cloud.token = "other"
        foreign = await cloud.get("/networks")
        cloud.token = TOKEN
        unknown = await cloud.get("/networks")

        assert len(read.body["networks"]) == 1
        assert (write.status, write.code) == (403, "token_readonly")
        assert foreign.body["networks"] == []
        assert unknown.status == 401


RATE_ROWS: list[tuple[int, list[tuple[float, int, int, int]]]] = [
    # requests an hour, then by call: seconds passed before -> status, remaining, seconds to full
    (3600, [(0, 200, 3599, 1)]),
    (3600, [(0, 200, 3599, 1), (0, 200, 3598, 2), (0, 200, 3597, 3)]),
    (3600, [(0, 200, 3599, 1), (0, 200, 3598, 2), (1, 200, 3598, 2), (0.5, 200, 3597, 3)]),
    (3600, [(0, 200, 3599, 1), (7200, 200, 3599, 1)]),
    (1, [(0, 200, 0, 3600), (0, 429, 0, 3600), (3599, 429, 0, 1), (1, 200, 0, 3600)]),
    (3, [(0, 200, 2, 1200), (0, 200, 1, 2400), (0, 200, 0, 3600), (0, 429, 0, 3600)]),
    (2, [(0, 200, 1, 1800), (0, 200, 0, 3600), (900, 429, 0, 2700), (900, 200, 0, 3600)]),
]


@pytest.mark.parametrize(("limit", "calls"), RATE_ROWS)
async def test_the_headers_of_the_rate_limit(
    cloud: Cloud, limit: int, calls: list[tuple[float, int, int, int]]
) -> None:
    await cloud.put("/_lab/limits", {"requests_per_hour": limit})
    for passed, status, remaining, missing in calls:
        await cloud.advance(passed)
        reply = await cloud.get("/servers")
        found = {k: v for k, v in reply.headers.items() if k.lower().startswith("ratelimit")}
        assert (reply.status, found) == (
            status,
            {
                "RateLimit-Limit": str(limit),
                "RateLimit-Remaining": str(remaining),
                "RateLimit-Reset": str(int(cloud.clock.now().timestamp()) + missing),
            },
        )
        assert (reply.body.get("error") or {}).get("code") == (
            None if status == 200 else "rate_limit_exceeded"
        )


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/servers/1", None, 404),
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/servers/1", None, 405),
        ("GET", "/servers?page=0", None, 422),
        ("POST", "/servers", {}, 422),
        ("GET", "/datacenters", None, 410),
    ],
)
async def test_errors_count_and_say_so(
    cloud: Cloud, method: str, path: str, body: Json, status: int
) -> None:
    reply = await cloud.request(method, path, body)

    assert (reply.status, reply.headers["RateLimit-Remaining"]) == (status, "3599")
    assert (await cloud.get("/servers")).headers["RateLimit-Remaining"] == "3598"


async def test_an_empty_bucket_answers_429_and_quotes_half_of_the_token(cloud: Cloud) -> None:
    await cloud.put("/_lab/limits", {"requests_per_hour": 3})
    cloud.token = "abcd" * 16
    statuses = [(await cloud.get("/servers")).status for _ in range(4)]
    refused = await cloud.get("/servers")
    await cloud.advance(1200)
    later = await cloud.get("/servers")

    assert statuses == [200, 200, 200, 429]
    assert (refused.code, refused.headers["RateLimit-Remaining"]) == ("rate_limit_exceeded", "0")
    message = refused.body["error"]["message"]
    assert "abcd" * 8 in message
    assert "abcd" * 9 not in message
    assert later.status == 200


async def test_calls_without_a_token_have_a_limit_too(cloud: Cloud) -> None:
    reply = await cloud.request("GET", "/servers", headers={})

    assert reply.headers["RateLimit-Remaining"] == "3599"


@pytest.mark.parametrize(
    "raw",
    [b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a":}', b"{}{}", b'"text"', b"1", b" "],
    ids=["open", "word", "no-utf8", "deep", "no-value", "two", "text", "number", "space"],
)
async def test_what_is_no_json_object_is_a_json_error(cloud: Cloud, raw: bytes) -> None:
    reply = await cloud.request("POST", "/servers", raw=raw)

    assert (reply.status, reply.code) == (400, "json_error")


async def test_a_body_beyond_a_megabyte_is_refused(cloud: Cloud) -> None:
    reply = await cloud.request("POST", "/servers", raw=b" " * (1024 * 1024 + 1))

    assert (reply.status, reply.fields) == (422, ["body"])


async def test_an_action_without_fields_needs_no_body(cloud: Cloud) -> None:
    server = await cloud.server()
    path = f"/servers/{server['id']}/actions/reboot"

    assert (await cloud.post(path)).status == 201
    await cloud.settled()
    assert (await cloud.post(path, {})).status == 201


async def test_the_date_is_that_of_the_labs_clock(cloud: Cloud) -> None:
    await cloud.advance(61)

    assert (await cloud.get("/servers")).headers["Date"] == "Thu, 01 Oct 2026 00:01:01 GMT"


def test_no_two_routes_are_the_same() -> None:
    pairs = [(route.method, route.template) for route in ROUTES]

    assert len(set(pairs)) == len(pairs) > 90


VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = (
    "name",
    "labels",
    "server_type",
    "image",
    "location",
    "networks",
    "network",
    "ip",
    "ip_range",
    "alias_ips",
    "subnets",
    "routes",
    "type",
    "network_zone",
    "destination",
    "gateway",
    "rules",
    "apply_to",
    "remove_from",
    "public_net",
    "ssh_keys",
    "firewalls",
    "volumes",
    "placement_group",
    "user_data",
    "public_key",
    "size",
    "assignee_id",
    "auto_delete",
    "delete",
    "rebuild",
)
PLAUSIBLE = st.sampled_from(
    ["cx23", "ubuntu-24.04", "fsn1", "10.0.0.0/16", "10.0.0.0/33", "0.0.0.0/0", "a", "ipv4", 100001]
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), PLAUSIBLE | VALUES, max_size=6)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_the_emulator_fail(data: st.DataObject) -> None:
    """Whatever is posted wherever: an answer in the API's shape, never an error of our own."""
    route = data.draw(st.sampled_from(ROUTES))
    body = data.draw(BODIES)
    query = data.draw(st.sampled_from(["", "?page=9", "?label_selector=a", "?sort=name", "?id=1"]))
    asyncio.run(_ask(route.method, route.template, query, body))


async def _ask(method: str, template: str, query: str, body: Json) -> None:
    async with running_cloud() as cloud:
        network = await cloud.network()
        server = await cloud.private_server()
        number = network["id"] if template.startswith("/networks") else server["id"]
        path = template.replace("{id}", str(number)).replace("{action_id}", "1")
        reply = await cloud.request(method, path + query, raw=json.dumps(body).encode())
        await cloud.settled()

        assert reply.status < 500, (method, path, body, reply.body)
        if reply.status >= 400:
            assert set(reply.body["error"]) == {"code", "message", "details"}
        assert (await cloud.get("/servers")).status == 200
