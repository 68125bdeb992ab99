"""The end-to-end cases of cluster-autoscaler, as states and plans.

Its three cases of dynamic resource allocation are one here: hk3s does not judge resource claims,
and says so. Its three cases of a bypassed scheduler are one, too: hk3s buys for pods that a
scheduler has called unschedulable, and for no others.
"""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.builders import (
    CONFIG,
    NOW,
    minutes,
    node,
    ordered,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.pod import DisruptionBudget, Pod, PodKey
from hk3s_autoscaler.model.relations import PodTerm, Relations
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import Action, CordonNode, CreateServer, DrainNode
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL

A = server("a", created_at=NOW - minutes(24 * 60 + 55))
B = server("b", created_at=NOW - minutes(48 * 60 + 30))
LONG = NOW - minutes(30)


def two_nodes(*pods: Pod, **changes: Any) -> Snapshot:  # noqa: ANN401 - the facts check it
    """Node `a` is in the last minutes of its paid hour and was unneeded for long, `b` is not."""
    marked = replace(node(A), unneeded_since=LONG)
    return snapshot(servers=[A, B], nodes=[marked, node(B)], pods=pods, **changes)


def actions(world: Snapshot) -> tuple[Action, ...]:
    return plan(world, CONFIG, NOW).actions


def bought(world: Snapshot) -> list[str]:
    return [str(a.offering) for a in actions(world) if isinstance(a, CreateServer)]


def cordoned(world: Snapshot) -> list[str]:
    return [a.node for a in actions(world) if isinstance(a, CordonNode)]


def budget(allowed: int, *pods: Pod) -> DisruptionBudget:
    return DisruptionBudget(
        key=PodKey("default", "web"),
        disruptions_allowed=allowed,
        pods=frozenset(p.key for p in pods),
    )


class TestGrowing:
    def test_no_scale_up_for_a_pod_that_is_too_large(self) -> None:
        found = plan(snapshot(pods=[pod("huge", memory="70Gi")]), CONFIG, NOW)

        assert found.actions == ()
        assert found.pods[0].reason.code is Code.NO_OFFERING_FITS

    def test_scale_up_for_small_pods(self) -> None:
        assert bought(snapshot(pods=[pod(cpu="700m"), pod(cpu="700m")])) == ["cx23/fsn1"]

    def test_no_second_scale_up_while_the_first_one_runs(self) -> None:
        world = snapshot(pods=[pod("web-1")])
        (create,) = actions(world)
        assert isinstance(create, CreateServer)

        assert bought(replace(world, servers=(ordered(create, "new"),))) == []

    def test_pods_with_one_host_port_get_a_server_each(self) -> None:
        ports = (("", "TCP", 4321),)

        assert len(bought(snapshot(pods=[pod(host_ports=ports), pod(host_ports=ports)]))) == 2

    def test_pods_that_keep_each_other_away_get_a_server_each(self) -> None:
        term = PodTerm(
            topology_key=HOSTNAME_LABEL,
            selector=LabelSelector(
                requirements=(Requirement(key="app", operator="In", values=("web",)),)
            ),
            namespaces=("default",),
        )
        webs = [pod(f"web-{n}", cpu="100m") for n in range(3)]
        apart = [
            replace(
                web,
                labels=(("app", "web"),),
                spec=replace(web.spec, relations=Relations(anti_affinity=(term,))),
            )
            for web in webs
        ]

        assert len(bought(snapshot(pods=apart))) == 3

    def test_a_pod_with_scratch_space_gets_a_server(self) -> None:
        assert bought(snapshot(pods=[replace(pod(), local_storage=("scratch",))])) == ["cx23/fsn1"]

    def test_no_scale_up_for_an_expendable_pod(self) -> None:
        assert bought(snapshot(pods=[pod(priority=-11)])) == []

    def test_scale_up_for_a_pod_that_is_not_expendable(self) -> None:
        assert bought(snapshot(pods=[pod(priority=-10)])) == ["cx23/fsn1"]

    def test_no_scale_up_when_an_expendable_pod_makes_way(self) -> None:
        cheap = pod("cheap", node="b", cpu="1500m", priority=-11)
        world = snapshot(servers=[B], nodes=[node(B)], pods=[cheap, pod("web", cpu="1500m")])

        assert bought(world) == []

    def test_a_pod_that_no_scheduler_has_looked_at_waits_for_it(self) -> None:
        assert bought(snapshot(pods=[replace(pod(), unschedulable_since=None)])) == []

    def test_resource_claims_are_reported_not_guessed_at(self) -> None:
        found = plan(snapshot(pods=[pod(unsupported=("resourceClaims",))]), CONFIG, NOW)

        assert found.actions == ()
        assert found.pods[0].reason.code is Code.UNSUPPORTED_CONSTRAINT


class TestShrinking:
    def test_an_unneeded_node_is_removed(self) -> None:
        assert cordoned(two_nodes(pod("web", node="b"))) == ["a"]

    def test_a_node_is_drained_when_its_budget_allows(self) -> None:
        web = pod("web", node="a")

        world = two_nodes(web, pod("busy", node="b", cpu="1"), budgets=(budget(1, web),))

        assert cordoned(world) == ["a"]

    def test_a_node_is_not_drained_when_its_budget_does_not(self) -> None:
        web, busy = pod("web", node="a"), pod("busy", node="b", cpu="1")

        world = two_nodes(web, busy, budgets=(budget(0, web),))

        assert cordoned(world) == []

    def test_several_pods_go_one_by_one_as_their_budget_dictates(self) -> None:
        """Every loop asks again for what is left; the Eviction API decides how many may go."""
        pods = [pod(f"web-{n}", node="a", cpu="100m") for n in range(3)]
        leaving = replace(
            node(A),
            unschedulable=True,
            draining_since=NOW - seconds(20),
            draining_reason="Underutilized",
        )
        busy = pod("busy", node="b")
        left = []

        for gone in range(4):
            world = snapshot(
                servers=[A, B],
                nodes=[leaving, node(B)],
                pods=[*pods[gone:], busy],
                budgets=(budget(1, *pods),),
            )
            left.append([len(a.pods) for a in actions(world) if isinstance(a, DrainNode)])

        assert left == [[3], [2], [1], []]

    def test_a_system_pod_with_a_budget_is_moved(self) -> None:
        system = replace(pod(node="a"), key=PodKey("kube-system", "dns"), created_at=NOW)
        busy = pod("busy", node="b", cpu="1")

        assert cordoned(two_nodes(system, busy)) == []
        assert cordoned(two_nodes(system, busy, budgets=(budget(1, system),))) == ["a"]

    def test_a_node_with_an_expendable_pod_is_removed(self) -> None:
        cheap = pod("cheap", node="a", cpu="1500m", priority=-11)

        assert cordoned(two_nodes(cheap, pod("busy", node="b", cpu="1500m"))) == ["a"]

    def test_a_node_with_a_pod_that_is_not_expendable_stays(self) -> None:
        dear = pod("dear", node="a", cpu="1500m", priority=-10)

        assert cordoned(two_nodes(dear, pod("busy", node="b", cpu="1500m"))) == []


class TestStories:
    """From the unit tests of its planner and its main loop."""

    def test_what_went_takes_room_from_what_might_go_next(self) -> None:
        """A, B and C each fit beside X, but only two of them together."""
        names = ("a", "b", "c")
        old = [replace(A, name=n, server_id=n_id) for n_id, n in enumerate(names, start=1)]
        stays = replace(A, name="x", server_id=9, micro_eur_per_hour=100)
        nodes = [replace(node(s), unneeded_since=LONG) for s in (*old, stays)]
        pods = [pod(f"p-{n}", node=n, cpu="600m") for n in names]
        many = pool(disruption=replace(pool().disruption, budgets=()))
        world = snapshot(
            servers=[*old, stays],
            nodes=nodes,
            pods=[*pods, pod("x", node="x", cpu="600m")],
            pools=[many],
        )

        assert len(cordoned(world)) == 2

    def test_a_node_that_comes_is_never_given_back(self) -> None:
        coming = server("new", status="starting", created_at=NOW - minutes(55))
        patient = pool(join_timeout=minutes(120))

        assert actions(snapshot(servers=[coming], pools=[patient])) == ()

    def test_nodes_of_nobody_are_left_alone(self) -> None:
        foreign = node(name="metal")

        assert actions(snapshot(nodes=[foreign])) == ()

    def test_the_minimum_is_bought_and_kept(self) -> None:
        at_least = pool(min_nodes=2)

        assert len(bought(snapshot(pools=[at_least]))) == 2
        assert cordoned(two_nodes(pools=[at_least])) == []

    @pytest.mark.parametrize(("most", "servers"), [(2, 0), (3, 1)])
    def test_the_most_servers_are_kept_to(self, most: int, servers: int) -> None:
        world = two_nodes(
            pod("a", node="a", cpu="1500m"), pod("b", node="b", cpu="1500m"), pod("new", cpu="1")
        )

        found = plan(world, replace(CONFIG, max_servers=most), NOW).actions

        assert sum(isinstance(a, CreateServer) for a in found) == servers
