"""New nodes go into service with the pods that were counted onto them."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.builders import (
    CONFIG,
    CX23,
    CX33,
    NOW,
    node,
    ordered,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.node import STARTING_TAINT, Node, Server
from hk3s_autoscaler.model.nodepool import TypeFilter
from hk3s_autoscaler.model.pod import Pod, Taint
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import CreateServer, InvitePods, OpenNode
from hk3s_autoscaler.planning.opening import FIRST_TURN
from hk3s_autoscaler.planning.plan import plan

STARTING = Taint(key=STARTING_TAINT)


def openings(world: Snapshot) -> list[InvitePods | OpenNode]:
    return [a for a in plan(world, CONFIG, NOW).actions if isinstance(a, InvitePods | OpenNode)]


def young(of: Server, **changes: Any) -> Node:  # noqa: ANN401 - the facts themselves check it
    return node(of, **{"taints": (STARTING,), **changes})


def test_a_ready_node_lets_the_pods_that_count_on_it_in_first() -> None:
    machine = server(created_at=NOW - seconds(30))
    waiting = [pod("a", cpu="500m"), pod("b", cpu="500m")]

    (step,) = openings(snapshot(servers=[machine], nodes=[young(machine)], pods=waiting))

    assert isinstance(step, InvitePods)
    assert step.node == machine.name
    assert [str(key) for key in step.pods] == ["default/a", "default/b"]


def test_pods_whose_nomination_is_half_of_an_invitation_are_let_in_again() -> None:
    machine = server(created_at=NOW - seconds(30))
    half = replace(pod("a", cpu="500m"), nominated_node=machine.name)

    (step,) = openings(snapshot(servers=[machine], nodes=[young(machine)], pods=[half]))

    assert isinstance(step, InvitePods)
    assert step.pods == (half.key,)


@pytest.mark.parametrize("is_nominated", [True, False])
@pytest.mark.parametrize("early", [True, False])
def test_a_node_is_kept_for_those_that_were_let_in_but_not_for_ever(
    *, is_nominated: bool, early: bool
) -> None:
    """A failed attempt of kube-scheduler clears a nomination; the toleration stays."""
    machine = server(created_at=NOW - seconds(60))
    since = NOW - FIRST_TURN + (seconds(1) if early else seconds(0))
    nominated = machine.name if is_nominated else ""
    invited = replace(pod("a", cpu="500m"), nominated_node=nominated, invited_to=(machine.name,))
    world = snapshot(servers=[machine], nodes=[young(machine, opening_since=since)], pods=[invited])

    assert [type(step) for step in openings(world)] == ([] if early else [OpenNode])


HERE = "demo-general-a"


@pytest.mark.parametrize(
    "guest",
    [
        pytest.param(pod("a", cpu="500m"), id="took no invitation"),
        pytest.param(
            replace(pod("a", cpu="500m"), invited_to=("another",)), id="is let in elsewhere"
        ),
        pytest.param(replace(pod("a", node=HERE), invited_to=(HERE,)), id="is there"),
    ],
)
def test_a_node_is_opened_when_nobody_is_let_in_any_more(guest: Pod) -> None:
    machine = server(HERE, created_at=NOW - seconds(60))
    opening = young(machine, opening_since=NOW - seconds(1))

    steps = openings(snapshot(servers=[machine], nodes=[opening], pods=[guest]))

    assert [type(step) for step in steps] == [OpenNode]


def test_a_node_that_nobody_waits_for_is_opened_at_once() -> None:
    machine = server(created_at=NOW - seconds(30))

    (opened,) = openings(snapshot(servers=[machine], nodes=[young(machine)]))

    assert isinstance(opened, OpenNode)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"ready": False}, id="not-ready"),
        pytest.param({"taints": ()}, id="open-already"),
        pytest.param(
            {"taints": (STARTING, Taint(key="node.cloudprovider.kubernetes.io/uninitialized"))},
            id="cloud-controller-not-done",
        ),
    ],
)
def test_a_node_stays_closed_or_as_it_is(changes: dict[str, object]) -> None:
    machine = server(created_at=NOW - seconds(30))

    assert openings(snapshot(servers=[machine], nodes=[young(machine, **changes)])) == []


def test_a_paused_daemon_still_opens_what_has_joined() -> None:
    machine = server(created_at=NOW - seconds(30))
    world = snapshot(servers=[machine], nodes=[young(machine)])

    actions = plan(world, replace(CONFIG, paused=True), NOW).actions

    assert [type(action) for action in actions] == [OpenNode]


def mixed() -> list[Pod]:
    return [
        *(pod(f"web-{n}", cpu="400m", memory="400Mi") for n in range(24)),
        *(pod(f"cache-{n}", cpu="150m", memory="1200Mi") for n in range(14)),
        *(pod(f"encoder-{n}", cpu="900m", memory="300Mi") for n in range(12)),
    ]


@pytest.mark.parametrize("joined", range(4))
def test_a_node_with_more_room_than_expected_makes_nothing_be_bought_again(joined: int) -> None:
    pools = [pool(types=TypeFilter(names=("cx23", "cx33")))]
    world = snapshot(pods=mixed(), pools=pools, offerings=[CX23, CX33])
    creates = [a for a in plan(world, CONFIG, NOW).actions if isinstance(a, CreateServer)]
    servers = [
        replace(ordered(c, f"demo-{n}"), status="running", attached=True, server_id=n + 1)
        for n, c in enumerate(creates)
    ]
    roomier = CX33.allocatable + Resources(memory_bytes=400 << 20)
    first = replace(node(servers[joined], sold=CX33), allocatable=roomier, ready_since=NOW)

    later = replace(world, servers=tuple(servers), nodes=(first,))

    again = [
        a for a in plan(later, CONFIG, NOW + seconds(5)).actions if isinstance(a, CreateServer)
    ]
    assert again == []


def test_a_node_that_has_only_just_registered_counts_with_the_size_it_was_bought_for() -> None:
    machine = server(created_at=NOW - seconds(20), bought_for=(pod("a").key,))
    blank = young(machine, ready=False, allocatable=Resources(), not_ready_since=NOW)
    world = snapshot(servers=[machine], nodes=[blank], pods=[pod("a", cpu="1")])

    assert plan(world, CONFIG, NOW).actions == ()


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_equal_pods_each_goes_to_the_server_that_was_bought_for_it(first: str) -> None:
    """Else the other server would seem to have room for more than it was bought for."""
    web = {"a": pod("web-a", cpu="1500m"), "b": pod("web-b", cpu="1500m")}
    machines = {
        name: server(name, created_at=NOW - seconds(30), bought_for=(web[name].key,))
        for name in "ab"
    }
    joined = young(machines[first])
    world = snapshot(servers=machines.values(), nodes=[joined], pods=[web["a"], web["b"]])

    (step,) = openings(world)

    assert isinstance(step, InvitePods)
    assert step.pods == (web[first].key,)
