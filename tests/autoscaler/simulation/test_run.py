"""Traces played with the real planner: what is paid, who waits, what is bought and given back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.builders import CX23, CX43, pod, pool, spec
from autoscaler.simulation.traces import HOUR, MARKET, MINUTE, play, trace, web
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.model.relations import PodTerm, Relations
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.simulation.disruptions import allowed
from hk3s_autoscaler.simulation.result import Result
from hk3s_autoscaler.simulation.trace import Arrivals, Disruptions, Joining, Level, Stock, Workload

SECOND = timedelta(seconds=1)
JOIN = Joining(shortest=50 * SECOND, longest=50 * SECOND)


def jobs(
    *, pods: int = 1, lifetime: timedelta = 10 * MINUTE, until: timedelta = MINUTE
) -> Workload:
    series = Arrivals(
        start=timedelta(),
        until=until,
        every=MINUTE,
        pods=pods,
        shortest=lifetime,
        longest=lifetime,
    )
    return Workload(name="job", pod=pod("job", cpu="1", memory="1Gi"), arrivals=(series,))


def test_pods_wait_for_the_batch_to_close_and_the_server_to_join() -> None:
    found = play(trace(web((timedelta(), 2)), joining=JOIN))

    assert found.bought == ((CX23.key, 1),)
    # The first look is at once; a node is opened in the look after it registered.
    assert found.waits == (52 * SECOND, 52 * SECOND)
    assert found.unserved == ()


def test_every_begun_hour_is_paid() -> None:
    short, long = (play(trace(web((timedelta(), 2)), hours=h)) for h in (2, 2.1))

    assert short.micro_eur == 2 * CX23.micro_eur_per_hour
    assert long.micro_eur == 3 * CX23.micro_eur_per_hour


def test_the_bound_is_below_what_is_paid_and_counts_only_what_ran() -> None:
    found = play(trace(web((timedelta(), 20), (2 * HOUR, 3)), hours=4))
    nothing = play(trace(web((timedelta(), 0)), hours=1))

    assert 0.5 * found.micro_eur < found.bound_micro_eur < found.micro_eur
    assert (nothing.micro_eur, nothing.bound_micro_eur, nothing.waits) == (0, 0, ())


def test_what_is_not_needed_is_deleted_at_the_end_of_its_hour() -> None:
    found = play(trace(web((timedelta(), 20), (HOUR + 10 * MINUTE, 0)), hours=3))

    assert found.deleted == found.servers_bought > 0
    assert found.churned == 0
    assert found.samples[-1].servers == found.samples[-1].nodes == 0
    assert found.micro_eur == sum(2 * MARKET_PRICES[key] * number for key, number in found.bought)


MARKET_PRICES = {sold.key: sold.micro_eur_per_hour for sold in MARKET.offerings}


def test_a_server_deleted_within_the_hour_is_churn() -> None:
    hasty = pool(disruption=Disruption(consolidate_after=30 * SECOND, keep_until_hour_end=False))
    market = replace(MARKET, pools=(hasty,))
    found = play(trace(web((timedelta(), 2), (20 * MINUTE, 0)), hours=1), market)

    assert (found.deleted, found.churned) == (1, 1)
    assert found.micro_eur == CX23.micro_eur_per_hour


def test_pods_with_a_lifetime_end_by_themselves() -> None:
    found = play(trace(jobs(pods=3), joining=JOIN, hours=1))

    running = [sum(sample.by_workload) for sample in found.samples]
    assert max(running) == 3
    assert running[-1] == 0
    ended = next(s.at for s in found.samples if s.at > MINUTE and not sum(s.by_workload))
    assert ended == 10 * MINUTE + found.waits[-1]


def test_arrivals_come_again_each_repeat() -> None:
    again = replace(jobs(), repeat=2 * HOUR)

    assert len(play(trace(again, hours=5)).waits) == 3


def test_what_is_sold_out_is_replaced_by_what_can_be_had() -> None:
    gone = tuple(
        Stock(at=timedelta(), offering=f"{kind}/*", left=0, announced=announced)
        for kind, announced in (("cx23", False), ("cx33", True))
    )
    found = play(trace(web((timedelta(), 2)), stock=gone))

    assert {key.server_type for key, _ in found.bought} == {CX43.key.server_type}
    assert found.refused >= 2


def test_stock_is_used_up_and_comes_back() -> None:
    little = Stock(at=timedelta(), offering="*/*", left=0)
    more = Stock(at=HOUR, offering="cx23/fsn1", left=1)
    found = play(trace(web((timedelta(), 6)), stock=(little, more), hours=2))

    assert found.bought == ((CX23.key, 1),)
    assert len(found.waits) == 2
    assert found.waits[0] > HOUR
    (left,) = found.unserved
    assert (left.pods, left.reason) == (4, Code.OUT_OF_STOCK)


def test_limits_hold_and_are_named_for_pods_that_wait() -> None:
    market = replace(MARKET, config=replace(MARKET.config, max_servers=1))
    found = play(trace(web((timedelta(), 60))), market)

    assert found.most_servers == 1
    assert {u.reason for u in found.unserved} == {Code.MAX_SERVERS}


def test_servers_that_never_join_are_replaced_after_the_deadline() -> None:
    market = replace(MARKET, pools=(pool(join_timeout=5 * MINUTE),))
    lame = Joining(failing_percent=40)
    found = play(trace(web((timedelta(), 50), cpu="1800m"), joining=lame, hours=2), market, seed=1)

    assert found.failed > 0
    assert found.servers_bought > found.failed + 1
    assert found.unserved == ()


def test_a_pool_whose_servers_never_join_stops_buying() -> None:
    market = replace(MARKET, pools=(pool(join_timeout=5 * MINUTE),))
    lame = Joining(failing_percent=100)
    found = play(trace(web((timedelta(), 2)), joining=lame, hours=0.3), market)

    assert found.failed == found.servers_bought == 2
    assert [u.reason for u in found.unserved] == [Code.POOL_PAUSED]


def test_rules_between_pods_are_kept_by_scheduler_and_planner_alike() -> None:
    selector = LabelSelector(requirements=(Requirement(key="app", operator="In", values=("db",)),))
    term = PodTerm(
        topology_key="kubernetes.io/hostname", selector=selector, namespaces=("default",)
    )
    alone = replace(
        pod("db"),
        labels=(("app", "db"),),
        spec=replace(spec(), relations=Relations(anti_affinity=(term,))),
    )
    database = Workload(name="db", pod=alone, levels=(Level(at=timedelta(), count=4),))
    found = play(trace(database, hours=1))

    assert found.servers_bought == 4
    assert found.samples[-1].by_workload == (4,)


def shop(disruptions: Disruptions | None) -> Result:
    """Ten pods that stay, on servers that they share with twenty that go after 80 minutes."""
    stays = Workload(
        name="shop",
        pod=pod("shop", cpu="700m", memory="900Mi"),
        levels=(Level(at=timedelta(), count=10),),
        disruptions=disruptions,
    )
    rush = web((timedelta(), 20), (80 * MINUTE, 0), cpu="1500m", memory="1Gi")
    return play(trace(stays, rush, hours=12, packing=False))


def test_a_budget_makes_pods_move_one_by_one_at_no_cost() -> None:
    free, bound = shop(None), shop(Disruptions(max_unavailable=1))

    assert free.evictions == bound.evictions > 0
    assert (free.blocked, bound.blocked > 0) == (0, True)
    assert bound.micro_eur == free.micro_eur
    running = [sample.by_workload[0] for sample in bound.samples if sample.at > HOUR]
    assert min(running) >= 9


@pytest.mark.parametrize(
    "disruptions", [Disruptions(max_unavailable=0), Disruptions(min_available=100, percent=True)]
)
def test_a_budget_that_allows_nothing_keeps_servers_and_shows_what_that_costs(
    disruptions: Disruptions,
) -> None:
    found = shop(disruptions)

    assert found.evictions == 0
    assert found.micro_eur > shop(None).micro_eur


@pytest.mark.parametrize(
    ("asked", "pods", "running", "may_go"),
    [
        (Disruptions(max_unavailable=1), 10, 10, 1),
        (Disruptions(max_unavailable=1), 10, 9, 0),
        (Disruptions(max_unavailable=25, percent=True), 10, 10, 3),
        (Disruptions(min_available=8), 10, 10, 2),
        (Disruptions(min_available=8), 10, 7, 0),
        (Disruptions(min_available=75, percent=True), 10, 10, 2),
        (Disruptions(min_available=8), 3, 3, 0),
    ],
)
def test_what_a_budget_allows(asked: Disruptions, pods: int, running: int, may_go: int) -> None:
    assert allowed(asked, pods, running) == may_go


def test_equal_arguments_give_equal_results_and_the_seed_changes_them() -> None:
    story = trace(web((timedelta(), 20)), jobs(pods=2, until=30 * MINUTE), hours=1)

    assert play(story, seed=1) == play(story, seed=1)
    assert play(story, seed=1).waits != play(story, seed=2).waits
