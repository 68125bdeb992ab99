"""Short traces for tests: a workload or two on the shared types of two locations."""

import random
from datetime import timedelta
from typing import Any

from autoscaler.builders import CONFIG, CX, NOW, elsewhere, pod, pool
from hk3s_autoscaler.simulation.result import Result
from hk3s_autoscaler.simulation.run import simulate
from hk3s_autoscaler.simulation.trace import Level, Market, Trace, Workload

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MARKET = Market(
    pools=(pool(max_nodes=30),),
    offerings=(*CX, *(elsewhere(sold, "nbg1") for sold in CX)),
    config=CONFIG,
)


def web(*levels: tuple[timedelta, int], cpu: str = "700m", memory: str = "900Mi") -> Workload:
    return Workload(
        name="web",
        pod=pod("web", cpu=cpu, memory=memory),
        levels=tuple(Level(at=at, count=count) for at, count in levels),
    )


def trace(*workloads: Workload, hours: float = 2, **changes: Any) -> Trace:  # noqa: ANN401 - the facts themselves check it
    made = {"start": NOW, "interval": 5 * MINUTE, "duration": hours * HOUR, **changes}
    return Trace(workloads=workloads, **made)


def play(story: Trace, market: Market = MARKET, seed: int = 0) -> Result:
    return simulate(story, market, random.Random(seed))  # noqa: S311 - a test's chance
