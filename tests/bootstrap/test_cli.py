"""The commands as a user runs them: output and exit codes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from bootstrap.support import TOKEN, text
from hk3s_bootstrap.cli import app
from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator

READER = "r" * 64


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("HCLOUD_ENDPOINT", "http://127.0.0.1:1/v1")
    path = tmp_path / "cluster.yaml"
    path.write_text(text(), encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def no_call(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fail the test if anything opens a client."""
    opened: list[str] = []
    monkeypatch.setattr("hk3s_bootstrap.runs.Hetzner", lambda *_, **__: opened.append("client"))
    yield opened
    assert opened == []


def test_a_sound_file_is_valid(file: Path, no_call: list[str]) -> None:
    result = run("validate")

    assert result.exit_code == 0
    assert "0 errors" in result.stdout


@pytest.mark.parametrize("command", ["validate", "plan", "create", "status", "destroy"])
def test_a_bad_file_ends_every_command_before_any_call(
    file: Path, no_call: list[str], command: str
) -> None:
    file.write_text(text(locaton="fsn1", bastion__allowedCidrs=["0.0.0.0/0"]), encoding="utf-8")

    result = run(command, "--output", "json")

    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert {finding["code"] for finding in report["findings"]} == {"HK3S-E003", "HK3S-E021"}


def test_a_missing_file_is_bad_input(file: Path, no_call: list[str]) -> None:
    result = run("create", "-f", "nowhere.yaml")

    assert result.exit_code == 2
    assert "nowhere.yaml" in result.output


@pytest.mark.parametrize(("token", "code"), [("", "HK3S-E060"), ("with space and \n", "HK3S-E061")])
def test_a_missing_or_malformed_token_is_bad_input(
    file: Path, no_call: list[str], monkeypatch: pytest.MonkeyPatch, token: str, code: str
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", token)

    result = run("create")

    assert result.exit_code == 2
    assert code in result.output


def test_hetzner_that_does_not_answer_is_a_failure(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcloud._client.time.sleep", lambda _: None)

    result = run("plan")

    assert result.exit_code == 1
    assert TOKEN not in result.output
    assert not (file.parent / "state").exists()


@dataclass
class Done:
    """A process that ended; `output` is both streams."""

    exit_code: int
    stdout: str
    output: str


async def run_process(*arguments: str) -> Done:
    """Run the installed command: the emulator shares this process's streams, it must not."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("hk3s-bootstrap"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, stdout.decode(), (stdout + stderr).decode())


@pytest_asyncio.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A cloud with one project, a token that may write and one that may only read."""
    emulator = Emulator(
        clock=RealClock(),
        speed=200,
        stock="all",
        tokens={TOKEN: "demo", READER: "demo"},
        readonly_tokens=(READER,),
        public_addresses=iter(["127.0.0.1"]),
    )
    endpoint = await emulator.start()
    monkeypatch.setenv("HCLOUD_ENDPOINT", endpoint)
    yield endpoint
    await emulator.stop()


async def test_a_token_of_nobody_is_bad_input(
    file: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "n" * 64)

    result = await run_process("plan")

    assert result.exit_code == 2
    assert "does not take the token" in result.output


async def test_a_token_that_only_reads_is_found_at_the_first_write(
    file: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", READER)

    result = await run_process("create")

    assert result.exit_code == 1
    assert "Read & Write" in result.output
    assert "exists now: nothing" in result.output
    assert READER not in result.output


async def test_a_plan_names_every_step_and_changes_nothing(file: Path, endpoint: str) -> None:
    result = await run_process("plan", "--output", "json")

    assert result.exit_code == 0
    steps = json.loads(result.stdout)["steps"]
    assert [step["kind"] for step in steps[:2]] == ["CreateSshKey", "CreateNetwork"]
    assert len(steps) == 10
    again = await run_process("plan", "--output", "json")
    assert json.loads(again.stdout)["steps"] == steps
    assert not (file.parent / "state").exists()


async def test_the_status_of_nothing_says_what_is_missing(file: Path, endpoint: str) -> None:
    result = await run_process("status", "--output", "json")

    assert result.exit_code == 0
    values = json.loads(result.stdout)
    assert values["servers"] == []
    assert values["euroPerHour"] == 0
    assert "the master is missing" in values["problems"]


async def test_destroying_nothing_succeeds(file: Path, endpoint: str) -> None:
    result = await run_process("destroy", "--yes")

    assert result.exit_code == 0
    assert "nothing was there" in result.stdout


async def test_destroy_asks_first(file: Path, endpoint: str) -> None:
    result = await run_process("destroy")

    assert result.exit_code == 1
    assert "delete all of this?" in result.output


async def test_a_sold_out_master_is_bad_input_with_alternatives(file: Path, endpoint: str) -> None:
    url = endpoint.removesuffix("/v1") + "/_lab/stock"
    async with aiohttp.ClientSession() as client:
        await client.put(url, json={"cpx22/fsn1": False})

    result = await run_process("create")

    assert result.exit_code == 2
    assert "HK3S-E053" in result.output
    assert "cx23 in fsn1" in result.output
    assert "cluster.yaml:" in result.output
