import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from hk3s_lab.proxy import Proxy, Refused, parse
from lab.machines import sites


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {request.path_qs} from {request.remote}")


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """10.4.0.3:8080 says hello; the proxy calls from 10.4.1.1."""
    with sites.site(tmp_path) as (site, rack):
        rack.add(sites.facts(1, "master", "10.4.0.3"))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hello)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, site.local(sites.nic("10.4.0.3")), 8080).start()
        proxy = Proxy(site.resolve, source=site.local(sites.nic("10.4.1.1")))
        await proxy.start("127.0.0.1")
        yield proxy
        await proxy.stop()
        await runner.cleanup()


async def get(proxy: Proxy, url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, proxy=proxy.url) as answer:
        return answer.status, await answer.text()


async def test_a_private_address_is_reached_under_its_own_name(proxy: Proxy) -> None:
    status, text = await get(proxy, "http://10.4.0.3:8080/status?a=1")
    assert status == 200
    assert text.startswith("GET /status?a=1 from 127.")
    assert text.endswith(".1.1")


async def test_a_tunnel_carries_bytes_both_ways(proxy: Proxy) -> None:
    host, port = proxy.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"CONNECT 10.4.0.3:8080 HTTP/1.1\r\nHost: 10.4.0.3:8080\r\n\r\n")
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"GET /deep HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"GET /deep from" in await reader.read()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://10.9.0.3:8080/", 403),
        ("http://127.0.0.1:8080/", 403),
        ("http://example.com/", 403),
        ("http://10.4.0.3:9999/", 502),
    ],
)
async def test_everything_else_is_refused(proxy: Proxy, url: str, status: int) -> None:
    assert (await get(proxy, url))[0] == status


@pytest.mark.parametrize(
    "head", [b"GET\r\n\r\n", b"GET ftp://10.4.0.3/ HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_malformed_requests_are_refused(head: bytes) -> None:
    with pytest.raises(Refused):
        parse(head)


def test_a_plain_request_is_passed_on_in_origin_form_without_hop_headers() -> None:
    request = parse(
        b"GET http://10.4.0.3/a?b HTTP/1.1\r\nHost: 10.4.0.3\r\n"
        b"Proxy-Authorization: x\r\nConnection: keep-alive\r\n\r\n"
    )
    assert request.port == 80
    assert request.head == b"GET /a?b HTTP/1.1\r\nHost: 10.4.0.3\r\nConnection: close\r\n\r\n"
