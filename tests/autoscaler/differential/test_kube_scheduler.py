"""Plans for random clusters, carried out on a real control plane: kube-scheduler must agree."""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from autoscaler.differential import kinds
from autoscaler.differential.case import Case
from autoscaler.differential.generate import Generator
from autoscaler.differential.lab import Judgement, Scheduler, answer, judge_all, key_of, scheduler
from autoscaler.differential.mutations import MUTATIONS, Blindness, blinded
from hk3s_autoscaler.model.pod import PodKey

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = range(300)
_KINDS = 62
_AT_ONCE = 6
_SHORT = 4.0
_TRIES = 12
QUICK = (
    "init containers",
    "host ports",
    "taints",
    "node affinity",
    "pod affinity",
    "pod anti-affinity",
    "anti-affinity of running pods",
    "topology spread",
    "volumes a node takes",
    "locations of volumes",
    "disks of nodes",
    "DaemonSets",
)
DISPUTED = {
    2192: "the first pod of a claim for one pod has its other volume where nothing is sold",
    2413: "a claim keeps a large volume though a small one in the same place is free",
    3108: "the first pod of a claim for one pod finds no free volume for its other claim",
    3411: "the same, and its other claim competes with those of its likes",
    3614: "three pods share a volume on a node that attaches few",
    3835: "a shared volume is made on a node that says no location",
    3836: "a shared volume and free ones, of which some are where the pods cannot go",
    3975: "two pods share a volume on a node, and each has one of its own",
}
"""Clusters of which plan and kube-scheduler once thought differently, and why."""
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

    assert not objections(cases, found), "\n".join(objections(cases, found))
    rows = tally(cases, found)
    print(table(rows))  # noqa: T201 - shown with -s, and when it fails
    assert len(rows) == _KINDS
    assert not [row.kind for row in rows if row.clusters < len(SEEDS) // 100]
    assert {row.kind for row in rows if not row.served} == _NEVER_SERVED
    assert not [row.kind for row in rows if not row.impossible]
    assert sum(len(one.planned) for one in found) > 4 * len(SEEDS)
    assert sum(len(one.impossible) for one in found) > 3 * len(SEEDS)


async def test_disputes_of_old_stay_settled(judge: Scheduler) -> None:
    cases = [Generator(seed).case() for seed in DISPUTED]

    found = await judge_all(judge, cases)

    assert not objections(cases, found), "\n".join(objections(cases, found))
    assert all(one.planned for one in found)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(QUICK, id="a dozen"),
        pytest.param(MUTATIONS.keys() - set(QUICK), id="the others", marks=pytest.mark.long),
    ],
)
async def test_kube_scheduler_objects_when_the_planner_overlooks_a_rule(
    judge: Scheduler, names: Iterable[str]
) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def first_caught(number: int, how: Blindness) -> int:
        """The seed of the cluster that gave it away, -1 if none of a few did."""
        tried = 0
        for seed in range(2 * len(SEEDS)):
            if not await asyncio.to_thread(_matters, seed, how):
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
            if name in names
        }

    assert [name for name, task in caught.items() if task.result() < 0] == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1_000, 4_000, 300))
async def test_it_does_so_in_thousands_of_clusters(first: int, tmp_path: Path) -> None:
    cases = [Generator(seed).case() for seed in range(first, first + 300)]

    async with scheduler(tmp_path) as fresh:
        found = await judge_all(fresh, cases)

    assert not objections(cases, found), "\n".join(objections(cases, found))


@functools.cache
def _plain(seed: int) -> Mapping[PodKey, str]:
    return answer(Generator(seed).case()).targets


def _matters(seed: int, how: Blindness) -> bool:
    """Whether another plan is made if something is overlooked."""
    case = Generator(seed).case()
    return answer(case, blinded(case, how)).targets != _plain(seed)


def objections(cases: Sequence[Case], found: Sequence[Judgement]) -> list[str]:
    pairs = zip(cases, found, strict=True)
    return [f"{case.name}: {one.wrong}" for case, one in pairs if one.wrong]


class Row(NamedTuple):
    """How many clusters have a kind of constraint, and how many of its pods are (not) served."""

    kind: str
    clusters: int
    served: int
    impossible: int


def tally(cases: Sequence[Case], found: Sequence[Judgement]) -> list[Row]:
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
    return [Row(k, n, served[k], impossible[k]) for k, n in sorted(clusters.items())]


def table(rows: Iterable[Row]) -> str:
    lines = (f"{r.kind:36} {r.clusters:8} {r.served:6} {r.impossible:10}" for r in rows)
    return "\n".join((f"{'constraint':36} clusters served impossible", *lines))
