"""Kubeconfigs for who lost the local state, and for who has only SSH."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap.grid import Cloud, Grid, cloud
from hk3s_bootstrap import kubeconfig, state
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock

pytestmark = pytest.mark.asyncio(loop_scope="session")
KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


@pytest_asyncio.fixture(loop_scope="session")
async def finished(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user") as made:
        done = await made.run("create")
        assert done.exit_code == 0, done.output
        yield made


def ssh_that_prints(user: Cloud, text: str) -> Path:
    """Put a stand-in for ssh in the user's path; return where it notes its arguments."""
    programs = user.directory / "bin"
    programs.mkdir()
    (programs / "answer").write_text(text)
    stand_in = programs / "ssh"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {programs}/asked\ncat {programs}/answer\n')
    stand_in.chmod(0o755)
    user.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    return programs / "asked"


async def works(file: Path) -> bool:
    kube = await Kube.from_kubeconfig(file)
    try:
        return "uid" in (await kube.get(KUBE_SYSTEM))["metadata"]
    finally:
        await kube.close()


async def test_a_lost_state_is_made_good_by_what_the_master_has(finished: Cloud) -> None:
    theirs = kubeconfig.render("default", finished.grid.secrets, "127.0.0.1", SystemClock().now())
    asked = ssh_that_prints(finished, theirs)
    finished.state.rename(finished.directory / "lost")
    target = finished.directory / "recovered"

    plain = await finished.run("kubeconfig", "--kubeconfig", str(target))
    assert plain.exit_code == 1
    assert "--via-ssh" in plain.output

    done = await finished.run("kubeconfig", "--via-ssh", "--kubeconfig", str(target))

    assert done.exit_code == 0, done.output
    assert "PRIVATE KEY" not in done.output
    address = finished.grid.address
    assert asked.read_text().split() == [
        *("-J", f"root@{address}", "root@10.4.0.3"),
        *("cat", "/etc/rancher/k3s/k3s.yaml"),
    ]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert await works(target)


async def test_with_the_state_the_hosts_are_vouched_for(finished: Cloud) -> None:
    theirs = kubeconfig.render("default", finished.grid.secrets, "127.0.0.1", SystemClock().now())
    asked = ssh_that_prints(finished, theirs)
    target = finished.directory / "recovered"

    done = await finished.run("kubeconfig", "--via-ssh", "--kubeconfig", str(target))

    assert done.exit_code == 0, done.output
    assert asked.read_text().startswith(f"-F {finished.state}/ssh_config demo-master-1 cat ")


@pytest.mark.parametrize("what", ["another cluster's", "no kubeconfig"])
async def test_what_is_not_this_clusters_is_not_taken(finished: Cloud, what: str) -> None:
    now = SystemClock().now()
    foreign = kubeconfig.render("default", state.mint(now, bytes), "127.0.0.1", now)
    ssh_that_prints(finished, foreign if what == "another cluster's" else "permission denied")
    target = finished.directory / "recovered"

    done = await finished.run("kubeconfig", "--via-ssh", "-o", "json", "--kubeconfig", str(target))

    assert done.exit_code == 1
    assert json.loads(done.stdout)["fix"]
    assert not target.exists()


@asynccontextmanager
async def tunnel_to(address: str) -> AsyncIterator[int]:
    """Forward a local port to the API, as `tunnel` does."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other side hung up
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(address, 6443)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_kubeconfig_for_the_tunnel_trusts_what_is_at_its_end(finished: Cloud) -> None:
    target = finished.directory / "tunnelled"
    async with tunnel_to(finished.grid.address) as port:
        arguments = ("--tunnel", str(port), "--kubeconfig", str(target))
        done = await finished.run("kubeconfig", *arguments)

        assert done.exit_code == 0, done.output
        assert f"https://127.0.0.1:{port}" in target.read_text()
        assert await works(target)


async def test_both_ways_at_once_are_refused(finished: Cloud) -> None:
    done = await finished.run("kubeconfig", "--via-ssh", "--tunnel", "7443")

    assert done.exit_code == 2
