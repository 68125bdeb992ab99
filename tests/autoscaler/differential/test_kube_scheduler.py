"""Plans for random clusters, carried out on a real control plane: kube-scheduler must agree."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from autoscaler.differential.generate import Generator
from autoscaler.differential.lab import Judgement, Scheduler, scheduler

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = range(300)
_AT_ONCE = 6


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scheduler]:
    async with scheduler(tmp_path_factory.mktemp("master")) as running:
        yield running


async def judge_all(judge: Scheduler, seeds: range) -> dict[int, Judgement]:
    cases = {seed: Generator(seed).case() for seed in seeds}
    found: dict[int, Judgement] = {}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(seed: int) -> None:
        async with gate:
            found[seed] = await judge.judge(cases[seed])

    async with asyncio.TaskGroup() as group:
        for seed, case in cases.items():
            if not case.alone:
                group.create_task(one(seed))
    for seed, case in cases.items():
        if case.alone:
            found[seed] = await judge.judge(case)
    return found


@pytest.mark.timeout(1200)
async def test_kube_scheduler_does_what_is_planned_and_refuses_the_rest(judge: Scheduler) -> None:
    found = await judge_all(judge, SEEDS)

    wrong = {seed: str(one) for seed, one in found.items() if one.refused or one.bound}
    assert not wrong
    assert len(found) == len(SEEDS)
    assert sum(one.planned for one in found.values()) > 5 * len(SEEDS)
    assert sum(one.impossible for one in found.values()) > len(SEEDS) // 2


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_it_does_so_in_thousands_of_clusters(judge: Scheduler) -> None:
    found = await judge_all(judge, range(1_000, 4_000))

    assert not {seed: str(one) for seed, one in found.items() if one.refused or one.bound}
