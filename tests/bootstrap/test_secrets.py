"""Secrets of a cluster appear nowhere but in private files: looked for by their real values."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from bootstrap.grid import Cloud, Grid, cloud
from bootstrap.leaks import Leaks, command_lines, password_hashes, readable_by_others, user_data

pytestmark = pytest.mark.asyncio(loop_scope="session")
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


def leaks_of(user: Cloud, bodies: list[bytes]) -> Leaks:
    """Every secret value: of the state directory, of user-data, of kubeconfigs, the API token."""
    found = Leaks()
    found.add("API token", SECRET_TOKEN)
    found.add("k3s token", (user.state / "k3s-token").read_text(encoding="utf-8").strip())
    for path in user.state.rglob("*"):
        if path.is_file():
            found.add_keys(path.name, path.read_text(encoding="utf-8"))
    kubeconfig = user.directory / "kubeconfig"
    if kubeconfig.exists():
        values = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        data = values["users"][0]["user"]["client-key-data"]
        found.add_keys("kubeconfig", base64.b64decode(data).decode())
        found.add("kubeconfig, encoded", data)
    for body in bodies:
        text = user_data(body)
        found.add_keys("user-data", text)
        found.add("password hash", *password_hashes(text))
    assert len(found) > 50
    return found


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
    leaks = leaks_of(user, user.grid.hetzner.bodies)
    said += [path.read_text(encoding="utf-8") for path in readable_by_others(user.directory)]
    assert leaks.found_in((user.directory / "kubeconfig").read_text(encoding="utf-8"))
    user.grid.api.open = False
    await user.fault(QUOTING, match={"method": "DELETE"}, times=9)
    said.append((await user.run("destroy")).output)
    assert "rate_limit_exceeded" in said[-1]
    await user.ask("DELETE", "faults")
    said.append((await user.run("destroy")).output)

    leaks.assert_none_in("\n".join(said))


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
    leaks_of(user, user.grid.hetzner.bodies).assert_none_in(listed)
