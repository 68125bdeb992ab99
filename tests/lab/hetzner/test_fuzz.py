"""Whatever is sent, the answer has Hetzner's shape, and nothing of ours breaks."""

import functools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.hetzner import contract, schemas
from lab.hetzner.contract import Operation
from lab.hetzner.direct import Direct
from lab.hetzner.support import PUBLIC_KEY, Json, server_body

LARGEST = 400
TABLES = {
    "servers": "servers",
    "networks": "networks",
    "firewalls": "firewalls",
    "load_balancers": "load_balancers",
    "volumes": "volumes",
    "certificates": "certificates",
    "ssh_keys": "ssh_keys",
    "placement_groups": "placement_groups",
    "primary_ips": "primary_ips",
    "floating_ips": "floating_ips",
    "images": "images",
}
MAKERS: list[tuple[str, Json]] = [
    ("/networks", {"name": "n", "ip_range": "10.4.0.0/16"}),
    ("/servers", server_body("s")),
    ("/firewalls", {"name": "f"}),
    ("/placement_groups", {"name": "g", "type": "spread"}),
    ("/ssh_keys", {"name": "k", "public_key": PUBLIC_KEY}),
    ("/volumes", {"name": "v", "size": 10, "location": "fsn1"}),
    ("/floating_ips", {"type": "ipv4", "home_location": "fsn1"}),
    ("/load_balancers", {"name": "l", "load_balancer_type": "lb11", "location": "fsn1"}),
    ("/certificates", {"name": "c", "type": "managed", "domain_names": ["example.com"]}),
]
WITH_BODY = [op for op in contract.operations().values() if op.method in ("POST", "PUT")]
WITH_QUERY = [op for op in contract.operations().values() if op.method == "GET"]
FUZZ = settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@functools.cache
def project() -> Direct:
    """One project for all examples, made again when it has grown."""
    direct = Direct()
    direct.world.set_limits({"servers": 20, "networks": 20, "load_balancers": 20})
    for path, body in MAKERS:
        status, _ = direct.call("POST", path, body)
        assert status == 201, path
    direct.advance(60)
    number = next(iter(direct.project.servers))
    direct.call("POST", f"/servers/{number}/actions/create_image", {})
    direct.advance(60)
    return direct


def path_of(direct: Direct, operation: Operation) -> str:
    plural = operation.template.split("/")[1]
    table = getattr(direct.project, TABLES.get(plural, "servers"))
    number = next(iter(table), 1)
    return operation.template.replace("{id}", str(number)).replace("{action_id}", "1")


def check(status: int, body: Json) -> None:
    assert status < 500
    if status >= 400:
        assert set(body["error"]) == {"code", "message", "details"}


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_what_the_specification_requires_is_required(operation: Operation) -> None:
    validator = operation.request_validator()
    schema = validator.schema if validator is not None else {}
    assert not isinstance(schema, bool)
    direct = project()
    for field in schema.get("required", ()):
        status, answer = direct.call(operation.method, path_of(direct, operation), {})
        assert status >= 400, f"{field} may be absent: {answer}"


@FUZZ
@given(data=st.data(), operation=st.sampled_from(WITH_BODY))
def test_bodies_made_from_the_specification_and_spoilt(
    data: st.DataObject, operation: Operation
) -> None:
    direct = project()
    validator = operation.request_validator()
    schema = validator.schema if validator is not None else {}
    assert not isinstance(schema, bool)
    body = data.draw(schemas.wrong(schema))
    check(*direct.call(operation.method, path_of(direct, operation), body))
    direct.advance(30)
    if len(direct.project.actions) > LARGEST:
        project.cache_clear()


@FUZZ
@given(operation=st.sampled_from(WITH_BODY), raw=st.binary(max_size=60))
def test_bodies_that_are_no_json(operation: Operation, raw: bytes) -> None:
    direct = project()
    check(*direct.call(operation.method, path_of(direct, operation), raw=raw))
    direct.advance(30)


@FUZZ
@given(data=st.data(), operation=st.sampled_from(WITH_QUERY))
def test_queries_with_strange_values(data: st.DataObject, operation: Operation) -> None:
    direct = project()
    names = sorted(operation.parameters) or ["page"]
    strange = st.sampled_from(
        ["", "0", "-1", "1e9", "x", "9" * 30, "id:up", "a in (", "!!", "k=v,", "%", "a==b", "true"]
    )
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(names), strange), max_size=3))
    query = "&".join(f"{name}={value}" for name, value in pairs)
    check(*direct.call("GET", f"{path_of(direct, operation)}?{query}"))


@FUZZ
@given(path=st.lists(st.sampled_from(["servers", "..", ".", "", "1", "actions", "%2e", "x"])))
def test_paths_that_play_tricks(path: list[str]) -> None:
    check(*project().call("GET", "/" + "/".join(path)))


@pytest.mark.parametrize("depth", [10, 5000])
def test_deep_json_is_an_error_of_the_caller(depth: int) -> None:
    for raw in (b"[" * depth, b'{"labels":' * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        status, body = project().call("POST", "/servers", raw=raw)
        assert (status, body["error"]["code"]) in {(400, "json_error"), (422, "invalid_input")}


def test_whatever_is_sent_comes_back_as_json() -> None:
    text = "\ud800\u2028💥\x00"
    body = {"name": "odd", "home_location": "fsn1", "type": "ipv4", "description": text}
    status, answer = project().call("POST", "/floating_ips", body)
    assert (status, answer["floating_ip"]["description"]) == (201, text)
    assert json.dumps(answer)
