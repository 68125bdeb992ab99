"""The ways in: what the system's ssh is told, and how the cluster's own CA vouches for hosts."""

import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.conftest import Project
from bootstrap.grid import Grid, cloud
from bootstrap.support import NOW
from bootstrap.test_apply import run
from hk3s_bootstrap import ssh, state
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed, observe

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client")
SECRETS = state.mint(NOW, bytes)
ATTACHED = 9
"""The write to Hetzner after which the master has its address."""


@pytest.fixture
async def world(project: Project) -> Observed:
    await run(project)
    return await observe(project.hetzner, "demo")


def effective(config_file: Path, host: str) -> dict[str, str]:
    """What ssh itself makes of the file."""
    done = subprocess.run(
        ["ssh", "-G", "-F", config_file, host],  # noqa: S607 - the system's
        check=True,
        capture_output=True,
        text=True,
    )
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return {key: value for key, _, value in lines}


def test_the_host_ca_is_trusted_for_the_clusters_names_only() -> None:
    line = ssh.known_hosts("demo", SECRETS)

    assert line.startswith("@cert-authority demo-* ssh-ed25519 ")
    assert SECRETS.ssh_host_ca.public.split()[1] in line


async def test_every_server_is_reached_through_the_bastion_under_its_own_name(
    world: Observed, tmp_path: Path
) -> None:
    assert world.bastion is not None
    text = ssh.config(world, tmp_path)

    assert f"Host demo-bastion\n  HostName {world.bastion.public_ipv4}\n" in text
    assert "Host demo-master-1\n  HostName 10.4.0.3\n  HostKeyAlias demo-master-1\n" in text
    assert text.count("ProxyJump demo-bastion") == 1
    assert "StrictHostKeyChecking yes" in text


@needs_ssh
async def test_ssh_reads_it_as_it_is_meant(world: Observed, tmp_path: Path) -> None:
    directory = tmp_path / "with space"
    config_file = ssh.write(directory, "demo", SECRETS, world)

    master = effective(config_file, "demo-master-1")
    assert master["hostname"] == "10.4.0.3"
    assert master["hostkeyalias"] == "demo-master-1"
    assert master["proxyjump"] == "demo-bastion"
    assert master["user"] == "root"
    assert master["userknownhostsfile"] == str(directory / "known_hosts")
    assert master["stricthostkeychecking"] in ("true", "yes")
    assert "proxyjump" not in effective(config_file, "demo-bastion")


async def test_what_is_written_is_private_and_goes_with_the_state(
    world: Observed, tmp_path: Path
) -> None:
    directory = tmp_path / "state"
    state.save(directory, SECRETS)
    ssh.write(directory, "demo", SECRETS, world)

    for name in ("ssh_config", "known_hosts"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    state.forget(directory)
    assert not directory.exists()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("master", "demo-master-1"),
        ("bastion", "demo-bastion"),
        ("demo-master-1", "demo-master-1"),
        ("master-1", "demo-master-1"),
    ],
)
async def test_servers_go_by_short_names(world: Observed, wanted: str, found: str) -> None:
    assert ssh.find(world, "demo", wanted) == found


async def test_an_unknown_server_is_named_with_those_that_exist(world: Observed) -> None:
    with pytest.raises(BootstrapError, match="no server 'worker'") as caught:
        ssh.find(world, "demo", "worker")

    assert "demo-master-1" in caught.value.fix


async def test_without_a_bastion_there_is_no_way(world: Observed, tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="no bastion"):
        ssh.config(replace(world, bastion=None), tmp_path)


def test_commands_are_lists_of_arguments(tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"

    assert ssh.shell(file, "demo-master-1", ["journalctl", "-u", "k3s"]) == (
        *("ssh", "-F", str(file), "demo-master-1"),
        *("journalctl", "-u", "k3s"),
    )
    assert ssh.tunnel(file, "demo-bastion", "10.4.0.3", 7443)[-3:] == (
        "-L",
        "127.0.0.1:7443:10.4.0.3:6443",
        "demo-bastion",
    )


@pytest.mark.asyncio(loop_scope="session")
async def test_the_commands_become_ssh(one_grid: Grid, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in = programs / "ssh"
    stand_in.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    async with cloud(one_grid, tmp_path / "user") as user:
        user.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        assert (await user.run("ssh", "master")).exit_code == 1
        assert (await user.run("create", kill_at=ATTACHED)).killed

        shell = await user.run("ssh", "master", "--", "uptime", "-p")
        forward = await user.run("tunnel", "--port", "7443")

        config_file = user.state / "ssh_config"
        assert shell.stdout == f"-F {config_file} demo-master-1 uptime -p\n"
        assert forward.stdout.endswith("-L 127.0.0.1:7443:10.4.0.3:6443 demo-bastion\n")
        assert "https://127.0.0.1:7443" in forward.stderr
