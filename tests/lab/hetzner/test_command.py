"""`hk3s-lab hetzner` as a process: one line on stdout, logs on stderr, a clean end."""

import asyncio
import json
import signal
import sys

import aiohttp
import pytest
import typer

from hk3s_lab.hetzner import main


async def test_the_command_prints_its_endpoint_and_ends_on_a_signal() -> None:
    secret = "s3cret" * 11
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hk3s_lab.hetzner.main",
        *("--seed", "7", "--speed", "10", "--stock", "all", "--stock", "cx23/fsn1=false"),
        *("--token", f"prod={secret}", "--token", "prod:ro=reader"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    endpoint = (await process.stdout.readline()).decode().strip()
    network = {"name": "net", "ip_range": "10.0.0.0/16"}
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, path: str, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{endpoint}{path}"
            async with session.request(method, url, headers=headers, json=network) as answer:
                return answer.status

        statuses = [
            await ask("POST", "/networks", secret),
            await ask("POST", "/networks", "reader"),
            await ask("GET", "/networks", "reader"),
            await ask("GET", "/networks", "x" * 64),
        ]
        stock_url = f"{endpoint.removesuffix('/v1')}/_lab/stock"
        async with session.get(stock_url) as answer:
            stock = await answer.json()
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()

    assert endpoint.startswith("http://127.0.0.1:")
    assert endpoint.endswith("/v1")
    assert statuses == [201, 403, 200, 401]
    assert (stock["cx23/fsn1"], stock["cx23/nbg1"]) == (False, True)
    assert (process.returncode, out) == (0, b"")
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["status"] for event in events] == [201, 403, 401]
    assert secret not in err.decode()


@pytest.mark.parametrize("option", ["", "name", "=token", "name=", ":ro=token"])
def test_tokens_that_cannot_be_read(option: str) -> None:
    with pytest.raises(typer.BadParameter):
        main.read_tokens([option])


@pytest.mark.parametrize("option", ["", "none", "cx23=true", "cx23/fsn1", "cx23/fsn1=yes"])
def test_stock_that_cannot_be_read(option: str) -> None:
    with pytest.raises(typer.BadParameter):
        main.read_stock([option])
