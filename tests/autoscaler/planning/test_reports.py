"""Every worker that is kept has a reason, whatever state it is in."""

from dataclasses import replace

from autoscaler.builders import CONFIG, NOW, minutes, node, pod, pool, seconds, server, snapshot
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code


def reasons(world: Snapshot, config: PlanConfig = CONFIG) -> dict[str, tuple[Code, str]]:
    return {r.node: (r.reason.code, r.reason.message) for r in plan(world, config, NOW).nodes}


def test_a_server_that_boots_is_joining_until_its_deadline() -> None:
    booting = server("new", created_at=NOW - minutes(3))

    (code, words) = reasons(snapshot(servers=[booting]))["new"]

    assert code is Code.JOINING
    assert words == "it is on its way, and has until 12:12:00 UTC"


def test_a_node_that_has_registered_and_is_not_ready_yet_is_joining() -> None:
    young = server("new", created_at=NOW - minutes(1))
    registered = replace(
        node(young),
        created_at=NOW - seconds(5),
        ready=False,
        ready_since=None,
        not_ready_since=NOW - seconds(5),
    )

    assert reasons(snapshot(servers=[young], nodes=[registered]))["new"][0] is Code.JOINING


def test_a_node_that_stopped_being_ready_says_until_when_it_is_waited_for() -> None:
    machine = server("s")
    silent = replace(node(machine), ready=False, ready_since=None, not_ready_since=NOW - minutes(4))

    found = reasons(snapshot(servers=[machine], nodes=[silent]))

    assert found == {"s": (Code.NODE_LOST, "it is not Ready; it is given up at 12:06 UTC")}


def test_a_node_without_a_server_is_not_passed_over() -> None:
    machine = server("s")
    alone = replace(node(machine), created_at=NOW)

    assert set(reasons(snapshot(nodes=[alone]))) == {"s"}


def test_when_all_is_paused_every_node_says_so() -> None:
    machines = [server("a"), server("b")]
    world = snapshot(
        servers=machines, nodes=[node(m) for m in machines], pods=[pod("web", node="a")]
    )

    found = reasons(world, replace(CONFIG, paused=True))

    assert {name: code for name, (code, _) in found.items()} == {"a": Code.PAUSED, "b": Code.PAUSED}


def test_a_node_whose_pool_is_gone_says_that_nobody_manages_it() -> None:
    machine = server("s")

    found = reasons(snapshot(servers=[machine], nodes=[node(machine)], pools=[pool("other")]))

    assert found["s"][0] is Code.POOL_INVALID
