"""Whole plans over random worlds: never above a limit, and a second look changes nothing."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.builders import (
    CONFIG,
    CX,
    NOW,
    elsewhere,
    ordered,
    pod,
    pool,
    snapshot,
    tainted,
    tolerating,
)
from hk3s_autoscaler.model.nodepool import PoolLimits
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.plan import PlanError, plan
from hk3s_autoscaler.planning.scale_up import Growth
from hk3s_autoscaler.planning.world import World

BATCH = tainted()


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    shapes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["50m", "300m", "1", "2500m", "7", "20"]),
                st.sampled_from(["64Mi", "700Mi", "3Gi", "20Gi"]),
                st.booleans(),
                st.sampled_from([0, 0, 50]),
                st.integers(1, 12),
            ),
            min_size=1,
            max_size=5,
        )
    )
    return [
        pod(
            f"p{shape}-{n}",
            cpu=cpu,
            memory=memory,
            tolerations=(tolerating(BATCH),) if tolerant else (),
            priority=priority,
        )
        for shape, (cpu, memory, tolerant, priority, number) in enumerate(shapes)
        for n in range(number)
    ]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Snapshot, PlanConfig]:
    limits = PoolLimits(
        cpu_milli=draw(st.none() | st.integers(0, 60_000)),
        micro_eur_per_hour=draw(st.none() | st.integers(0, 200_000)),
    )
    found = snapshot(
        pods=draw(pods()),
        pools=[
            pool("web", max_nodes=draw(st.integers(0, 8)), min_nodes=0, limits=limits),
            pool(
                "batch",
                max_nodes=draw(st.integers(0, 8)),
                taints=(BATCH,),
                weight=draw(st.integers(0, 1)),
            ),
        ],
        offerings=[*CX, *(elsewhere(sold, "nbg1") for sold in CX)],
        attachments_used=draw(st.integers(0, 100)),
    )
    config = PlanConfig(
        max_servers=draw(st.integers(0, 12)),
        max_micro_eur_per_hour=draw(st.none() | st.integers(0, 300_000)),
    )
    return found, config


def creates(found: Snapshot, config: PlanConfig) -> list[CreateServer]:
    return [a for a in plan(found, config, NOW).actions if isinstance(a, CreateServer)]


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_no_limit_is_ever_exceeded_whatever_falls_back(
    given_world: tuple[Snapshot, PlanConfig],
) -> None:
    found, config = given_world
    offerings = {sold.key: sold for sold in found.offerings}
    bought = creates(found, config)

    worst = sum(
        max(offerings[key].micro_eur_per_hour for key in (c.offering, *c.fallbacks)) for c in bought
    )
    by_pool = Counter(create.pool for create in bought)
    assert len(bought) <= config.max_servers
    assert len(bought) <= config.max_attachments - found.attachments_used
    assert config.max_micro_eur_per_hour is None or worst <= config.max_micro_eur_per_hour
    for limited in found.pools:
        own = [c for c in bought if c.pool == limited.name]
        cores = sum(
            max(offerings[key].cores for key in (c.offering, *c.fallbacks)) * 1000 for c in own
        )
        assert by_pool[limited.name] <= limited.max_nodes
        assert limited.limits.cpu_milli is None or cores <= limited.limits.cpu_milli


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_every_server_and_fallback_holds_the_pods_planned_on_it(
    given_world: tuple[Snapshot, PlanConfig],
) -> None:
    found, config = given_world
    offerings = {sold.key: sold for sold in found.offerings}
    by_key = {p.key: p for p in found.pods}
    pools = {p.name: p for p in found.pools}

    for create in creates(found, config):
        planned = [by_key[key] for key in create.pods]
        for key in (create.offering, *create.fallbacks):
            room = offerings[key].allocatable
            for running in planned:
                assert running.spec.requests.fits(room)
                room -= running.spec.requests
        if pools[create.pool].taints:
            assert all(p.spec.tolerations for p in planned)


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_the_plan_of_the_world_that_a_plan_makes_buys_nothing(
    given_world: tuple[Snapshot, PlanConfig],
) -> None:
    found, config = given_world
    servers = [ordered(create, f"s{n:03}") for n, create in enumerate(creates(found, config))]

    after = replace(found, servers=tuple(servers))

    assert creates(after, config) == []


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_each_pending_pod_is_reported_exactly_once(
    given_world: tuple[Snapshot, PlanConfig],
) -> None:
    found, config = given_world

    reports = plan(found, config, NOW).pods

    assert Counter(r.pod for r in reports) == Counter(p.key for p in found.pods)
    assert all(report.reason.message for report in reports)


@settings(max_examples=30, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_facts_does_not_matter(
    given_world: tuple[Snapshot, PlanConfig], chance: object
) -> None:
    found, config = given_world
    shuffled = list(found.pods)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert plan(replace(found, pods=tuple(shuffled)), config, NOW) == plan(found, config, NOW)


def test_a_plan_that_would_break_a_limit_is_a_bug_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    growth = Growth(creates=(*creates(snapshot(pods=[pod()]), CONFIG),) * 51)

    def too_much(world: World, doomed: frozenset[str]) -> Growth:
        return growth

    monkeypatch.setattr("hk3s_autoscaler.planning.plan.plan_scale_up", too_much)

    with pytest.raises(PlanError, match=r"takes 51 of 50 left: MaxNodes"):
        plan(snapshot(pods=[pod()]), CONFIG, NOW)
