"""Ends of a control plane: planned, by a power cut, by the death of its parent, by a fault."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hk3s_lab.clock import RealClock
from hk3s_lab.kubernetes.controlplane import ControlPlane
from hk3s_lab.kubernetes.errors import ProcessFailed, StillRunning
from hk3s_lab.kubernetes.leftovers import identity
from hk3s_lab.kubernetes.spec import ControlPlaneSpec
from lab.kubernetes import clusters
from lab.kubernetes.agents import Cluster

NAMESPACES = "/api/v1/namespaces"

PARENT = """
import asyncio, sys
from pathlib import Path
from lab.kubernetes import clusters
from hk3s_lab.kubernetes.controlplane import ControlPlane

async def main():
    spec = clusters.spec(Path(sys.argv[1]), int(sys.argv[2]), clusters.cluster_cas())
    plane = ControlPlane(spec, binary=Path(sys.argv[3]))
    await plane.start()
    print("pids", *plane.pids.values(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def spec(tmp_path: Path, network: int) -> ControlPlaneSpec:
    return clusters.spec(tmp_path, network, clusters.cluster_cas())


async def until_gone(pids: list[int]) -> None:
    clock = RealClock()
    deadline = clock.monotonic() + 60
    while alive := [pid for pid in pids if identity(pid) is not None]:
        assert clock.monotonic() < deadline, f"still there: {alive}"
        await clock.sleep(0.05)


async def test_a_stop_leaves_no_process_and_a_start_brings_the_objects_back(
    spec: ControlPlaneSpec, binary: Path
) -> None:
    plane = ControlPlane(spec, binary=binary)
    await plane.start()
    pids = list(plane.pids.values())
    async with Cluster(spec, plane) as cluster:
        await cluster.admin("POST", NAMESPACES, {"metadata": {"name": "kept"}})

    await plane.stop()

    assert plane.pids == {}
    await until_gone(pids)
    await plane.start()
    try:
        async with Cluster(spec, plane) as cluster:
            answer = await cluster.admin("GET", f"{NAMESPACES}/kept")
    finally:
        await plane.kill()
    assert answer.status == 200


async def test_a_killed_parent_leaves_no_process(
    tmp_path: Path, network: int, binary: Path
) -> None:
    argv = (sys.executable, "-c", PARENT, str(tmp_path), str(network), str(binary))
    tests = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tests)}
    )
    assert parent.stdout is not None
    pids: list[int] = []
    async for line in parent.stdout:
        if line.startswith(b"pids "):
            pids = [int(one) for one in line.split()[1:]]
            break
    assert len(pids) == 4

    parent.send_signal(signal.SIGKILL)
    await parent.communicate()

    await until_gone(pids)


async def test_a_program_that_refuses_its_arguments_is_named_with_its_last_words(
    spec: ControlPlaneSpec, binary: Path
) -> None:
    plane = ControlPlane(replace(spec, apiserver_args=("no-such-flag=1",)), binary=binary)

    with pytest.raises(ProcessFailed, match=r"(?s)apiserver ended with status 1.*no-such-flag"):
        await plane.start()

    assert plane.pids == {}


async def test_a_scheduler_with_a_bad_profile_fails_the_start(
    spec: ControlPlaneSpec, binary: Path
) -> None:
    bad = clusters.MOST_ALLOCATED.replace("MostAllocated", "MostlyAllocated")
    plane = ControlPlane(replace(spec, scheduler_config=bad), binary=binary)

    with pytest.raises(ProcessFailed, match=r"(?s)scheduler ended.*MostlyAllocated"):
        await plane.start()

    assert plane.pids == {}


async def test_a_directory_in_use_is_left_alone_and_a_death_is_noticed(
    spec: ControlPlaneSpec, binary: Path
) -> None:
    plane = ControlPlane(spec, binary=binary)
    await plane.start()
    try:
        with pytest.raises(StillRunning):
            await ControlPlane(spec, binary=binary).start()
        os.kill(plane.pids["scheduler"], signal.SIGKILL)
        with pytest.raises(ProcessFailed, match="scheduler ended unexpectedly with status -9"):
            await plane.watch()
    finally:
        await plane.kill()
