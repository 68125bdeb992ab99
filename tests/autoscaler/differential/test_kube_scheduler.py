"""Plans for random clusters, carried out on a real control plane: kube-scheduler must agree."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from autoscaler.differential import kinds
from autoscaler.differential.generate import Case, Generator
from autoscaler.differential.lab import Judgement, Scheduler, judge_all, key_of, scheduler

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEEDS = range(300)
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
    print(table(cases, found))


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_it_does_so_in_thousands_of_clusters(judge: Scheduler) -> None:
    cases = [Generator(seed).case() for seed in range(1_000, 4_000)]

    found = await judge_all(judge, cases)

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
