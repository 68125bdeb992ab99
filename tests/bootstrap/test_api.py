"""Waiting for the API: long for one that starts, a minute for one that refuses; and the clocks."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootstrap.conftest import Project
from bootstrap.support import FakeClock, Recorder, session
from hk3s_bootstrap import create
from hk3s_bootstrap.cluster import Cluster
from hk3s_bootstrap.failures import BootstrapError
from hk3s_kube.clock import SystemClock
from hk3s_kube.errors import Forbidden, KubeError, Unauthorized, Unreachable

AWAY = Unreachable(0, "ClientConnectorError", "refused")
FOREIGN = Unauthorized(401, "Unauthorized", "Unauthorized")
RIGHTLESS = Forbidden(403, "Forbidden", "namespaces is forbidden")


@dataclass
class Answers:
    """Fails with these errors, one a call; with the last one for ever when `endless`."""

    errors: list[KubeError]
    endless: bool = False
    calls: int = field(default=0)

    async def get(self, _path: str, **_: object) -> Any:  # noqa: ANN401 - JSON
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        if self.endless:
            raise self.errors[-1]
        return {"metadata": {"uid": "the-uid"}}


def cluster(kube: Answers, clock: FakeClock) -> Cluster:
    return Cluster(kube=kube, clock=clock, reporter=Recorder())  # type: ignore[arg-type] # a stand-in


@pytest.mark.parametrize("error", [FOREIGN, RIGHTLESS], ids=["unknown", "without rights"])
async def test_an_api_that_refuses_for_a_minute_ends_the_wait(error: KubeError) -> None:
    clock = FakeClock()

    with pytest.raises(BootstrapError) as caught:
        await cluster(Answers([AWAY] * 30 + [error], endless=True), clock).wait_for_api()

    assert clock.seconds == pytest.approx(90)
    assert caught.value.code == error.reason
    assert ("--state-dir" if error is FOREIGN else "cluster-admin") in caught.value.fix


async def test_an_api_that_refuses_while_it_starts_is_waited_for() -> None:
    starts = [*[AWAY] * 200, *[FOREIGN] * 10, *[RIGHTLESS] * 40, AWAY, *[RIGHTLESS] * 50]

    assert await cluster(Answers(starts), FakeClock()).wait_for_api() == "the-uid"


async def test_an_api_that_never_answers_ends_with_whom_to_ask() -> None:
    clock = FakeClock()

    with pytest.raises(BootstrapError, match="last: refused") as caught:
        await cluster(Answers([AWAY], endless=True), clock).wait_for_api()

    assert clock.seconds == pytest.approx(901)
    assert "status --why master" in caught.value.fix


class SkewedClock(SystemClock):
    """A clock that was set wrong."""

    def __init__(self, skew: timedelta) -> None:
        self.skew = skew

    def now(self) -> datetime:
        return super().now() + self.skew


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, None), (5, "ahead of"), (-5, "behind")],
    ids=["right", "fast", "slow"],
)
async def test_a_clock_that_is_wrong_is_named(
    project: Project, tmp_path: Path, minutes: int, words: str | None
) -> None:
    clock = SkewedClock(timedelta(minutes=minutes))
    user = session(tmp_path, project.hetzner, project.endpoint, clock=clock)

    situation = await create.assess(user, create.Options())

    found = [finding for finding in situation.findings if finding.code == "HK3S-E057"]
    assert [finding.severity for finding in found] == ([] if words is None else ["warning"])
    assert all(words in finding.cause and "NTP" in finding.fix for finding in found if words)
