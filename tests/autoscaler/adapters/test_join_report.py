"""Asking a server's status port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Network

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from autoscaler import fakes
from hk3s_autoscaler.adapters.join_report import JoinReporter

REPORT = {
    "schema": 1,
    "name": "demo-workers-a",
    "step": "join",
    "state": "failed",
    "error": "ca-hash-mismatch",
    "message": "the API's CA does not have the expected hash",
}

Answer = Callable[[object], web.Response]


@pytest.fixture
async def ask() -> AsyncIterator[Callable[[Answer], Awaitable[tuple[str, str]]]]:
    servers: list[TestServer] = []
    reporters: list[JoinReporter] = []

    async def ask(answer: Answer) -> tuple[str, str]:
        async def handle(request: web.Request) -> web.Response:
            return answer(request)

        app = web.Application()
        app.router.add_get("/status", handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        reporter = JoinReporter(IPv4Network("127.0.0.0/8"), port=server.port or 0)
        reporters.append(reporter)
        report = await reporter.ask(fakes.server(private_address="127.0.0.1"))
        return report.step, report.error

    yield ask
    for reporter in reporters:
        await reporter.close()
    for server in servers:
        await server.close()


async def test_a_report_is_read(ask: Callable[[Answer], Awaitable[tuple[str, str]]]) -> None:
    assert await ask(lambda _: web.json_response(REPORT)) == ("join", "ca-hash-mismatch")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda _: web.json_response({**REPORT, "name": "another"}), id="another"),
        pytest.param(lambda _: web.Response(text="<html>"), id="not-json"),
        pytest.param(lambda _: web.json_response([]), id="not-an-object"),
        pytest.param(lambda _: web.Response(status=500), id="error"),
        pytest.param(
            lambda _: web.Response(status=302, headers={"Location": "http://example.com/"}),
            id="leads-elsewhere",
        ),
    ],
)
async def test_anything_else_is_unreachable(
    ask: Callable[[Answer], Awaitable[tuple[str, str]]], answer: Answer
) -> None:
    assert await ask(answer) == ("unreachable", "")


@pytest.mark.parametrize("address", ["", "203.0.113.7", "169.254.169.254", "not-an-address"])
async def test_nothing_outside_the_network_is_asked(address: str) -> None:
    reporter = JoinReporter(IPv4Network("10.4.0.0/16"))

    report = await reporter.ask(fakes.server(private_address=address))

    assert report.step == "unreachable"
    assert reporter._session is None
