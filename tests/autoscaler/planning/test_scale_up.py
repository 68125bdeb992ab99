"""What is bought, where, and for whom."""

from collections import Counter
from dataclasses import replace

import pytest

from autoscaler.builders import (
    CONFIG,
    CX23,
    CX33,
    CX43,
    NOW,
    elsewhere,
    minutes,
    node,
    offering,
    ordered,
    pod,
    pool,
    seconds,
    server,
    snapshot,
    tainted,
    tolerating,
)
from autoscaler.planning.purchases import bought, creates, reason_of
from hk3s_autoscaler.model.nodepool import TypeFilter
from hk3s_autoscaler.model.offering import OfferingBlock
from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.relations import PodTerm, Relations
from hk3s_autoscaler.model.selectors import LabelSelector
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL

EVERYTHING = LabelSelector()


def test_a_pending_pod_buys_the_cheapest_server_that_holds_it() -> None:
    assert bought(snapshot(pods=[pod(cpu="1")])) == ["cx23/fsn1"]
    assert bought(snapshot(pods=[pod(cpu="3")])) == ["cx33/fsn1"]


def test_the_purchase_names_its_pods_price_and_reason() -> None:
    (create,) = creates(snapshot(pods=[pod("a", cpu="1"), pod("b", cpu="900m")]))

    assert create.pods == (PodKey("default", "a"), PodKey("default", "b"))
    assert create.micro_eur_per_hour == CX23.micro_eur_per_hour
    assert create.pool == "workers"
    assert create.reason.code is Code.PENDING_PODS
    assert create.reason.message == "for default/a, default/b"


def test_a_few_large_servers_are_bought_where_they_cost_less_than_many_small_ones() -> None:
    pods = [pod(cpu="950m", memory="1Gi") for _ in range(8)]

    assert bought(snapshot(pods=pods)) == ["cx43/fsn1"]


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(replace(pod("p"), gated=True), id="gated"),
        pytest.param(pod("p", owner="DaemonSet"), id="daemon"),
        pytest.param(pod("p", priority=-11), id="expendable"),
        pytest.param(replace(pod("p"), nominated_node="n"), id="nominated"),
        pytest.param(replace(pod("p"), deleted_at=NOW), id="deleted"),
        pytest.param(replace(pod("p"), unschedulable_since=None), id="not judged yet"),
        pytest.param(pod("p", node="n"), id="running"),
    ],
)
def test_a_pod_that_needs_no_new_server_buys_none(quiet: Pod) -> None:
    assert plan(snapshot(pods=[quiet]), CONFIG, NOW).actions == ()


def test_the_cutoff_of_expendable_pods_is_exclusive() -> None:
    assert bought(snapshot(pods=[pod(priority=-10)])) == ["cx23/fsn1"]


def test_a_pod_whose_rules_cannot_be_judged_is_reported() -> None:
    world = snapshot(pods=[pod("p", unsupported=("podAntiAffinity",))])

    (report,) = plan(world, CONFIG, NOW).pods

    assert report.reason.code is Code.UNSUPPORTED_CONSTRAINT
    assert "podAntiAffinity" in report.reason.message
    assert creates(world) == []


def test_a_tainted_pool_serves_only_those_who_tolerate_it() -> None:
    batch = pool("batch", taints=(tainted(),))
    tolerant = pod(tolerations=(tolerating(tainted()),))
    world = snapshot(pools=[batch], pods=[tolerant, pod("p")])

    (create,) = creates(world)

    assert create.pods == (tolerant.key,)
    assert reason_of(world) is Code.NO_POOL_MATCHES


def test_the_heaviest_pool_is_used_even_if_another_is_cheaper() -> None:
    dear = pool("dear", weight=10, types=TypeFilter(names=("cx33",)))
    cheap = pool("cheap", types=TypeFilter(names=("cx23",)))

    assert bought(snapshot(pools=[cheap, dear], pods=[pod()])) == ["cx33/fsn1"]


def test_the_next_tier_serves_what_the_first_cannot() -> None:
    first = pool("first", weight=10, max_nodes=1, types=TypeFilter(names=("cx23",)))
    pods = [pod(cpu="1900m") for _ in range(2)]

    assert bought(snapshot(pools=[first, pool("second")], pods=pods)) == ["cx23/fsn1", "cx23/fsn1"]


def test_what_is_published_as_sold_out_is_bought_only_when_nothing_else_will_do() -> None:
    gone = replace(CX23, published_available=False)

    assert bought(snapshot(offerings=[gone, CX33], pods=[pod()])) == ["cx33/fsn1"]
    assert bought(snapshot(offerings=[gone], pods=[pod()])) == ["cx23/fsn1"]


def test_a_blocked_offering_is_left_alone_until_its_time() -> None:
    block = OfferingBlock(key=CX23.key, reason="resource_unavailable", until=NOW + minutes(5))
    world = snapshot(pools=[pool(blocks=(block,))], pods=[pod()])

    assert bought(world) == ["cx33/fsn1"]
    assert bought(world, NOW + minutes(5)) == ["cx23/fsn1"]


def test_a_withdrawn_offering_is_never_bought() -> None:
    withdrawn = offering(unavailable_after=NOW)

    assert bought(snapshot(offerings=[withdrawn], pods=[pod()])) == []
    assert bought(snapshot(offerings=[withdrawn], pods=[pod()]), NOW - seconds(1)) == ["cx23/fsn1"]


