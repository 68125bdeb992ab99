"""Days of everything at once: stock that comes and goes, failing joins, rules, budgets, waves."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.builders import CONFIG, minutes, pod, pool
from autoscaler.simulated import Simulation
from hk3s_autoscaler.model.pod import Pod, Taint
from hk3s_autoscaler.model.relations import PodTerm, Relations, Spread
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, ZONE_LABEL
from hk3s_autoscaler.simulation.trace import Disruptions, Joining, Workload

MINUTE, IDLE, HOUR = minutes(1), minutes(5), timedelta(hours=1)
TYPES = ("cx23", "cx33", "cx43", "cx53")
USED_UP = minutes(50)
CHAOS = Taint(key="chaos", effect="NoExecute")
MOST, MOST_MICRO_EUR = 7, 200_000


def _selector(name: str) -> LabelSelector:
    return LabelSelector(requirements=(Requirement(key="app", operator="In", values=(name,)),))


def _like(name: str, *, cpu: str, memory: str, **changes: object) -> Pod:
    made = pod(name, cpu=cpu, memory=memory)
    return replace(made, labels=(("app", name),), **changes)  # type: ignore[arg-type]


def _related(made: Pod, relations: Relations) -> Pod:
    return replace(made, spec=replace(made.spec, relations=relations))


WEB = _like("web", cpu="500m", memory="700Mi")
API = _related(
    _like("api", cpu="300m", memory="1500Mi"),
    Relations(spread=(Spread(topology_key=ZONE_LABEL, selector=_selector("api"), max_skew=1),)),
)
DB = _related(
    _like("db", cpu="900m", memory="2Gi"),
    Relations(
        anti_affinity=(
            PodTerm(topology_key=HOSTNAME_LABEL, selector=_selector("db"), namespaces=("default",)),
        )
    ),
)
BATCH = _like("batch", cpu="1500m", memory="1Gi", safe_to_evict=False)
KINDS = {"web": (WEB, 30), "api": (API, 8), "db": (DB, 4), "batch": (BATCH, 10)}
BUDGETS = (
    Workload(name="web", pod=WEB, disruptions=Disruptions(max_unavailable=25, percent=True)),
    Workload(name="db", pod=DB, disruptions=Disruptions(max_unavailable=1)),
)


LONG = (pytest.mark.long, pytest.mark.timeout(3600))


def within_limits(simulation: Simulation) -> None:
    assert len(simulation.cluster.servers) <= MOST
    assert simulation.price() <= MOST_MICRO_EUR


def noise(seed: int, hours: int, *, packing: bool) -> Simulation:
    """Each hour something changes: workloads, what can be had, or both."""
    chance = random.Random(seed)  # noqa: S311 - a test's noise
    simulation = Simulation(
        pool(max_nodes=MOST),
        loop=MINUTE,
        idle=IDLE,
        config=replace(CONFIG, max_servers=MOST, max_micro_eur_per_hour=MOST_MICRO_EUR),
        packing=packing,
        workloads=BUDGETS,
        joining=Joining(shortest=minutes(1), longest=minutes(4), failing_percent=5),
        seed=seed,
        watch=within_limits,
    )
    for _ in range(hours):
        for name, (like, most) in KINDS.items():
            if chance.random() < 0.4:
                simulation.demand(chance.randint(0, most), name, like=like)
        for kind in TYPES:
            if chance.random() < 0.1:
                left = chance.choice((0, 0, 1, 3, None, None))
                simulation.stock(left, [kind], announced=chance.random() < 0.5)
        simulation.run(HOUR)
    return simulation


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize(
    ("seed", "hours"),
    [(1, 12), *(pytest.param(seed, 24 * 7, marks=LONG, id=f"week-{seed}") for seed in (2, 3))],
)
def test_noise_ends_in_peace_and_wastes_little(seed: int, hours: int, *, packing: bool) -> None:
    simulation = noise(seed, hours, packing=packing)
    joined = sum(life.joined for life in simulation.cluster.lives.values())
    moved = simulation.cluster.evictions

    # What is paid for is used: a server is left alone for the hour that it has begun.
    assert all(life >= USED_UP for life in simulation.lifetimes())
    # Demand changes 1.6 times an hour, by up to four servers: more would be flapping.
    assert joined <= hours
    assert moved <= 3 * hours

    # Nothing is refused any more, and nobody changes anything.
    simulation.stock(None, TYPES)
    simulation.run(5 * HOUR)
    assert simulation.running() == len(simulation.cluster.pods)
    settled, moved = simulation.counts.copy(), simulation.cluster.evictions
    simulation.run(3 * HOUR)
    assert (simulation.counts, simulation.cluster.evictions) == (settled, moved)


def test_a_controller_that_taints_every_new_node_does_not_make_servers_be_bought_for_ever() -> None:
    """Karpenter's chaos: there fewer than 35 nodes after five minutes are called good."""

    def taint(simulation: Simulation) -> None:
        cluster = simulation.cluster
        for name, node in cluster.nodes.items():
            if CHAOS not in node.taints:
                cluster.nodes[name] = replace(node, taints=(*node.taints, CHAOS))
        for key in [key for key, found in cluster.pods.items() if found.node]:
            cluster.remove_pod(key)
        simulation.demand(1)

    simulation = Simulation(pool(max_nodes=50), watch=taint)
    simulation.demand(1)

    simulation.run(minutes(5))
    assert len(simulation.cluster.servers) <= 3
    simulation.run(3 * HOUR)
    assert simulation.most_servers <= 4
    assert len(simulation.cluster.lives) <= 12
    assert min(simulation.lifetimes()) >= USED_UP
