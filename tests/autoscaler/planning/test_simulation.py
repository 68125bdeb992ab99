"""Many loops against a world that obeys: it converges, and does not flap."""

import pytest

from autoscaler.builders import pool, seconds
from autoscaler.simulated import Simulation
from hk3s_autoscaler.model.nodepool import Budget, Disruption, NodePool
from hk3s_autoscaler.planning.lifecycle import MOVES


def quick(*, min_nodes: int = 0, max_nodes: int = 50) -> NodePool:
    disruption = Disruption(
        consolidate_after=seconds(30), keep_until_hour_end=False, budgets=(Budget(number=3),)
    )
    return pool(disruption=disruption, min_nodes=min_nodes, max_nodes=max_nodes)


def test_all_pods_run_then_all_nodes_go() -> None:
    simulation = Simulation(quick())

    simulation.demand(60)
    simulation.run(seconds(300))
    servers = len(simulation.cluster.servers)
    assert simulation.running() == 60
    assert simulation.counts["CreateServer"] == servers

    simulation.demand(0)
    simulation.run(seconds(600))
    assert simulation.cluster.servers == {}
    assert simulation.cluster.nodes == {}
    assert simulation.counts["DeleteServer"] == servers
    assert simulation.moves <= {(a, b) for a, after in MOVES.items() for b in after}


def test_a_steady_world_is_left_alone() -> None:
    simulation = Simulation(quick())
    simulation.demand(40)
    simulation.run(seconds(600))
    settled = simulation.counts.copy()

    simulation.run(seconds(3600))

    assert simulation.counts == settled


@pytest.mark.parametrize("keep_hour", [True, False])
def test_a_load_that_comes_and_goes_does_not_buy_and_delete_each_time(*, keep_hour: bool) -> None:
    """Five minutes on, five off: less than `consolidateAfter`, so the servers stay."""
    workers = pool(
        disruption=Disruption(consolidate_after=seconds(600), keep_until_hour_end=keep_hour)
    )
    simulation = Simulation(workers)

    for _ in range(12):
        simulation.demand(30)
        simulation.run(seconds(300))
        simulation.demand(0)
        simulation.run(seconds(300))

    assert simulation.counts["DeleteServer"] == 0
    assert simulation.counts["CreateServer"] == len(simulation.cluster.servers)


def test_an_idle_server_is_kept_for_the_hour_that_is_paid() -> None:
    simulation = Simulation(pool(disruption=Disruption(consolidate_after=seconds(30))))
    simulation.demand(1)
    simulation.run(seconds(120))
    simulation.demand(0)

    simulation.run(seconds(49 * 60 - 120))
    assert len(simulation.cluster.servers) == 1
    simulation.run(seconds(7 * 60))
    assert simulation.cluster.servers == {}


def test_the_minimum_stays() -> None:
    simulation = Simulation(quick(min_nodes=2))

    simulation.run(seconds(1200))

    assert len(simulation.cluster.nodes) == 2
    assert simulation.counts["CreateServer"] == 2
    assert simulation.counts["DeleteServer"] == 0


def test_waves_above_the_maximum_stay_below_it_and_end_with_nothing_left() -> None:
    simulation = Simulation(quick(max_nodes=6))

    for wave in (45, 10, 200, 0):
        simulation.demand(wave)
        simulation.run(seconds(1800))
        assert len(simulation.cluster.servers) <= 6

    assert simulation.cluster.servers == {}
