"""Preferred rules steer what is bought, and never keep a pod waiting."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from autoscaler.builders import (
    CONFIG,
    CX,
    CX23,
    CX33,
    NOW,
    elsewhere,
    node,
    pod,
    pool,
    server,
    snapshot,
    tolerating,
)
from hk3s_autoscaler.model.nodepool import PoolLimits
from hk3s_autoscaler.model.pod import Pod, Taint
from hk3s_autoscaler.model.relations import PodTerm, Preferences, Spread
from hk3s_autoscaler.model.selectors import LabelSelector, NodeTerm, Requirement
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.scheduling.place import (
    HOSTNAME_LABEL,
    INSTANCE_TYPE_LABEL,
    POOL_LABEL,
    ZONE_LABEL,
)

NUREMBERG = tuple(elsewhere(sold, "nbg1") for sold in CX)
EVERYWHERE = (*CX, *NUREMBERG)
WEB = LabelSelector(requirements=(Requirement(key="app", operator="In", values=("web",)),))
SHUNNED = Taint(key="spot", value="yes", effect="PreferNoSchedule")


def creates(world: Snapshot) -> list[CreateServer]:
    return [a for a in plan(world, CONFIG, NOW).actions if isinstance(a, CreateServer)]


def bought(world: Snapshot) -> list[str]:
    return sorted(str(create.offering) for create in creates(world))


def node_wish(key: str, value: str, weight: int = 1) -> tuple[int, NodeTerm]:
    asked = Requirement(key=key, operator="In", values=(value,))
    return weight, NodeTerm(expressions=(asked,))


def near_web(key: str, weight: int) -> tuple[int, PodTerm]:
    return weight, PodTerm(topology_key=key, selector=WEB, namespaces=("default",))


def wishing(made: Pod, wished: Preferences) -> Pod:
    return replace(made, spec=replace(made.spec, preferences=wished), labels=(("app", "web"),))


def served(world: Snapshot) -> int:
    return sum(len(create.pods) for create in creates(world))


def test_a_preferred_zone_is_bought_in() -> None:
    for zone in ("fsn1", "nbg1"):
        wish = Preferences(nodes=(node_wish(ZONE_LABEL, zone),))
        world = snapshot(pods=[wishing(pod(), wish)], offerings=EVERYWHERE)

        assert bought(world) == [f"cx23/{zone}"]


def test_a_preferred_type_is_bought_though_another_is_cheaper() -> None:
    wish = Preferences(nodes=(node_wish(INSTANCE_TYPE_LABEL, "cx33"),))

    assert bought(snapshot(pods=[wishing(pod(), wish)])) == ["cx33/fsn1"]


def test_the_heaviest_wish_about_nodes_goes_first() -> None:
    light = node_wish(INSTANCE_TYPE_LABEL, "cx33", 10)
    heavy = node_wish(INSTANCE_TYPE_LABEL, "cx43", 90)
    for nodes in ((light, heavy), (heavy, light)):
        world = snapshot(pods=[wishing(pod(), Preferences(nodes=nodes))])

        assert bought(world) == ["cx43/fsn1"]


def test_a_wish_that_nothing_on_sale_meets_gives_way_to_the_next() -> None:
    absent = node_wish(INSTANCE_TYPE_LABEL, "ccx63", 90)
    next_best = node_wish(INSTANCE_TYPE_LABEL, "cx33", 10)

    assert bought(snapshot(pods=[wishing(pod(), Preferences(nodes=(absent,)))])) == ["cx23/fsn1"]
    both = Preferences(nodes=(absent, next_best))
    assert bought(snapshot(pods=[wishing(pod(), both)])) == ["cx33/fsn1"]


def test_a_wish_that_a_limit_forbids_blocks_nobody() -> None:
    wish = Preferences(nodes=(node_wish(INSTANCE_TYPE_LABEL, "cx33"),))
    tight = PoolLimits(micro_eur_per_hour=CX23.micro_eur_per_hour)
    world = snapshot(pods=[wishing(pod(), wish)], pools=[pool(limits=tight)])

    assert bought(world) == ["cx23/fsn1"]


def test_a_wish_decides_before_the_weight_of_pools() -> None:
    pools = [pool("first", weight=90), pool("second")]
    wish = Preferences(nodes=(node_wish(POOL_LABEL, "second"),))

    (create,) = creates(snapshot(pods=[wishing(pod(), wish)], pools=pools))

    assert create.pool == "second"


def test_room_that_is_there_is_used_whatever_is_wished() -> None:
    made = server()
    wish = Preferences(nodes=(node_wish(INSTANCE_TYPE_LABEL, "cx33"),))
    world = snapshot(pods=[wishing(pod(), wish)], servers=[made], nodes=[node(made)])

    assert creates(world) == []


def test_a_pool_that_asks_pods_to_stay_away_is_the_last_resort() -> None:
    shunned, welcoming = pool("cheap", taints=(SHUNNED,), weight=50), pool("plain", max_nodes=1)
    few = snapshot(pods=[pod(cpu="1500m")], pools=[shunned, welcoming])
    many = snapshot(pods=[pod(cpu="15"), pod(cpu="15")], pools=[shunned, welcoming])

    assert [create.pool for create in creates(few)] == ["plain"]
    assert sorted(create.pool for create in creates(many)) == ["cheap", "plain"]


def test_who_tolerates_a_preference_against_pods_does_not_mind_it() -> None:
    shunned, plain = pool("cheap", taints=(SHUNNED,), weight=50), pool("plain")
    tolerant = pod(tolerations=(tolerating(SHUNNED),))

    assert [c.pool for c in creates(snapshot(pods=[tolerant], pools=[shunned, plain]))] == ["cheap"]


def test_the_taint_is_minded_longer_than_a_wish_about_nodes() -> None:
    shunned, plain = pool("cheap", taints=(SHUNNED,)), pool("plain")
    wish = Preferences(nodes=(node_wish(POOL_LABEL, "cheap"),))
    world = snapshot(pods=[wishing(pod(), wish)], pools=[shunned, plain])

    assert [create.pool for create in creates(world)] == ["plain"]


def spread_over(world: Snapshot) -> list[int]:
    """How many pods each server is bought for."""
    return sorted(len(create.pods) for create in creates(world))


def apart(number: int, *, cpu: str = "500m") -> Iterable[Pod]:
    wish = Preferences(pods=(near_web(HOSTNAME_LABEL, -100),))
    return (wishing(pod(f"web-{n}", cpu=cpu, memory="100Mi"), wish) for n in range(number))


def test_pods_that_would_rather_be_apart_are_so_on_servers_that_are_bought_anyway() -> None:
    others = [pod(f"other-{n}", cpu="1200m", memory="100Mi") for n in range(3)]
    world = snapshot(pods=[*apart(3, cpu="300m"), *others], offerings=[CX23])

    webs = Counter(
        sum(key.name.startswith("web") for key in create.pods) for create in creates(world)
    )

    assert webs == {1: 3}


def test_wishing_to_be_apart_does_not_buy_a_server_each() -> None:
    world = snapshot(pods=apart(10, cpu="100m"))

    assert bought(world) == ["cx23/fsn1"]
    assert served(world) == 10


def test_a_spread_that_need_not_be_kept_is_kept_where_it_costs_nothing() -> None:
    rule = Spread(topology_key=HOSTNAME_LABEL, max_skew=1, selector=WEB)
    webs = [
        wishing(pod(f"web-{n}", cpu="300m", memory="100Mi"), Preferences(spread=(rule,)))
        for n in range(3)
    ]
    others = [pod(f"other-{n}", cpu="1200m", memory="100Mi") for n in range(3)]
    world = snapshot(pods=[*webs, *others], offerings=[CX23])

    assert spread_over(world) == [2, 2, 2]
    assert served(world) == 6


def test_a_server_is_bought_where_the_pods_are_that_its_own_would_like_to_be_near() -> None:
    made = server(sold=NUREMBERG[0])
    there = replace(pod("there", node=made.name, cpu="1500m"), labels=(("app", "web"),))
    for weight, zone in ((50, "nbg1"), (-50, "fsn1")):
        wish = Preferences(pods=(near_web(ZONE_LABEL, weight),))
        world = snapshot(
            pods=[there, wishing(pod("new", cpu="1500m"), wish)],
            servers=[made],
            nodes=[node(made)],
            offerings=EVERYWHERE,
        )

        assert bought(world) == [f"cx23/{zone}"]


def test_a_spread_over_zones_that_need_not_be_kept_chooses_the_zone_with_fewest() -> None:
    made = server(sold=CX33)
    running = [
        replace(pod(f"r{n}", node=made.name, cpu="1500m"), labels=(("app", "web"),))
        for n in range(2)
    ]
    rule = Spread(topology_key=ZONE_LABEL, max_skew=1, selector=WEB)
    new = wishing(pod("new", cpu="1500m"), Preferences(spread=(rule,)))
    world = snapshot(
        pods=[*running, new],
        servers=[made],
        nodes=[node(made, sold=CX33)],
        offerings=EVERYWHERE,
    )

    assert bought(world) == ["cx23/nbg1"]


def test_no_wish_keeps_a_pod_waiting() -> None:
    nowhere = Preferences(
        nodes=(node_wish(ZONE_LABEL, "moon", 100),),
        pods=(near_web(ZONE_LABEL, 100), near_web(HOSTNAME_LABEL, -100)),
        spread=(Spread(topology_key="rack", max_skew=1, selector=WEB),),
    )
    waiting = [wishing(pod(f"p{n}", cpu="1"), nowhere) for n in range(20)]

    assert served(snapshot(pods=waiting, pools=[pool(taints=(SHUNNED,))])) == 20
