"""`create` is killed right after any of its writes, at either API, and run again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bootstrap.grid import Cloud, Grid, cloud
from bootstrap.support import config
from hk3s_bootstrap import addons, objects

pytestmark = pytest.mark.asyncio(loop_scope="session")
HETZNER = (
    "POST /ssh_keys",
    "POST /networks",
    "POST /firewalls",
    "POST /primary_ips",
    "POST /servers",
    "POST /servers/{id}/actions/attach_to_network",
    "POST /servers/{id}/actions/poweron",
    "POST /servers",
    "POST /servers/{id}/actions/attach_to_network",
    "POST /servers/{id}/actions/poweron",
)
"""Every write of a full run, in order; those to the cluster follow."""
MADE_HERE = ("Secret hcloud", "ConfigMap of the daemon", "Secret of the daemon", "NodePool general")
"""What is applied beside the base and the charts."""
COLLECTIONS = (
    "/api/v1/namespaces/hk3s-system/secrets",
    "/api/v1/namespaces/hk3s-system/configmaps",
    "/api/v1/namespaces/kube-system/secrets",
    "/apis/helm.cattle.io/v1/helmcharts",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles",
    "/apis/hk3s.dev/v1alpha1/nodepools",
)
"""Those that nobody but the command writes to here."""


@pytest_asyncio.fixture(loop_scope="session")
async def project(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def uninterrupted(
    one_grid: Grid, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What a run that nothing happens to leaves at Hetzner; the cluster is finished then, too."""
    async with cloud(one_grid, tmp_path_factory.mktemp("uninterrupted")) as made:
        done = await made.run("create")
        assert done.exit_code == 0, done.output
        return await made.things()


def written_at(directory: Path) -> dict[Path, int]:
    """When each file of the user was written; what the command printed is in *.log."""
    files = (path for path in directory.rglob("*") if path.suffix != ".log")
    return {path: path.stat().st_mtime_ns for path in files}


async def versions(grid: Grid) -> dict[str, str]:
    return {
        f"{path}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
        for path in COLLECTIONS
        for item in await grid.admin.list_items(path)
    }


async def test_killed_at_every_write_to_the_cluster_each_is_made_once(project: Cloud) -> None:
    """Each run lives for one more write; the last one finds nothing left to write."""
    applied = len(objects.base()) + len(MADE_HERE) + len(addons.helm_charts(config(), ""))
    done = await project.run("create", kill_at=len(HETZNER) + 1)
    seen = list(project.writes)
    while done.killed and len(seen) < 2 * applied:
        done = await project.run("create", kill_at=1)
        seen += project.writes

    assert done.exit_code == 0, done.output
    assert project.writes == []
    assert "is ready: 0 steps at Hetzner, 0 objects applied" in done.stdout
    assert "verified: the master is Ready, names resolve on it, its way out" in done.stdout
    assert tuple(await project.wrote()) == HETZNER
    inside = seen[len(HETZNER) :]
    assert len(inside) == len(set(inside)) == applied


@pytest.mark.parametrize("kill_at", range(1, len(HETZNER) + 1))
async def test_killed_after_any_write_to_hetzner_one_more_run_ends_it(
    one_grid: Grid, tmp_path: Path, uninterrupted: dict[str, list[str]], kill_at: int
) -> None:
    # Slow enough for actions to be under way still when the second run looks.
    async with cloud(one_grid, tmp_path / "user", speed=8) as project:
        first = await project.run("create", kill_at=kill_at)
        assert first.killed
        assert len(await project.wrote()) == kill_at

        second = await project.run("create")

        assert second.exit_code == 0, second.output
        assert tuple(await project.wrote()) == HETZNER
        assert await project.things() == uninterrupted


async def test_on_a_finished_cluster_nothing_is_written_to_either_api(project: Cloud) -> None:
    first = await project.run("create")
    assert first.exit_code == 0, first.output
    at_hetzner, inside = len(await project.requests()), await versions(project.grid)
    here = written_at(project.directory)

    second = await project.run("create", "--output", "json")

    assert second.exit_code == 0, second.output
    after = (await project.requests())[at_hetzner:]
    assert {request["method"] for request in after} == {"GET"}
    assert await versions(project.grid) == inside
    assert project.writes == []
    assert here == written_at(project.directory)
