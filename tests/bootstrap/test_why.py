"""`status --why`: a server's own report, through the bastion."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.conftest import Project
from bootstrap.test_apply import run
from hk3s_bootstrap import why
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed, observe

REPORT = {
    "schema": 1,
    "name": "demo-master-1",
    "role": "master",
    "step": "install",
    "state": "failed",
    "error": "checksum-mismatch",
    "message": "the downloaded k3s does not have the expected checksum",
    "attempt": 3,
    "since": "2026-11-23T12:00:00Z",
    "steps": {"boot": 0.4},
}
CONTRACT = Path(__file__).parents[2] / "docs/contract.md"


@pytest.fixture
async def world(project: Project) -> Observed:
    await run(project)
    return await observe(project.hetzner, "demo")


class Ssh:
    """A stand-in for the system's ssh that keeps its arguments and what it was sent."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def answers(self, body: str, *, status: str = "200 OK", says: str = "", exits: int = 0) -> None:
        (self.directory / "answer").write_bytes(f"HTTP/1.0 {status}\r\n\r\n{body}".encode())
        (self.directory / "says").write_text(says)
        program = self.directory / "ssh"
        program.write_text(
            f'#!/bin/sh\ncd {self.directory}\necho "$@" >arguments\ncat >request\n'
            f"cat says >&2\n[ {exits} = 0 ] && cat answer\nexit {exits}\n"
        )
        program.chmod(0o755)

    def reports(self, **changes: object) -> None:
        self.answers(json.dumps(REPORT | changes))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Ssh(programs)


async def ask(world: Observed) -> why.Why:
    return await why.ask(Path("ssh_config"), world, "demo-master-1")


async def test_a_servers_report_is_told_with_what_it_means(world: Observed, ssh: Ssh) -> None:
    ssh.reports()

    found = await ask(world)

    assert found.json() | {"meaning": ""} == {
        "server": "demo-master-1",
        "step": "install",
        "state": "failed",
        "error": "checksum-mismatch",
        "message": "the downloaded k3s does not have the expected checksum",
        "attempt": 3,
        "meaning": "",
    }
    first, *rest = found.text().splitlines()
    assert first == "demo-master-1: step install, failed: checksum-mismatch"
    assert rest[0].endswith("(attempt 3)")
    assert "a proxy on the way" in rest[1]
    arguments = (ssh.directory / "arguments").read_text().split()
    assert arguments[-3:] == ["-W", "10.4.0.3:9101", "demo-bastion"]
    assert (ssh.directory / "request").read_bytes() == b"GET /status HTTP/1.0\r\n\r\n"


async def test_a_server_that_gets_on_is_told_in_one_line(world: Observed, ssh: Ssh) -> None:
    ssh.reports(step="join", state="running", error=None, message=None)

    assert (await ask(world)).text() == "demo-master-1: step join, running"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("channel 0: open failed: connect failed: Connection refused", "status port is closed"),
        ("channel 0: open failed: connect failed: No route to host", "no answer on its private"),
    ],
)
async def test_a_server_that_does_not_answer_is_unreachable(
    world: Observed, ssh: Ssh, said: str, message: str
) -> None:
    ssh.answers("", says=said, exits=255)

    found = await ask(world)

    assert found.step == "unreachable"
    assert message in found.message
    assert "usually: " in found.text()


async def test_a_server_that_is_off_is_not_asked(world: Observed, ssh: Ssh) -> None:
    assert world.master is not None
    off = replace(world, master=replace(world.master, status="off"))

    found = await ask(off)

    assert (found.step, found.message) == ("unreachable", "the server is off")
    assert not (ssh.directory / "arguments").exists()


@pytest.mark.parametrize("body", ["", "[]", "{}", json.dumps(REPORT | {"name": "demo-other"})])
async def test_no_report_is_taken_for_one(world: Observed, ssh: Ssh, body: str) -> None:
    ssh.answers(body)

    assert (await ask(world)).step == "unreachable"


async def test_a_report_cannot_write_on_the_terminal(world: Observed, ssh: Ssh) -> None:
    ssh.reports(message="\x1b[2Jgone")

    assert "\x1b" not in (await ask(world)).text()


async def test_a_closed_bastion_is_an_error_of_its_own(world: Observed, ssh: Ssh) -> None:
    ssh.answers("", says="root@203.0.113.1: Permission denied (publickey).", exits=255)

    with pytest.raises(BootstrapError, match=r"get into demo-bastion: .*Permission denied"):
        await ask(world)


def test_every_error_of_the_contract_has_a_meaning() -> None:
    rest = CONTRACT.read_text(encoding="utf-8").split("## Steps and their report")[1]
    table = rest.split("\n## ")[0]
    rows: list[Any] = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    known = {word.strip(" `") for row in rows for word in row[3].split(",")} - {"—"}

    assert known | {"nat-failed"} == why.MEANINGS.keys()
