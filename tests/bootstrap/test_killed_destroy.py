"""`destroy` is killed right after any of its writes, and run again; with a dead API, too."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap.conftest import Project
from bootstrap.grid import Cloud, Grid, cloud
from bootstrap.support import TOKEN, FakeClock, session
from bootstrap.test_apply import run
from bootstrap.test_removal import worker
from hk3s_bootstrap import removal
from hk3s_bootstrap.session import Session
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.transport import Call

WRITES = 8
"""Three servers, address, firewall, network, SSH key; and the daemon's replicas or a volume."""


class Killed(BaseException):
    """Nothing in the command may catch it."""


@dataclass
class Knife:
    """Ends the run when a write took effect, before its answer is read."""

    kill_at: int
    seen: int = 0

    def saw(self, call: Call) -> None:
        if call.method != "GET" and call.status is not None and call.status < 400:
            self.seen += 1
            if self.seen == self.kill_at:
                raise Killed


async def destroy(cluster: Session) -> None:
    left = await removal.destroy(cluster, keep_volumes=False)
    assert left.descriptions == ()


async def volume(project: Project) -> None:
    await project.hetzner._transport.call(
        "POST",
        "/volumes",
        body={
            "name": "pvc-1",
            "size": 10,
            "location": "fsn1",
            "labels": {"hk3s.dev/cluster": "demo"},
        },
    )


@pytest.mark.parametrize("kill_at", range(1, WRITES + 1))
async def test_with_a_dead_api_one_more_run_ends_it(
    project: Project, tmp_path: Path, kill_at: int
) -> None:
    await run(project)
    await worker(project, "demo-general-aaaaa")
    await volume(project)
    knife = Knife(kill_at)
    victim = Hetzner(
        TOKEN, endpoint=project.endpoint, observe=knife.saw, poll_interval=lambda _: 0.02
    )
    with pytest.raises(Killed):
        await destroy(session(tmp_path, victim, project.endpoint, clock=FakeClock()))
    await victim.close()
    project.writes.hetzner.clear()

    await destroy(session(tmp_path, project.hetzner, project.endpoint, clock=FakeClock()))

    assert len(project.writes.hetzner) == WRITES - kill_at
    project.writes.hetzner.clear()
    await destroy(session(tmp_path, project.hetzner, project.endpoint, clock=FakeClock()))
    assert project.writes.hetzner == []


@pytest_asyncio.fixture(loop_scope="session")
async def finished(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user") as made:
        done = await made.run("create")
        assert done.exit_code == 0, done.output
        yield made


@pytest.mark.asyncio(loop_scope="session")
async def test_killed_at_every_single_write_everything_goes_once(finished: Cloud) -> None:
    path = "/apis/apps/v1/namespaces/hk3s-system/deployments/hk3s-autoscaler"
    seen: list[str] = []
    done = await finished.run("destroy", kill_at=1)
    while done.killed and len(seen) < 2 * WRITES:
        seen += finished.writes
        done = await finished.run("destroy", kill_at=1)

    assert done.exit_code == 0, done.output
    assert finished.writes == []
    assert len(seen) == len(set(seen)) == WRITES - 1
    assert seen[0] == f"PATCH {path}"
    assert not any((await finished.things()).values())


@pytest.mark.asyncio(loop_scope="session")
async def test_a_dead_api_is_named_and_does_not_stop_it(finished: Cloud) -> None:
    finished.grid.api.open = False

    first = await finished.run("destroy", kill_at=2)
    assert first.killed
    second = await finished.run("destroy")

    assert second.exit_code == 0, second.output
    assert "the master goes first" in first.stderr
    assert not any((await finished.things()).values())
