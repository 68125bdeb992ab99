"""What keeps a run from changing anything: each with the way out, and nothing written."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap.grid import Cloud, Grid, cloud
from hk3s_bootstrap import state
from hk3s_kube.clock import SystemClock

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def finished(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user") as made:
        done = await made.run("create")
        assert done.exit_code == 0, done.output
        yield made


async def assert_refused(project: Cloud, *words: str) -> None:
    """Run `create` and `plan`: both refuse with these words, and nothing changes anywhere."""
    before = await project.things()
    kept = {path: path.read_bytes() for path in project.state.rglob("*") if path.is_file()}
    for command in ("create", "plan"):
        done = await project.run(command, "--output", "json")

        assert done.exit_code == 1, done.output
        answer = json.loads(done.stdout)
        assert (answer["ok"], answer["code"]) == (False, "refused")
        for word in words:
            assert word in answer["message"] + answer["fix"]
        assert project.writes == []
    assert await project.things() == before
    assert kept == {path: path.read_bytes() for path in project.state.rglob("*") if path.is_file()}


async def delete_master(project: Cloud) -> None:
    (master,) = [each for each in project.emulator.machines() if each.name == "demo-master-1"]
    await project.call("DELETE", f"servers/{master.server_id}")


async def test_a_vanished_master_is_not_replaced_unasked(finished: Cloud) -> None:
    await delete_master(finished)

    await assert_refused(finished, "the master is gone", "--replace-master", "destroy")

    done = await finished.run("create", "--replace-master", kill_at=1)
    assert done.killed
    assert finished.writes == ["POST /v1/servers"]


async def test_without_the_state_nothing_is_minted_anew(finished: Cloud) -> None:
    finished.state.rename(finished.directory / "elsewhere")

    await assert_refused(finished, "CAs and tokens", "--state-dir", "destroy")

    assert not finished.state.exists()
    (finished.directory / "elsewhere").rename(finished.state)
    assert (await finished.run("create")).exit_code == 0


async def test_servers_of_another_ca_are_left_alone(finished: Cloud) -> None:
    state.forget(finished.state)
    state.save(finished.state, state.mint(SystemClock().now(), bytes))

    await assert_refused(finished, "was made with another CA", "--state-dir")


async def test_another_cluster_that_answers_is_not_written_to(finished: Cloud) -> None:
    state.save_cluster_uid(finished.state, "11111111-2222-3333-4444-555555555555")

    done = await finished.run("create", "--output", "json")

    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    assert answer["code"] == "foreign-cluster"
    assert "--state-dir" in answer["fix"]
    assert finished.writes == []
