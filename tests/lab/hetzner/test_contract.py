"""Every operation, with good and bad input, held against the official specification."""

from collections.abc import AsyncIterator

import pytest

from lab.hetzner import contract, walk
from lab.hetzner.support import Json, running_cloud, server_body
from lab.hetzner.walk import Walk

WANTED = 140
UNIMPLEMENTED: dict[str, str] = {}
"""Operations outside DNS zones that are not there, with the reason."""
REMOVED = {"GET /datacenters", "GET /datacenters/{id}"}
"""Operations whose only answer is 410 now."""
BAD_BODY: Json = {"name": 1, "labels": [], "size": "x", "ip_range": 5, "unknown": {}}
NO_TOKEN: dict[str, str] = {}


@pytest.fixture
async def walker() -> AsyncIterator[Walk]:
    async with running_cloud() as cloud:
        walker = Walk(cloud)
        cloud.emulator.observe(walker.see)
        yield walker


async def bad_input(walker: Walk) -> None:
    """Call every operation with what it cannot accept; all errors have the one shape."""
    for name, operation in contract.operations().items():
        path = operation.template.replace("{id}", "1").replace("{action_id}", "1")
        replies = [
            await walker.cloud.request(operation.method, path, BAD_BODY),
            await walker.cloud.request(operation.method, f"{path}?page=0&type=x&status=x"),
            await walker.cloud.request(operation.method, path, headers=NO_TOKEN),
        ]
        assert replies[-1].status == 401, name
        for reply in replies:
            if reply.status >= 400:
                assert set(reply.body["error"]) == {"code", "message", "details"}, name


async def test_every_operation_is_as_specified(
    walker: Walk, capsys: pytest.CaptureFixture[str]
) -> None:
    await walk.everything(walker)
    await bad_input(walker)

    known = set(contract.operations())
    covered = walker.good & known
    with capsys.disabled():
        print(f"\noperations covered: {len(covered)} of {len(known)} outside DNS zones")  # noqa: T201 - a result
        print(f"only refused (410): {sorted(REMOVED)}; not there: {UNIMPLEMENTED}")  # noqa: T201 - a result
    assert known - covered == REMOVED | set(UNIMPLEMENTED)
    assert len(covered) >= WANTED
    assert walker.bad >= known


def test_the_specification_is_whole_and_the_overlay_is_in_it() -> None:
    paths = contract.specification()["paths"]
    assert sum(m in contract.METHODS for methods in paths.values() for m in methods) == 190
    assert set(paths["/load_balancers/{id}"]["delete"]["responses"]) == {"201", "4xx", "5xx"}


async def test_a_health_check_of_protocol_and_port_gets_the_defaults(walker: Walk) -> None:
    body = {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1"}
    number = (await walker.made("/load_balancers", body))["id"]
    service = {"protocol": "tcp", "listen_port": 80, "destination_port": 8080}
    check = {"protocol": "tcp", "port": 8080}
    await walker.act("load_balancers", number, "add_service", {**service, "health_check": check})
    seen = (await walker.ok("GET", f"/load_balancers/{number}"))["load_balancer"]["services"]
    defaults = {"interval": 15, "timeout": 10, "retries": 3}
    assert seen == [{**service, "proxyprotocol": False, "health_check": check | defaults}]


async def test_a_target_that_is_off_is_unhealthy_and_says_why(walker: Walk) -> None:
    server = await walker.made("/servers", server_body())
    services = [{"protocol": "tcp", "listen_port": 80, "destination_port": 80}]
    targets = [{"type": "server", "server": {"id": server["id"]}}]
    body = {"name": "lb", "load_balancer_type": "lb11", "location": "fsn1"}
    made = await walker.made("/load_balancers", {**body, "services": services, "targets": targets})

    async def health() -> Json:
        seen = await walker.ok("GET", f"/load_balancers/{made['id']}")
        return seen["load_balancer"]["targets"][0]["health_status"]

    assert await health() == [{"listen_port": 80, "status": "unknown"}]
    await walker.act("servers", server["id"], "poweroff")
    wrong = {"detail": "layer4_no_connection", "http_status_code": None}
    assert await health() == [{"listen_port": 80, "status": "unhealthy", **wrong}]
