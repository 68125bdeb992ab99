"""Giving empty nodes back, step by step, and what keeps them."""

from dataclasses import replace
from datetime import datetime

import pytest

from autoscaler.builders import (
    CONFIG,
    CX23,
    CX43,
    NOW,
    daemon_pod,
    daemonset,
    minutes,
    node,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import Budget, Disruption, NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    DeleteServer,
    DrainNode,
    MarkUnneeded,
    UncordonNode,
)
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

# Minute 55 of the paid hour, so that the hour keeps nobody.
SERVER = server("s", created_at=NOW - minutes(24 * 60 + 55))
IDLE = node(SERVER)
MARKED = replace(IDLE, unneeded_since=NOW - minutes(10))
DRAINING = replace(
    MARKED, unschedulable=True, draining_since=NOW - seconds(20), draining_reason="Empty"
)


def world(
    joined: Node, *pods: Pod, of: Server = SERVER, workers: NodePool | None = None
) -> Snapshot:
    return snapshot(
        servers=[of], nodes=[joined], pods=pods, pools=[pool() if workers is None else workers]
    )


def only(found: Snapshot, now: datetime = NOW) -> Action | None:
    actions = plan(replace(found, servers_read_at=now), CONFIG, now).actions
    assert len(actions) <= 1
    return actions[0] if actions else None


def kept_for(found: Snapshot, now: datetime = NOW) -> Code:
    result = plan(found, CONFIG, now)
    assert result.actions == ()
    (report,) = result.nodes
    return report.reason.code


class TestSteps:
    def test_an_empty_node_is_marked(self) -> None:
        mark = only(world(IDLE))

        assert isinstance(mark, MarkUnneeded)
        assert (mark.node, mark.since) == ("s", NOW)

    def test_pods_of_daemonsets_and_static_pods_do_not_keep_a_node(self) -> None:
        static = replace(pod(node="s"), mirror=True)

        assert isinstance(only(world(IDLE, daemon_pod(daemonset(), "s"), static)), MarkUnneeded)

    def test_a_pod_that_ended_does_not_keep_a_node(self) -> None:
        assert isinstance(
            only(world(IDLE, replace(pod(node="s"), phase="Succeeded"))), MarkUnneeded
        )

    def test_a_node_in_use_is_kept(self) -> None:
        assert kept_for(world(IDLE, pod(node="s"))) is Code.NO_PLACE

    def test_the_mark_is_cleared_when_a_pod_comes(self) -> None:
        unmark = only(world(MARKED, pod(node="s")))

        assert isinstance(unmark, MarkUnneeded)
        assert unmark.since is None
        assert unmark.reason.code is Code.NO_LONGER_UNNEEDED

    def test_a_node_unneeded_for_long_is_cordoned(self) -> None:
        cordon = only(world(MARKED))

        assert isinstance(cordon, CordonNode)
        assert (cordon.node, cordon.reason.code) == ("s", Code.EMPTY)

    def test_a_cordoned_empty_node_gives_its_server_back(self) -> None:
        delete = only(world(DRAINING))

        assert isinstance(delete, DeleteServer)
        assert (delete.server_id, delete.node, delete.pool) == (SERVER.server_id, "s", "workers")
        assert delete.reason.code is Code.EMPTY

    def test_attached_volumes_are_waited_for(self) -> None:
        assert kept_for(world(replace(DRAINING, attached_volumes=1))) is Code.IN_USE

    def test_pods_that_are_ending_are_waited_for(self) -> None:
        ending = replace(pod(node="s"), deleted_at=NOW)

        assert kept_for(world(DRAINING, ending)) is Code.IN_USE

    def test_a_server_that_is_being_deleted_is_not_deleted_again(self) -> None:
        assert only(world(DRAINING, of=replace(SERVER, status="deleting"))) is None

    def test_expendable_pods_are_evicted_first(self) -> None:
        cheap = pod(node="s", priority=-100)

        drain = only(world(DRAINING, cheap))

        assert isinstance(drain, DrainNode)
        assert drain.pods == (cheap.key,)

    def test_a_pod_that_slipped_in_before_the_cordon_takes_the_removal_back(self) -> None:
        uncordon = only(world(DRAINING, pod(node="s")))

        assert isinstance(uncordon, UncordonNode)
        assert uncordon.reason.code is Code.NO_LONGER_UNNEEDED

    def test_a_removal_for_another_reason_evicts_instead(self) -> None:
        running = pod(node="s")

        other = server("other")
        leaving = world(replace(DRAINING, draining_reason="Underutilized"), running)
        leaving = replace(
            leaving,
            servers=(*leaving.servers, other),
            nodes=(*leaving.nodes, node(other)),
            pods=(running, pod(node="other")),
        )

        (drain,) = plan(leaving, CONFIG, NOW).actions

        assert isinstance(drain, DrainNode)
        assert drain.pods == (running.key,)
        assert drain.reason.code is Code.UNDERUTILIZED

    def test_a_pending_pod_that_fits_takes_the_removal_back(self) -> None:
        uncordon = only(world(DRAINING, pod()))

        assert isinstance(uncordon, UncordonNode)

    def test_a_pending_pod_that_does_not_fit_leaves_it(self) -> None:
        kinds = {type(a) for a in plan(world(DRAINING, pod(cpu="3")), CONFIG, NOW).actions}

        assert DeleteServer in kinds
        assert UncordonNode not in kinds


