"""Plans for random clusters, carried out on a real control plane: kube-scheduler must agree."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from autoscaler.differential import kinds
from autoscaler.differential.case import Case
from autoscaler.differential.generate import Generator
from autoscaler.differential.lab import Judgement, Scheduler, answer, judge_all, key_of, scheduler
from autoscaler.differential.mutations import MUTATIONS, Blindness, blinded

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = range(300)
_AT_ONCE = 6
_SHORT = 4.0
_TRIES = 12
_NEVER_SERVED = {
    "scheduling gate",
    "claim that is not there",
    "claim that lost its volume",
    "unbound claim, class immediate",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scheduler]:
    async with scheduler(tmp_path_factory.mktemp("master")) as running:
        yield running


@pytest.mark.timeout(1200)
async def test_kube_scheduler_does_what_is_planned_and_refuses_the_rest(judge: Scheduler) -> None:
    cases = [Generator(seed).case() for seed in SEEDS]

    found = await judge_all(judge, cases)

    assert not {c.name: one.wrong for c, one in zip(cases, found, strict=True) if one.wrong}
    assert sum(len(one.planned) for one in found) > 4 * len(SEEDS)
    assert sum(len(one.impossible) for one in found) > 3 * len(SEEDS)
    print(table(cases, found))  # noqa: T201 - shown with -s, and when it fails


@pytest.mark.timeout(1200)
async def test_kube_scheduler_objects_when_the_planner_overlooks_a_rule(judge: Scheduler) -> None:
    plain = {seed: answer(Generator(seed).case()).targets for seed in SEEDS}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def first_caught(number: int, how: Blindness) -> int:
        """The seed of the cluster that gave it away, -1 if none did."""
        tried = 0
        for seed in SEEDS:
            known = Generator(seed).case()
            if answer(known, blinded(known, how)).targets == plain[seed]:
                continue
            case = Generator(seed, f"m{number}x{seed}").case()
            async with gate:
                found = await judge.judge(case, seen=blinded(case, how), seconds=_SHORT)
            tried += 1
            if found.wrong:
                return seed
            if tried == _TRIES:
                break
        return -1

    async with asyncio.TaskGroup() as group:
        caught = {
            name: group.create_task(first_caught(number, how))
            for number, (name, how) in enumerate(MUTATIONS.items())
        }

    assert [name for name, task in caught.items() if task.result() < 0] == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1_000, 4_000, 300))
async def test_it_does_so_in_thousands_of_clusters(first: int, tmp_path: Path) -> None:
    cases = [Generator(seed).case() for seed in range(first, first + 300)]

    async with scheduler(tmp_path) as fresh:
        found = await judge_all(fresh, cases)

    assert not {c.name: one.wrong for c, one in zip(cases, found, strict=True) if one.wrong}


def table(cases: Sequence[Case], found: Sequence[Judgement]) -> str:
    """How many clusters have each kind of constraint, and how many such pods are (not) served."""
    clusters, served, impossible = Counter[str](), Counter[str](), Counter[str]()
    for case, one in zip(cases, found, strict=True):
        planned, refused = set(one.planned), set(one.impossible)
        seen: set[str] = set()
        for pod in case.pending:
            of_pod = kinds.of_pod(case, pod)
            seen |= of_pod
            served.update(of_pod if key_of(pod) in planned else ())
            impossible.update(of_pod if key_of(pod) in refused else ())
        clusters.update(seen)
    rows = (
        f"{kind:36} {number:5} {served[kind]:6} {impossible[kind]:6}"
        for kind, number in sorted(clusters.items())
    )
    return "\n".join(("constraint                        clusters served impossible", *rows))
