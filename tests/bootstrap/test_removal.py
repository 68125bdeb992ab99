from pathlib import Path

import pytest

from bootstrap.conftest import Project
from bootstrap.support import FakeClock, session
from bootstrap.test_apply import run
from hk3s_bootstrap import removal
from hk3s_bootstrap.session import Session
from hk3s_hetzner import domain


@pytest.fixture
def cluster(project: Project, tmp_path: Path) -> Session:
    return session(tmp_path, project.hetzner, project.endpoint, clock=FakeClock())


async def worker(project: Project, name: str) -> domain.Server:
    created = await project.hetzner.create_server(
        name=name,
        server_type="cx23",
        location="fsn1",
        image="ubuntu-24.04",
        labels={"hk3s.dev/cluster": "demo", "hk3s.dev/role": "worker"},
        user_data="",
    )
    await project.hetzner.wait(created.action_ids, timeout=10)
    return created.server


async def test_nothing_is_left(project: Project, cluster: Session) -> None:
    await run(project)
    await worker(project, "demo-general-aaaaa")
    await worker(project, "demo-general-bbbbb")

    left = await removal.destroy(cluster, keep_volumes=False)

    assert left.descriptions == ()
    assert await project.hetzner.list_servers() == ()
    assert await project.hetzner.list_ssh_keys() == ()


async def test_with_a_dead_api_the_master_goes_before_the_workers(
    project: Project, cluster: Session
) -> None:
    world = await run(project)
    assert world.master is not None
    assert world.bastion is not None
    bought = await worker(project, "demo-general-aaaaa")
    project.writes.hetzner.clear()

    await removal.destroy(cluster, keep_volumes=False)

    deleted = [call for call in project.writes.hetzner if call.startswith("DELETE /v1/servers")]
    assert deleted == [
        f"DELETE /v1/servers/{world.master.id}",
        f"DELETE /v1/servers/{bought.id}",
        f"DELETE /v1/servers/{world.bastion.id}",
    ]


async def test_a_second_run_finds_nothing_and_deletes_nothing(
    project: Project, cluster: Session
) -> None:
    await run(project)
    await removal.destroy(cluster, keep_volumes=False)
    project.writes.hetzner.clear()

    await removal.destroy(cluster, keep_volumes=False)

    assert project.writes.hetzner == []


async def test_other_peoples_things_stay(project: Project, cluster: Session) -> None:
    await project.hetzner.create_network(name="theirs", ip_range="10.9.0.0/16", labels={})
    await run(project)

    await removal.destroy(cluster, keep_volumes=False)

    assert [network.name for network in await project.hetzner.list_networks()] == ["theirs"]


async def test_a_key_that_was_there_before_stays(project: Project, cluster: Session) -> None:
    line = cluster.config.ssh.public_keys[0]
    await project.hetzner.create_ssh_key(name="laptop", public_key=line, labels={})
    await run(project)

    await removal.destroy(cluster, keep_volumes=False)

    assert [key.name for key in await project.hetzner.list_ssh_keys()] == ["laptop"]
