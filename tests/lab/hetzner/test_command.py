"""`hk3s-lab hetzner` as a process: one line on stdout, logs on stderr, a clean end."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import structlog
import typer
import yaml
from typer.testing import CliRunner

from hk3s_lab.hetzner import main
from lab.hetzner.support import names, running_cloud, server_body


@dataclass
class Running:
    """A process that serves, and what it wrote when it ended."""

    endpoint: str
    code: int | None = None
    out: bytes = b""
    err: bytes = b""


@asynccontextmanager
async def running(*options: str) -> AsyncIterator[Running]:
    """Run the command until the block ends, then end it as a user does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hk3s_lab.hetzner.main",
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        found = Running((await process.stdout.readline()).decode().strip())
        assert found.endpoint, "the command ended early"
        yield found
        process.send_signal(signal.SIGTERM)
        found.out, found.err = await process.communicate()
        found.code = process.returncode
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def command() -> Iterator[typer.Typer]:
    """The command in this process, for options that end it before it serves."""
    app = typer.Typer()
    app.command()(main.hetzner_command)
    before = structlog.get_config()
    yield app
    structlog.configure(**before)


async def test_the_command_prints_its_endpoint_and_ends_on_a_signal() -> None:
    secret = "s3cret" * 11
    options = ("--seed", "7", "--speed", "10", "--stock", "all", "--stock", "cx23/fsn1=false")
    tokens = ("--token", f"prod={secret}", "--token", "prod:ro=reader")
    network = {"name": "net", "ip_range": "10.0.0.0/16"}
    async with running(*options, *tokens) as emulator, aiohttp.ClientSession() as session:

        async def ask(method: str, path: str, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{emulator.endpoint}{path}"
            async with session.request(method, url, headers=headers, json=network) as answer:
                return answer.status

        statuses = [
            await ask("POST", "/networks", secret),
            await ask("POST", "/networks", "reader"),
            await ask("GET", "/networks", "reader"),
            await ask("GET", "/networks", "x" * 64),
        ]
        stock_url = f"{emulator.endpoint.removesuffix('/v1')}/_lab/stock"
        async with session.get(stock_url) as answer:
            stock = await answer.json()

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", emulator.endpoint)
    assert statuses == [201, 403, 200, 401]
    assert (stock["cx23/fsn1"], stock["cx23/nbg1"]) == (False, True)
    assert (emulator.code, emulator.out) == (0, b"")
    events = [json.loads(line) for line in emulator.err.splitlines()]
    assert [event["status"] for event in events] == [201, 403, 401]
    assert secret not in emulator.err.decode()


@pytest.mark.parametrize("option", ["", "name", "=token", "name=", ":ro=token"])
def test_tokens_that_cannot_be_read(option: str) -> None:
    with pytest.raises(typer.BadParameter):
        main.read_tokens([option])


@pytest.mark.parametrize("option", ["", "none", "cx23=true", "cx23/fsn1", "cx23/fsn1=yes"])
def test_stock_that_cannot_be_read(option: str) -> None:
    with pytest.raises(typer.BadParameter):
        main.read_stock([option])


async def test_a_state_file_brings_everything_back(tmp_path: Path) -> None:
    path, script = tmp_path / "cloud.json", tmp_path / "script.yaml"
    script.write_text('stock: {"cx23/*": false}\n')
    headers = {"Authorization": f"Bearer {'t' * 64}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with running("--stock", "all", "--state", str(path)) as first:
            url = f"{first.endpoint}/servers"
            async with session.post(url, json=server_body("kept")) as answer:
                assert answer.status == 201
        async with running("--state", str(path), "--scenario", str(script)) as second:
            url = f"{second.endpoint}/servers"
            async with session.get(url) as answer:
                found = names((await answer.json())["servers"])
            async with session.post(url, json=server_body("more")) as answer:
                refused = answer.status
    assert (first.code, second.code) == (0, 0)
    assert (found, refused) == (["kept"], 412)


def test_a_state_that_cannot_be_read_ends_the_command(command: typer.Typer, tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_bytes(b"{}")
    ended = CliRunner().invoke(command, ["--state", str(path)])
    assert (ended.exit_code, "--state" in ended.stderr) == (2, True)


@pytest.mark.parametrize("text", ["weather: rain", "- a", "{", "timeline: [{at: x}]"])
def test_a_scenario_that_cannot_be_read_ends_the_command(
    command: typer.Typer, tmp_path: Path, text: str
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(text)
    ended = CliRunner().invoke(command, ["--scenario", str(script)])
    assert (ended.exit_code, "--scenario" in ended.stderr) == (2, True)


async def test_the_scenario_of_the_documentation_can_be_played() -> None:
    text = (Path(__file__).parents[3] / "docs" / "lab.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    async with running_cloud() as cloud:
        cloud.emulator.play(yaml.safe_load(example))
        assert len((await cloud.get("/_lab/scenario")).body["timeline"]) == 4
