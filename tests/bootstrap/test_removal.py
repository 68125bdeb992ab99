from pathlib import Path

import aiohttp
import pytest

from bootstrap.conftest import Project
from bootstrap.support import TOKEN, FakeClock, session
from bootstrap.test_apply import run
from hk3s_bootstrap import removal
from hk3s_bootstrap.cli import confirm_removal
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.session import Session
from hk3s_hetzner import domain

LEFT = removal.Leftovers(
    servers=(),
    primary_ips=(),
    firewalls=(),
    networks=(),
    ssh_keys=(),
    volumes=(
        domain.Volume(
            id=1,
            name="pvc-1",
            size_gb=10,
            location="fsn1",
            server_id=None,
            protected=False,
            labels={},
        ),
    ),
    load_balancers=(),
)


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


async def post(project: Project, path: str, body: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{project.endpoint}{path}", json=body) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def volume(project: Project, name: str, labels: dict[str, str]) -> None:
    body = {"name": name, "size": 10, "location": "fsn1", "labels": labels}
    await post(project, "/volumes", body)


@pytest.mark.parametrize(("keep", "expected"), [(True, ["theirs", "pvc-1"]), (False, ["theirs"])])
async def test_volumes_of_workloads_go_only_when_asked_for(
    project: Project, cluster: Session, *, keep: bool, expected: list[str]
) -> None:
    await volume(project, "theirs", {})
    await volume(project, "pvc-1", {"hk3s.dev/cluster": "demo"})
    await run(project)

    left = await removal.destroy(cluster, keep_volumes=keep)

    assert [each.name for each in await project.hetzner.list_volumes()] == expected
    assert left.descriptions == (("volume pvc-1",) if keep else ())


def balancer(number: int, network_id: int) -> domain.LoadBalancer:
    return domain.LoadBalancer(
        id=number,
        name=f"lb-{number}",
        type="lb11",
        location="fsn1",
        public_ipv4=None,
        private_nets=(domain.PrivateNet(network_id=network_id, ip="10.4.1.9"),),
        protected=False,
        labels={},
    )


async def test_load_balancers_of_the_network_go_and_others_stay(
    project: Project, cluster: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await run(project)
    assert world.network is not None
    there = {1: balancer(1, world.network.id), 2: balancer(2, world.network.id + 1)}

    async def listed() -> tuple[domain.LoadBalancer, ...]:
        return tuple(there.values())

    async def delete(number: int) -> tuple[int, ...]:
        del there[number]
        return ()

    monkeypatch.setattr(project.hetzner, "list_load_balancers", listed)
    monkeypatch.setattr(project.hetzner, "delete_load_balancer", delete)

    left = await removal.destroy(cluster, keep_volumes=False)

    assert left.descriptions == ()
    assert list(there) == [2]


@pytest.mark.parametrize(("with_volumes", "expected"), [(True, False), (False, True)])
def test_saying_what_becomes_of_volumes_is_enough(*, with_volumes: bool, expected: bool) -> None:
    assert confirm_removal(LEFT, yes=True, with_volumes=with_volumes) is expected


def test_yes_alone_neither_deletes_data_nor_leaves_it_billed() -> None:
    with pytest.raises(BootstrapError, match="pvc-1") as caught:
        confirm_removal(LEFT, yes=True, with_volumes=None)

    assert "--with-volumes" in caught.value.fix
