"""How close purchases come to the bound on the real price list, and how fast."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from autoscaler.builders import CONFIG, NOW, pod, pool, snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.lower_bound import lower_bound
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World

CPUS = ("100m", "250m", "500m", "1", "1500m")
MEMORIES = ("100Mi", "256Mi", "512Mi", "1Gi", "2Gi", "4Gi")
HUGE = replace(CONFIG, max_servers=10_000, max_attachments=10_000)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("pods", "worst"), [(100, 1.07), (500, 1.02)])
def test_a_mixed_workload_costs_little_more_than_the_bound(
    seed: int, pods: int, worst: float
) -> None:
    chance = random.Random(seed)  # noqa: S311 - an example, not a secret
    waiting = [
        pod(f"p{n}", cpu=chance.choice(CPUS), memory=chance.choice(MEMORIES)) for n in range(pods)
    ]
    found = snapshot(pods=waiting, pools=[pool(max_nodes=10_000)])

    creates = [a for a in plan(found, HUGE, NOW).actions if isinstance(a, CreateServer)]

    paid = sum(create.micro_eur_per_hour for create in creates)
    bound = lower_bound(waiting, offers(World(snapshot=found, config=HUGE, now=NOW)), work=50_000)
    assert Counter(k for c in creates for k in c.pods) == Counter(p.key for p in waiting)
    assert bound <= paid <= bound * worst