class TestWhatKeepsANode:
    def test_pending_pods_that_fit_on_it(self) -> None:
        assert kept_for(world(IDLE, pod())) is Code.NEEDED_BY_PENDING

    def test_the_pools_pause_after_use(self) -> None:
        assert kept_for(world(MARKED), NOW - seconds(1)) is Code.RECENTLY_BUSY

    def test_the_policy_never(self) -> None:
        never = pool(disruption=Disruption(policy="Never"))

        assert kept_for(world(MARKED, workers=never)) is Code.DISRUPTION_NEVER

    def test_the_minimum_of_the_pool(self) -> None:
        assert kept_for(world(MARKED, workers=pool(min_nodes=1))) is Code.MIN_NODES

    def test_its_annotation(self) -> None:
        assert kept_for(world(replace(MARKED, do_not_disrupt=True))) is Code.DO_NOT_DISRUPT

    def test_a_cordon_of_somebody_else(self) -> None:
        assert kept_for(world(replace(MARKED, unschedulable=True))) is Code.DO_NOT_DISRUPT

    def test_an_outage(self) -> None:
        recent = replace(world(MARKED), healthy_since=NOW - minutes(1))

        assert kept_for(recent) is Code.FROZEN
        assert kept_for(replace(world(DRAINING), healthy_since=None)) is Code.FROZEN

    def test_the_pause_switch(self) -> None:
        paused = plan(world(MARKED), replace(CONFIG, paused=True), NOW)

        assert paused.actions == ()

    def test_a_node_without_a_known_pool_is_left_alone(self) -> None:
        orphaned = replace(world(MARKED), pools=())

        assert plan(orphaned, CONFIG, NOW).actions == ()


@pytest.mark.parametrize(
    ("age", "goes"),
    [
        (minutes(49) + seconds(59), False),
        (minutes(50), True),
        (minutes(56) + seconds(59), True),
        (minutes(57), False),
        (minutes(60 + 10), False),
        (minutes(5 * 60 + 50), True),
    ],
)
def test_a_paid_hour_is_used_up(age: object, *, goes: bool) -> None:
    machine = replace(SERVER, created_at=NOW - age)  # type: ignore[operator]
    found = plan(world(MARKED, of=machine), CONFIG, NOW)

    assert bool(found.actions) is goes
    if not goes:
        assert found.nodes[0].reason.code is Code.HOUR_PAID


