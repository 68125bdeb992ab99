"""Steps on the emulated cloud: each can be repeated, whatever the moment of a kill."""

from dataclasses import dataclass, replace

import aiohttp
import pytest

from bootstrap.conftest import Project
from bootstrap.support import FakeClock, Recorder, config
from hk3s_bootstrap.apply import Executor
from hk3s_bootstrap.desired import Machine, desire
from hk3s_bootstrap.diff import steps
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.observed import Observed, observe

WANTED = desire(config(), "c" * 64, "eu-central")


@dataclass
class Births:
    def user_data(self, machine: Machine, world: Observed) -> str:
        assert machine.public or world.primary_ip is not None
        return f"#cloud-config\nhostname: {machine.name}\n"


def executor(project: Project) -> Executor:
    return Executor(
        hetzner=project.hetzner,
        desired=WANTED,
        births=Births(),
        clock=FakeClock(),
        reporter=Recorder(),
    )


async def run(project: Project) -> Observed:
    found = await observe(project.hetzner, "demo")
    return await executor(project).carry_out(steps(WANTED, found), found)


async def control(project: Project, method: str, name: str, body: object) -> None:
    url = project.endpoint.removesuffix("/v1") + f"/_lab/{name}"
    async with aiohttp.ClientSession() as client, client.request(method, url, json=body) as answer:
        assert answer.status < 300, await answer.text()


async def test_only_the_bastion_has_a_public_address(project: Project) -> None:
    await run(project)
    found = await observe(project.hetzner, "demo")

    assert found.bastion is not None
    assert found.master is not None
    assert found.network is not None
    assert found.primary_ip is not None
    assert found.bastion.public_ipv4 == found.primary_ip.ip
    assert (found.bastion.public_ipv6, found.master.public_ipv4, found.master.public_ipv6) == (
        None,
        None,
        None,
    )
    assert found.bastion.private_ip(found.network.id) == "10.4.0.2"
    assert found.master.private_ip(found.network.id) == "10.4.0.3"
    assert not found.primary_ip.auto_delete
    assert found.firewall is not None
    assert found.firewall.applied_to_server_ids == (found.bastion.id,)


async def test_a_finished_run_leaves_no_step(project: Project) -> None:
    await run(project)

    assert steps(WANTED, await observe(project.hetzner, "demo")) == ()


@pytest.mark.parametrize("after", range(10))
async def test_a_run_that_ended_after_any_step_is_continued(project: Project, after: int) -> None:
    found = await observe(project.hetzner, "demo")
    await executor(project).carry_out(steps(WANTED, found)[:after], found)

    await run(project)

    assert steps(WANTED, await observe(project.hetzner, "demo")) == ()
    creations = [call for call in project.writes.hetzner if call == "POST /v1/servers"]
    assert len(creations) == 2


async def test_what_appeared_since_the_look_is_adopted_by_name(project: Project) -> None:
    await run(project)

    world = await executor(project).carry_out(steps(WANTED, Observed()), Observed())

    found = await observe(project.hetzner, "demo")
    assert world.master is not None
    assert found.master is not None
    assert world.master.id == found.master.id
    assert len(await project.hetzner.list_servers()) == 2


async def test_what_appeared_and_is_not_ours_is_refused(project: Project) -> None:
    await project.hetzner.create_network(name="demo", ip_range="10.4.0.0/16", labels={})

    with pytest.raises(BootstrapError, match="does not belong to demo"):
        await executor(project).carry_out(steps(WANTED, Observed()), Observed())


async def test_sold_out_is_told_with_what_to_do(project: Project) -> None:
    await control(project, "PUT", "stock", {"cpx22/fsn1": False})

    with pytest.raises(StepFailed) as caught:
        await run(project)

    assert caught.value.code == "resource_unavailable"
    assert "another server type" in caught.value.fix
    assert "create master" in caught.value.step


async def test_foreign_objects_under_our_names_are_seen(project: Project) -> None:
    await project.hetzner.create_firewall(name="demo-bastion", rules=(), labels={})

    found = await observe(project.hetzner, "demo")

    assert [(thing.kind, thing.name) for thing in found.foreign] == [("firewall", "demo-bastion")]
    assert found.firewall is None


async def test_rules_are_changed_in_place(project: Project) -> None:
    await run(project)
    wanted = desire(config(bastion__allowedCidrs=["198.51.100.0/24"]), "c" * 64, "eu-central")
    found = await observe(project.hetzner, "demo")

    await replace(executor(project), desired=wanted).carry_out(steps(wanted, found), found)

    assert steps(wanted, await observe(project.hetzner, "demo")) == ()
