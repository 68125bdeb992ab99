"""Secrets of a cluster appear nowhere but in private files: looked for by their real values."""

import asyncio
import base64
import gzip
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from bootstrap.grid import Cloud, Grid, cloud

pytestmark = pytest.mark.asyncio(loop_scope="session")
PIECE = 20
"""Characters of a secret in a row that are too many."""
SECRET_TOKEN = "s3cr3tT0kenAbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefghijklmnopq"[:64]
QUOTING = {
    "error": {
        "status": 429,
        "code": "rate_limit_exceeded",
        "message": f"limit of 3600 requests per hour for {SECRET_TOKEN[:32]} reached",
    }
}
"""As Hetzner's own text does."""


@pytest_asyncio.fixture(loop_scope="session")
async def user(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user", token=SECRET_TOKEN) as made:
        yield made


def secrets_of(user: Cloud, bodies: list[bytes]) -> set[str]:
    """Every secret value: of the state directory, of user-data, of kubeconfigs, the API token."""
    found = {SECRET_TOKEN, SECRET_TOKEN[:32], SECRET_TOKEN[32:]}
    texts = [path.read_text(encoding="utf-8") for path in user.state.rglob("*") if path.is_file()]
    found.add((user.state / "k3s-token").read_text(encoding="utf-8").strip())
    kubeconfig = user.directory / "kubeconfig"
    if kubeconfig.exists():
        values = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        data = values["users"][0]["user"]["client-key-data"]
        found.add(data)
        texts.append(base64.b64decode(data).decode())
    for body in bodies:
        text = user_data(body)
        texts.append(text)
        found |= {word for word in text.replace('"', " ").split() if word.startswith("$6$")}
    for text in texts:
        found |= set(private_lines(text))
    assert len(found) > 50
    return found


def private_lines(text: str) -> Iterator[str]:
    """Lines of private keys, without those that all keys share."""
    inside = False
    for line in (line.strip() for line in text.splitlines()):
        if "PRIVATE KEY" in line:
            inside = "BEGIN" in line
        elif inside and len(line) >= PIECE and not line.startswith("b3BlbnNzaC1rZXktdjE"):
            yield line


def user_data(body: bytes) -> str:
    text = str(yaml.safe_load(body)["user_data"])
    if text.startswith("#"):
        return text
    return gzip.decompress(base64.b64decode(text)).decode()


def pieces(secret: str) -> Iterator[str]:
    yield secret
    for start in range(0, len(secret) - PIECE, PIECE):
        yield secret[start : start + PIECE]


def assert_clean(text: str, secrets: set[str]) -> None:
    for secret in secrets:
        for piece in pieces(secret):
            assert piece not in text, f"{len(piece)} characters of a secret show"


def command_lines() -> str:
    """Arguments of all processes, of which some end while we look."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


async def test_nothing_secret_shows_whatever_goes_wrong(user: Cloud) -> None:
    said = []
    await user.fault(QUOTING, match={"method": "POST", "path": "^/networks$"}, times=9)
    said.append((await user.run("create")).output)
    assert "rate_limit_exceeded" in said[-1]
    await user.ask("DELETE", "faults")
    failing = {"action_fails": {"code": "resource_unavailable", "message": "no capacity"}}
    await user.fault(failing, match={"method": "POST", "path": "^/servers$"}, times=1)
    said.append((await user.run("create", "--output", "json")).output)
    assert "resource_unavailable" in said[-1]
    await user.fault({"drop_after": True}, match={"method": "POST", "path": "poweron"}, times=1)
    said.append((await user.run("create")).output)
    for command in ("create", "status", "plan", "kubeconfig"):
        done = await user.run(command)
        assert done.exit_code == 0, done.output
        said.append(done.output)
    secrets = secrets_of(user, user.grid.hetzner.bodies)
    private = [path for path in user.directory.rglob("*") if path.is_file()]
    user.grid.api.open = False
    await user.fault(QUOTING, match={"method": "DELETE"}, times=9)
    said.append((await user.run("destroy")).output)
    assert "rate_limit_exceeded" in said[-1]
    await user.ask("DELETE", "faults")
    said.append((await user.run("destroy")).output)

    assert_clean("\n".join(said), secrets)
    for path in private:
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            assert_clean(path.read_text(encoding="utf-8"), secrets)


async def test_no_secret_is_an_argument_of_a_process(user: Cloud) -> None:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("hk3s-bootstrap"),
        *("create", "-f", str(user.directory / "cluster.yaml")),
        *("--state-dir", str(user.state), "--kubeconfig", str(user.directory / "kubeconfig")),
        env={**os.environ, **user.environment},
        cwd=user.directory,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    ended = asyncio.create_task(process.wait())
    seen = set()
    while not ended.done():
        seen.add(command_lines())
        await asyncio.wait({ended}, timeout=0.1)

    assert process.returncode == 0
    listed = "\n".join(seen)
    assert "hk3s-bootstrap\0create" in listed
    assert_clean(listed, secrets_of(user, user.grid.hetzner.bodies))