def test_the_paid_hour_is_told_with_its_times() -> None:
    young = replace(SERVER, created_at=NOW - minutes(20))
    late = replace(SERVER, created_at=NOW - minutes(58))

    (report,) = plan(world(MARKED, of=young), CONFIG, NOW).nodes
    (too_late,) = plan(world(MARKED, of=late), CONFIG, NOW).nodes

    assert report.reason.message == "paid until 12:40, goes from 12:30 UTC"
    assert too_late.reason.message == "paid until 12:02, goes from 12:52 UTC"


def test_a_pool_may_ignore_the_hour() -> None:
    at_once = pool(disruption=Disruption(keep_until_hour_end=False))
    young = replace(SERVER, created_at=NOW - minutes(20))

    assert isinstance(only(world(MARKED, of=young, workers=at_once)), CordonNode)


def idle(number: int, *, draining: int = 0) -> Snapshot:
    servers = [replace(SERVER, name=f"s{n:02}", server_id=n + 1) for n in range(number)]
    nodes = [
        replace(DRAINING if n < draining else MARKED, name=s.name, server_id=s.server_id)
        for n, s in enumerate(servers)
    ]
    return snapshot(servers=servers, nodes=nodes)


def cordoned(found: Snapshot, workers: NodePool) -> int:
    actions = plan(replace(found, pools=(workers,)), CONFIG, NOW).actions
    return sum(isinstance(action, CordonNode) for action in actions)


def test_a_tenth_of_the_pool_goes_at_once_and_at_least_one() -> None:
    assert cordoned(idle(9), pool()) == 1
    assert cordoned(idle(20), pool()) == 2
    assert cordoned(idle(20, draining=1), pool()) == 1
    assert cordoned(idle(20, draining=2), pool()) == 0


def test_a_pool_may_let_more_go_at_once() -> None:
    assert cordoned(idle(9), pool(disruption=Disruption(budgets=(Budget(number=4),)))) == 4


def test_the_minimum_is_counted_down_to() -> None:
    assert (
        cordoned(idle(5), pool(min_nodes=3, disruption=Disruption(budgets=(Budget(number=9),))))
        == 2
    )


def test_a_server_on_its_way_does_not_stand_in_for_the_minimum() -> None:
    coming = server("new", status="requested", attached=False, created_at=NOW)
    found = replace(idle(1), servers=(*idle(1).servers, coming))

    assert cordoned(found, pool(min_nodes=1)) == 0


def test_the_dearest_goes_first() -> None:
    dear = replace(SERVER, name="z", server_id=77, micro_eur_per_hour=CX43.micro_eur_per_hour)
    found = snapshot(
        servers=[SERVER, dear], nodes=[MARKED, replace(MARKED, name="z", server_id=77)]
    )

    (cordon,) = plan(found, CONFIG, NOW).actions

    assert isinstance(cordon, CordonNode)
    assert cordon.node == "z"
    assert dear.micro_eur_per_hour > CX23.micro_eur_per_hour


@pytest.mark.parametrize(("least", "marked"), [(4_900_000, 4), (5_100_000, 0)])
def test_min_savings_are_asked_of_a_change_as_a_whole(least: int, marked: int) -> None:
    # Two CX33, or one CX43, do the work of four CX23: about 5 EUR a month less.
    machines = [server(f"s{n}", created_at=SERVER.created_at) for n in range(4)]
    asking = pool(
        disruption=Disruption(min_savings_micro_eur_per_month=least, keep_until_hour_end=False)
    )
    found = snapshot(
        servers=machines,
        nodes=[node(machine) for machine in machines],
        pods=[pod(node=machine.name, cpu="1500m") for machine in machines],
        pools=[asking],
    )

    marks = [a for a in plan(found, CONFIG, NOW).actions if isinstance(a, MarkUnneeded)]

    assert len(marks) == marked
