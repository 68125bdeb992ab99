"""`hk3s-lab hetzner` as a process: one line on stdout, logs on stderr, a clean end."""

import asyncio
import json
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
import typer
import yaml

from hk3s_lab.hetzner import main
from lab.hetzner.support import names, running_cloud, server_body


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


async def run_until_saved(path: Path, *options: str) -> tuple[int | None, bytes, list[str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hk3s_lab.hetzner.main",
        *("--stock", "all", "--state", str(path), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    endpoint = (await process.stdout.readline()).decode().strip()
    found = []
    if endpoint:
        headers = {"Authorization": f"Bearer {'t' * 64}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            await session.post(f"{endpoint}/servers", json=server_body("kept"))
            async with session.get(f"{endpoint}/servers") as answer:
                found = names((await answer.json())["servers"])
        process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    return process.returncode, err, found


async def test_a_state_file_brings_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    script = tmp_path / "script.yaml"
    script.write_text('stock: {"cx23/*": false}\n')
    assert (await run_until_saved(path))[::2] == (0, ["kept"])
    assert (await run_until_saved(path, "--scenario", str(script)))[::2] == (0, ["kept"])
    path.write_bytes(b"{}")
    code, err, _ = await run_until_saved(path)
    assert (code, b"--state" in err) == (2, True)


@pytest.mark.parametrize("text", ["weather: rain", "- a", "{", "timeline: [{at: x}]"])
async def test_a_scenario_that_cannot_be_read_ends_the_command(tmp_path: Path, text: str) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(text)
    code, err, _ = await run_until_saved(tmp_path / "s.json", "--scenario", str(script))
    assert (code, b"--scenario" in err) == (2, True)


async def test_the_scenario_of_the_documentation_can_be_played() -> None:
    text = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    async with running_cloud() as cloud:
        cloud.emulator.play(yaml.safe_load(example))
        assert len((await cloud.get("/_lab/scenario")).body["timeline"]) == 4
