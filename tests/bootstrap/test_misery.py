"""Things go wrong on the other side: the message says what to do, and the same command goes on."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bootstrap.conftest import Project
from bootstrap.grid import Cloud, Grid, cloud
from bootstrap.support import TOKEN, FakeClock, Recorder, text
from bootstrap.test_apply import WANTED, control, executor, run
from hk3s_bootstrap import objects, runs
from hk3s_bootstrap.cluster import Cluster
from hk3s_bootstrap.diff import steps
from hk3s_bootstrap.failures import StepFailed
from hk3s_bootstrap.observed import observe
from hk3s_hetzner.client import Hetzner
from hk3s_kube.errors import Forbidden, KubeError, NotFound, ServerFailure, Unreachable

POST_SERVER = {"method": "POST", "path": "^/servers$"}
UNAVAILABLE = {"error": {"status": 500, "code": "server_error", "message": "try later"}}


async def creations(project: Project) -> list[str]:
    return sorted(server.name for server in await project.hetzner.list_servers())


async def test_a_minute_of_errors_is_waited_for(project: Project) -> None:
    fault = {"match": {"method": "POST"}, "effect": UNAVAILABLE, "times": 30}
    await control(project, "POST", "faults", fault)
    patient = executor(project)

    found = await observe(project.hetzner, "demo")
    await patient.carry_out(steps(WANTED, found), found)

    assert isinstance(patient.clock, FakeClock)
    assert patient.clock.seconds == pytest.approx(60)
    assert isinstance(patient.reporter, Recorder)
    assert any("try later (server_error)" in line for line in patient.reporter.lines)
    assert await creations(project) == ["demo-bastion", "demo-master-1"]


async def test_endless_errors_end_with_the_step_and_the_fix(project: Project) -> None:
    await control(project, "POST", "faults", {"match": POST_SERVER, "effect": UNAVAILABLE})

    with pytest.raises(StepFailed) as caught:
        await run(project)

    assert caught.value.step.startswith("create bastion demo-bastion")
    assert caught.value.code == "server_error"
    assert "run the command again" in caught.value.fix
    await control(project, "DELETE", "faults", None)
    await run(project)
    assert await creations(project) == ["demo-bastion", "demo-master-1"]


async def test_answers_that_come_too_late_double_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hcloud._client.time.sleep", lambda _: None)
    monkeypatch.setattr("hk3s_bootstrap.apply.BUSY_SECONDS", 0.0)
    hasty = Hetzner(
        TOKEN, endpoint=project.endpoint, timeout=(1.0, 0.1), poll_interval=lambda _: 0.02
    )
    slow = {"match": {"method": "POST"}, "effect": {"latency_ms": 300}}
    await control(project, "POST", "faults", slow)
    found = await observe(project.hetzner, "demo")
    late = executor(Project(project.emulator, project.endpoint, hasty, project.writes))

    with pytest.raises(StepFailed, match="no answer in time"):
        await late.carry_out(steps(WANTED, found), found)

    await hasty.close()
    await control(project, "DELETE", "faults", None)
    await run(project)
    assert await creations(project) == ["demo-bastion", "demo-master-1"]
    assert len(await project.hetzner.list_networks()) == 1


def test_the_command_waits_longer_than_ten_seconds_for_an_answer() -> None:
    assert runs.PATIENCE[1] > 10


@dataclass
class Moody:
    """An API server that is away for its first `calls`."""

    error: KubeError
    calls: int
    applied: list[str] = field(default_factory=list)

    def _ask(self) -> None:
        self.calls -= 1
        if self.calls >= 0:
            raise self.error

    async def get(self, path: str, **_: object) -> Any:  # noqa: ANN401 - JSON
        self._ask()
        raise NotFound(404, "NotFound", path)

    async def path_of(self, manifest: dict[str, Any]) -> str:
        return objects.describe(manifest)

    async def apply(self, manifest: dict[str, Any], **_: object) -> None:
        self._ask()
        self.applied.append(objects.describe(manifest))

    async def wait_established(self, _name: str) -> None:
        self._ask()


@pytest.mark.parametrize(
    "error",
    [
        Unreachable(0, "ClientConnectorError", "refused"),
        ServerFailure(503, "ServiceUnavailable", "apiserver is shutting down"),
        ServerFailure(500, "InternalError", "etcdserver: leader changed"),
    ],
    ids=lambda error: str(error.reason),
)
async def test_an_api_server_that_is_gone_for_a_minute_is_waited_for(error: KubeError) -> None:
    kube, clock = Moody(error, calls=60), FakeClock()

    applied = await cluster(kube, clock).apply(objects.base())

    assert applied == len(objects.base())
    assert kube.applied == [objects.describe(each) for each in objects.base()]
    assert clock.seconds == pytest.approx(60)


async def test_an_api_server_that_stays_away_is_named_with_the_step() -> None:
    kube = Moody(Unreachable(0, "Timeout", "no answer"), calls=100_000)

    with pytest.raises(StepFailed) as caught:
        await cluster(kube, FakeClock()).apply(objects.base())

    assert caught.value.step == "read Namespace hk3s-system"
    assert caught.value.code == "Timeout"
    assert "run the command again" in caught.value.fix


async def test_a_refusal_of_the_api_server_is_not_repeated() -> None:
    kube, clock = Moody(Forbidden(403, "Forbidden", "no"), calls=1), FakeClock()

    with pytest.raises(StepFailed):
        await cluster(kube, clock).apply(objects.base())

    assert clock.seconds == 0


def cluster(kube: Moody, clock: FakeClock) -> Cluster:
    return Cluster(kube=kube, clock=clock, reporter=Recorder())  # type: ignore[arg-type] # a stand-in


@pytest_asyncio.fixture(loop_scope="session")
async def user(one_grid: Grid, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud(one_grid, tmp_path / "user") as made:
        yield made


async def sold_out(user: Cloud) -> None:
    await user.ask("PUT", "stock", {"cpx22/fsn1": "refused"})


async def limited(user: Cloud) -> None:
    await user.ask("PUT", "limits", {"servers": 1})


async def readonly(user: Cloud) -> None:
    user.environment["HCLOUD_TOKEN"] = "r" * 64


async def in_stock(user: Cloud) -> None:
    await user.ask("PUT", "stock", {"cpx22/fsn1": True})


async def another_type(user: Cloud) -> None:
    file = text(master__serverType="cx33")
    (user.directory / "cluster.yaml").write_text(file, encoding="utf-8")


async def limit_of_two(user: Cloud) -> None:
    await user.ask("PUT", "limits", {"servers": 2})


async def writing_token(user: Cloud) -> None:
    user.environment["HCLOUD_TOKEN"] = TOKEN


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("trouble", "cure", "step", "code", "fix"),
    [
        pytest.param(
            sold_out, in_stock, "create master", "resource_unavailable", "later", id="sold out"
        ),
        pytest.param(
            sold_out,
            another_type,
            "create master",
            "resource_unavailable",
            "another server type",
            id="sold out, another type",
        ),
        pytest.param(
            limited,
            limit_of_two,
            "create master",
            "resource_limit_exceeded",
            "ask Hetzner to raise it",
            id="account limit",
        ),
        pytest.param(
            readonly, writing_token, "upload SSH key", "token_readonly", "Read & Write", id="token"
        ),
    ],
)
async def test_a_failed_step_says_everything_and_the_same_command_continues(
    user: Cloud,
    trouble: Callable[[Cloud], Any],
    cure: Callable[[Cloud], Any],
    step: str,
    code: str,
    fix: str,
) -> None:
    await trouble(user)
    first = await user.run("create", "--output", "json")

    assert first.exit_code == 1
    said = json.loads(first.stdout)
    assert said["step"].startswith(step)
    assert said["code"] == code
    assert fix in said["fix"]
    assert said["continue"].startswith("hk3s-bootstrap create -f ")
    assert ("server demo-bastion (running)" in said["exists"]) == (step == "create master")
    assert TOKEN not in first.output
    assert "Traceback" not in first.output

    await cure(user)
    second = await user.run("create", "--output", "json")

    assert second.exit_code == 0, second.output
    assert len([call for call in await user.wrote() if call == "POST /servers"]) == 2


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("content", ["", "apiVersion: v1\nkind: Config\nclusters: []\n"])
async def test_a_kubeconfig_in_the_way_is_kept_and_named(user: Cloud, content: str) -> None:
    (user.directory / "kubeconfig").write_text(content, encoding="utf-8")

    done = await user.run("create")

    assert done.exit_code == 0, done.output
    assert "HK3S-E056" in done.stderr
    assert (user.directory / "kubeconfig.bak").read_text(encoding="utf-8") == content
    assert "demo" in (user.directory / "kubeconfig").read_text(encoding="utf-8")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_state_directory_that_cannot_be_is_an_error_with_a_fix(user: Cloud) -> None:
    done = await user.run("create", "--state-dir", str(user.directory / "cluster.yaml" / "state"))

    assert done.exit_code == 1
    assert "Not a directory" in done.stderr
    assert "--state-dir" in done.stderr
    assert "Traceback" not in done.output
    assert user.writes == []