def test_equal_offerings_are_spread_over_locations() -> None:
    world = snapshot(
        offerings=[CX23, elsewhere(CX23, "nbg1"), elsewhere(CX23, "hel1")],
        pods=[pod(cpu="1900m") for _ in range(6)],
    )

    assert Counter(create.offering.location for create in creates(world)) == {
        "fsn1": 2,
        "nbg1": 2,
        "hel1": 2,
    }


def test_a_pod_that_names_a_location_gets_a_server_there() -> None:
    there = pod(node_selector={"topology.kubernetes.io/zone": "nbg1"})

    world = snapshot(offerings=[CX23, elsewhere(CX33, "nbg1")], pods=[there])

    assert bought(world) == ["cx33/nbg1"]


def test_fallbacks_hold_the_same_pods_in_price_order() -> None:
    sold_out = elsewhere(replace(CX23, published_available=False), "hel1")
    world = snapshot(
        offerings=[CX43, CX33, CX23, elsewhere(CX23, "nbg1"), sold_out], pods=[pod(cpu="1900m")]
    )

    (create,) = creates(world)

    assert str(create.offering) == "cx23/fsn1"
    assert [str(key) for key in create.fallbacks] == [
        "cx23/nbg1",
        "cx33/fsn1",
        "cx23/hel1",
    ]


def test_nothing_much_dearer_is_a_fallback_but_the_next_plan_buys_it() -> None:
    """It may find several small servers for less, and buys the dear one when it does not."""
    alone = pod(cpu="1900m")
    (create,) = creates(snapshot(offerings=[CX43, CX23], pods=[alone]))
    assert (create.offering, create.fallbacks) == (CX23.key, ())

    block = OfferingBlock(key=CX23.key, reason="resource_unavailable", until=NOW + minutes(5))
    world = snapshot(offerings=[CX43, CX23], pods=[alone], pools=[pool(blocks=(block,))])

    assert bought(world) == ["cx43/fsn1"]


def test_a_fallback_too_small_for_the_pods_is_none() -> None:
    (create,) = creates(snapshot(pods=[pod(cpu="3")]))

    assert CX23.key not in create.fallbacks


def test_two_pods_of_one_host_port_get_two_servers() -> None:
    pods = [pod(cpu="100m", host_ports=(("0.0.0.0", "TCP", 80),)) for _ in range(2)]  # noqa: S104

    assert bought(snapshot(pods=pods)) == ["cx23/fsn1", "cx23/fsn1"]


def test_a_pool_is_filled_up_to_its_minimum() -> None:
    machine = server()
    world = snapshot(pools=[pool(min_nodes=3)], servers=[machine], nodes=[node(machine)])

    found = creates(world)

    assert [create.reason.code for create in found] == [Code.MIN_NODES, Code.MIN_NODES]
    assert [str(create.offering) for create in found] == ["cx23/fsn1", "cx23/fsn1"]


def test_servers_bought_for_pods_count_towards_the_minimum() -> None:
    assert len(creates(snapshot(pools=[pool(min_nodes=1)], pods=[pod()]))) == 1


def test_nothing_is_bought_while_paused_or_blind() -> None:
    world = snapshot(pods=[pod("p")])

    paused = plan(world, replace(CONFIG, paused=True), NOW)
    blind = replace(world, healthy_since=None)

    assert paused.actions == ()
    assert [report.reason.code for report in paused.pods] == [Code.PAUSED]
    assert creates(blind) == []
    assert reason_of(blind) is Code.FROZEN


def test_the_next_loop_buys_nothing_again() -> None:
    pods = [pod(cpu="300m", memory="700Mi") for _ in range(23)]
    world = snapshot(pods=pods)

    coming = [ordered(create, f"s{n}") for n, create in enumerate(creates(world))]
    forgotten = [replace(machine, bought_for=()) for machine in coming]

    assert creates(replace(world, servers=tuple(coming))) == []
    assert creates(replace(world, servers=tuple(forgotten))) == []


def test_every_pending_pod_is_reported_once() -> None:
    pods = [pod(cpu="1") for _ in range(5)] + [pod(cpu="99"), pod(memory="999Gi")]

    reports = plan(snapshot(pods=pods), CONFIG, NOW).pods

    assert Counter(report.pod for report in reports) == Counter(p.key for p in pods)


def test_a_pool_reports_what_it_will_have() -> None:
    (report,) = plan(snapshot(pods=[pod()]), CONFIG, NOW).pools

    assert (report.servers, report.ready) == (1, 0)
    assert report.micro_eur_per_hour == CX23.micro_eur_per_hour
    assert report.blocked == ()


def test_a_host_port_beside_pods_with_rules_is_judged_by_the_port_alone() -> None:
    made = server()
    term = PodTerm(topology_key=HOSTNAME_LABEL, selector=EVERYTHING, namespaces=("other",))
    shy = pod("shy")
    shy = replace(shy, spec=replace(shy.spec, relations=Relations(anti_affinity=(term,))))
    waiting = pod("p", host_ports=(("0.0.0.0", "TCP", 80),))  # noqa: S104 - compared, never bound
    world = snapshot(pods=[shy, waiting], servers=[made], nodes=[node(made)])

    assert reason_of(world) is Code.WAITING_FOR_SCHEDULER
