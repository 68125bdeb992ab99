"""Containers that are processes: ends, restarts, probes and the last words of a crash."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hk3s_lab.clock import RealClock
from hk3s_lab.machines import pod_life, pod_status
from hk3s_lab.machines.containers import ProcessContainer
from hk3s_lab.machines.pod_command import Command, image_name
from hk3s_lab.machines.pod_fields import CannotStart, expand
from hk3s_lab.machines.pod_files import Mount, rewrite
from hk3s_lab.machines.pod_status import Container, ContainerState, Ended, Running, View, Waiting

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERVER = (
    "import http.server, sys\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200)\n"
    "        self.end_headers()\n"
    "    def log_message(self, *_): pass\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()\n"
)


class Watched:
    """A container and the states it went through."""

    def __init__(
        self, directory: Path, script: str, *arguments: str, policy: str = "Never", **spec: object
    ) -> None:
        self.states: list[ContainerState] = []
        self.command = Command(
            argv=(sys.executable, "-c", script, *arguments), env={"HOME": str(directory)}
        )
        self.problems: list[CannotStart] = []
        self.container = ProcessContainer(
            RealClock(),
            lambda: self.states.append(self.container.current.state),
            {"name": "main", **spec},
            prepare=self._prepare,
            address="127.0.0.1",
            log_file=directory / "main.log",
            restart_policy=policy,
            restarts=0,
            speed=100,
        )

    async def _prepare(self) -> Command:
        if self.problems:
            raise self.problems.pop()
        return self.command


@asynccontextmanager
async def running(watched: Watched) -> AsyncIterator[None]:
    task = asyncio.create_task(watched.container.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await RealClock().sleep(0.02)


async def test_a_process_that_ends_well_is_done(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "print('fine')")
    await watched.container.run()
    assert isinstance(watched.states[0], Running)
    assert watched.states[-1] == watched.container.current.state
    ended = watched.container.current.state
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.message) == (0, "")
    assert (tmp_path / "main.log").stat().st_mode & 0o777 == 0o600


async def test_a_crash_leaves_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "main.log").write_text("of an earlier attempt\n")
    watched = Watched(tmp_path, "import sys; print('why'); sys.exit(3)")
    await watched.container.run()
    ended = watched.container.current.state
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.message) == (3, "why")


async def test_a_crashing_process_is_started_again_with_pauses(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "import sys; sys.exit(1)", policy="Always")
    async with running(watched):
        await until(lambda: watched.container.current.restarts >= 2)
    waits = [state for state in watched.states if isinstance(state, Waiting)]
    assert {wait.reason for wait in waits} == {"CrashLoopBackOff"}
    assert [wait.message.split()[1] for wait in waits[:2]] == ["10s", "20s"]
    assert watched.container.current.last is not None


async def test_an_unreadable_reference_is_tried_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "pass")
    watched.problems = [CannotStart("CreateContainerConfigError", "no such Secret")]
    await watched.container.run()
    assert watched.states[0] == Waiting(
        reason="CreateContainerConfigError", message="no such Secret"
    )
    assert isinstance(watched.states[-1], Ended)


async def test_a_stopped_process_is_asked_first_and_not_started_again(tmp_path: Path) -> None:
    script = (
        "import signal; signal.signal(15, lambda *_: exit(0)); print(1, flush=True); signal.pause()"
    )
    watched = Watched(tmp_path, script, policy="Always")
    async with running(watched):
        await until((tmp_path / "main.log").exists)
        await until(lambda: (tmp_path / "main.log").read_text() == "1\n")
        await watched.container.stop(60)
        await until(lambda: isinstance(watched.container.current.state, Ended))
    ended = watched.container.current.state
    assert isinstance(ended, Ended)
    assert ended.exit_code == 0


async def test_a_process_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path) -> None:
    script = (
        "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    )
    watched = Watched(tmp_path, script)
    async with running(watched):
        await until((tmp_path / "main.log").exists)
        await until(lambda: (tmp_path / "main.log").read_text() == "1\n")
        await watched.container.stop(0.2)
        await until(lambda: isinstance(watched.container.current.state, Ended))
    ended = watched.container.current.state
    assert isinstance(ended, Ended)
    assert ended.exit_code == 137


async def test_readiness_follows_the_probe(tmp_path: Path, free_port: int) -> None:
    probe = {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 0.1}
    ports = [{"name": "web", "containerPort": free_port}]
    watched = Watched(tmp_path, SERVER, str(free_port), readinessProbe=probe, ports=ports)
    async with running(watched):
        await until(lambda: any(isinstance(s, Running) and s.ready for s in watched.states))
    first = watched.states[0]
    assert isinstance(first, Running)
    assert not first.ready


async def test_a_process_that_fails_its_liveness_probe_is_started_again(
    tmp_path: Path, free_port: int
) -> None:
    probe = {"tcpSocket": {"port": free_port}, "periodSeconds": 0.1, "failureThreshold": 2}
    watched = Watched(
        tmp_path, "import signal; signal.pause()", policy="Always", livenessProbe=probe
    )
    async with running(watched):
        await until(lambda: watched.container.current.restarts >= 1)
    assert watched.container.current.last is not None
    assert watched.container.current.last.exit_code == 143


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/hk3s/hk3s:0.1.0", "ghcr.io/hk3s/hk3s"),
        ("localhost:5000/hk3s", "localhost:5000/hk3s"),
        ("localhost:5000/hk3s:1@sha256:ab", "localhost:5000/hk3s"),
        ("web", "web"),
    ],
)
def test_image_names_lose_tag_and_digest(image: str, name: str) -> None:
    assert image_name(image) == name


def test_references_are_expanded_as_kubernetes_does() -> None:
    assert expand("$(A)-$(B)-$$(A)-$A", {"A": "1"}) == "1-$(B)-$(A)-$A"


def test_only_whole_paths_are_rewritten() -> None:
    mounts = (
        Mount(path="/etc/hk3s/secret", host=Path("/lab/s")),
        Mount(path="/etc/hk3s", host=Path("/lab/e")),
    )
    told = "--a=/etc/hk3s/secret/token,/etc/hk3s/x /etc/hk3s-other /my/etc/hk3s"
    assert rewrite(told, mounts) == "--a=/lab/s/token,/lab/e/x /etc/hk3s-other /my/etc/hk3s"


POD = {
    "metadata": {"uid": "u", "name": "p", "namespace": "n"},
    "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
    "status": {
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        ]
    },
}


def described(**containers: Container) -> dict[str, object]:
    view = View(
        containers=containers,
        phase=pod_life.phase(containers),
        host_ip="10.4.1.1",
        pod_ip="10.42.1.2",
        started=NOW,
    )
    return pod_status.describe(POD, view, NOW)


def ready(status: dict[str, object]) -> str:
    conditions = status["conditions"]
    assert isinstance(conditions, list)
    assert conditions[0]["type"] == "PodScheduled"
    return next(str(one["status"]) for one in conditions if one["type"] == "Ready")


def ended(code: int) -> Container:
    return Container(state=Ended(exit_code=code, since=NOW, until=NOW))


@pytest.mark.parametrize(
    ("first", "second", "phase", "is_ready"),
    [
        (
            Container(state=Running(since=NOW)),
            Container(state=Running(since=NOW)),
            "Running",
            "True",
        ),
        (
            Container(state=Running(since=NOW)),
            Container(state=Running(since=NOW, ready=False)),
            "Running",
            "False",
        ),
        (
            Container(state=Running(since=NOW)),
            Container(state=Waiting(reason="ContainerCreating")),
            "Pending",
            "False",
        ),
        (
            Container(state=Running(since=NOW)),
            Container(state=Waiting(reason="CrashLoopBackOff"), last=ended(1).state),  # type: ignore[arg-type] # it is an end
            "Running",
            "False",
        ),
        (ended(0), Container(state=Running(since=NOW)), "Running", "False"),
        (ended(0), ended(0), "Succeeded", "False"),
        (ended(0), ended(1), "Failed", "False"),
    ],
)
def test_phase_and_readiness(
    first: Container, second: Container, phase: str, is_ready: str
) -> None:
    status = described(a=first, b=second)
    assert status["phase"] == phase
    assert ready(status) == is_ready
