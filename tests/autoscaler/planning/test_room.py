"""What counts as room, so that nothing is bought for pods that it will hold."""

import pytest

from autoscaler.builders import (
    CX23,
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
from autoscaler.planning.purchases import bought, creates, reason_of
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.reasons import Code


def test_room_on_a_ready_node_is_used_first() -> None:
    machine = server()
    world = snapshot(servers=[machine], nodes=[node(machine)], pods=[pod("p", cpu="1900m")])

    assert creates(world) == []
    assert reason_of(world) is Code.WAITING_FOR_SCHEDULER


def test_room_is_what_running_pods_leave() -> None:
    machine = server()
    running = pod(node=machine.name, cpu="1")
    nodes = [node(machine)]

    fits = snapshot(servers=[machine], nodes=nodes, pods=[running, pod(cpu="900m")])
    too_much = snapshot(servers=[machine], nodes=nodes, pods=[running, pod(cpu="901m")])

    assert creates(fits) == []
    assert bought(too_much) == ["cx23/fsn1"]


def test_room_on_somebody_elses_node_counts_too() -> None:
    assert creates(snapshot(nodes=[node(name="metal")], pods=[pod()])) == []


def test_a_pod_that_the_scheduler_does_not_place_counts_as_not_fitting_there() -> None:
    machine = server()
    late = pod(waiting_since=NOW - seconds(60))
    world = snapshot(servers=[machine], nodes=[node(machine)], pods=[late])

    assert bought(world) == ["cx23/fsn1"]
    assert creates(world, NOW - seconds(1)) == []


def test_a_node_that_became_ready_just_now_has_not_been_tried() -> None:
    machine = server()
    fresh = node(machine, ready_since=NOW - seconds(59))
    world = snapshot(servers=[machine], nodes=[fresh], pods=[pod(waiting_since=NOW - minutes(9))])

    assert creates(world) == []
    assert bought(world, NOW + seconds(1)) == ["cx23/fsn1"]


@pytest.mark.parametrize(
    "coming",
    [
        server(status="requested", attached=False, created_at=NOW - minutes(1)),
        server(status="off", attached=False, created_at=NOW - minutes(1)),
        server(created_at=NOW - minutes(1)),
    ],
)
def test_a_server_on_its_way_counts_as_room(coming: object) -> None:
    world = snapshot(servers=[coming], pods=[pod("p", waiting_since=NOW - minutes(1))])  # type: ignore[list-item]

    assert creates(world) == []
    assert reason_of(world) is Code.WAITING_FOR_SERVER


def test_a_server_that_is_being_deleted_does_not() -> None:
    going = server(status="deleting", created_at=NOW - minutes(1))

    assert bought(snapshot(servers=[going], pods=[pod()])) == ["cx23/fsn1"]


def test_a_registered_node_counts_while_it_gets_ready() -> None:
    machine = server(created_at=NOW - minutes(2))
    young = Taint(key="node.cloudprovider.kubernetes.io/uninitialized")
    registered = node(
        machine,
        ready=False,
        ready_since=None,
        not_ready_since=machine.created_at,
        taints=(young,),
    )
    world = snapshot(
        servers=[machine], nodes=[registered], pods=[pod("p", waiting_since=NOW - minutes(2))]
    )

    assert creates(world) == []
    assert reason_of(world) is Code.WAITING_FOR_SERVER


def test_startup_taints_go_away_by_themselves_until_the_join_deadline() -> None:
    workers = pool(startup_taints=(Taint(key="cni"),))
    machine = server(created_at=NOW - minutes(14))
    starting = node(machine, taints=(Taint(key="cni"),))
    world = snapshot(pools=[workers], servers=[machine], nodes=[starting], pods=[pod()])

    assert creates(world) == []
    assert bought(world, NOW + minutes(1)) == ["cx23/fsn1"]


def test_a_node_that_does_not_answer_is_no_room() -> None:
    machine = server()
    silent = node(machine, ready=False, ready_since=None, not_ready_since=NOW - minutes(5))

    assert bought(snapshot(servers=[machine], nodes=[silent], pods=[pod()])) == ["cx23/fsn1"]


def test_daemonsets_take_their_part_of_a_new_server() -> None:
    agents = daemonset(cpu="200m", memory="64Mi")

    assert bought(snapshot(pods=[pod(cpu="1700m")], daemonsets=[agents])) == ["cx23/fsn1"]
    assert bought(snapshot(pods=[pod(cpu="1701m")], daemonsets=[agents])) == ["cx33/fsn1"]


def test_a_daemonset_pod_that_runs_is_not_counted_twice() -> None:
    machine, agents = server(), daemonset(cpu="200m", memory="64Mi")
    world = snapshot(
        servers=[machine],
        nodes=[node(machine)],
        daemonsets=[agents],
        pods=[daemon_pod(agents, machine.name), pod(cpu="1700m")],
    )

    assert creates(world) == []


def test_what_a_real_node_of_the_type_offers_is_believed_more_than_the_catalogue() -> None:
    machine = server()
    real = node(
        machine, allocatable=CX23.allocatable - Resources(cpu_milli=500), unschedulable=True
    )
    pods = [pod(cpu="1500m", waiting_since=NOW - minutes(5))]

    assert bought(snapshot(servers=[machine], nodes=[real], pods=pods)) == ["cx33/fsn1"]
