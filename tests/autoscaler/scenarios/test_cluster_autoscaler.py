"""The 22 end-to-end cases of cluster-autoscaler, as states and plans, and some of its unit tests.

hk3s differs on purpose in two things. It buys for pods that a scheduler has called unschedulable,
and for no others: there is no list of bypassed schedulers. It does not judge resource claims of
dynamic resource allocation: it says so instead of guessing.
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
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DrainNode,
    UncordonNode,
)
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

    def test_pods_that_keep_running_ones_away_get_servers_of_their_own(self) -> None:
        """The rule of a pod that runs holds for the new one as well."""
        term = PodTerm(
            topology_key=HOSTNAME_LABEL,
            selector=LabelSelector(
                requirements=(Requirement(key="app", operator="In", values=("web",)),)
            ),
            namespaces=("default",),
        )
        plain = replace(pod("web-0", node="b", cpu="100m"), labels=(("app", "web"),))
        loner = replace(plain, spec=replace(plain.spec, relations=Relations(anti_affinity=(term,))))
        new = replace(pod("web-1", cpu="100m"), labels=(("app", "web"),))

        assert bought(snapshot(servers=[B], nodes=[node(B)], pods=[loner, new])) == ["cx23/fsn1"]
        assert bought(snapshot(servers=[B], nodes=[node(B)], pods=[plain, new])) == []

    def test_unprocessed_pod_that_is_unschedulable(self) -> None:
        """Differs: with a bypassed scheduler it would buy. hk3s waits for the scheduler's word."""
        unseen = replace(pod(cpu="2"), unschedulable_since=None)

        assert bought(snapshot(pods=[unseen])) == []
        assert bought(snapshot(pods=[replace(unseen, unschedulable_since=NOW)])) == ["cx33/fsn1"]

    def test_unprocessed_pod_that_is_schedulable(self) -> None:
        unseen = replace(pod(), unschedulable_since=None)

        assert bought(snapshot(servers=[B], nodes=[node(B)], pods=[unseen])) == []

    def test_unprocessed_pod_of_a_scheduler_that_is_not_bypassed(self) -> None:
        assert bought(snapshot(pods=[replace(pod(), unschedulable_since=None)])) == []

    @pytest.mark.parametrize("case", ["scale-up", "too many devices"])
    def test_resource_claims_are_reported_not_guessed_at(self, case: str) -> None:
        """Differs: there the first buys a server, and the second does not."""
        claiming = pod(case.replace(" ", "-"), unsupported=("resourceClaims",))
        found = plan(snapshot(pods=[claiming]), CONFIG, NOW)

        assert found.actions == ()
        assert str(found.pods[0].reason) == (
            "UnsupportedConstraint: cannot be judged yet: resourceClaims"
        )


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

    def test_a_node_with_a_resource_claim_stays(self) -> None:
        """Differs: there it is drained. Nobody knows here whether another node has the device."""
        claiming = pod("dra", node="a", unsupported=("resourceClaims",))

        assert cordoned(two_nodes(claiming, pod("busy", node="b"))) == []

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

    def test_what_fits_beside_another_goes_at_once_and_the_other_waits(self) -> None:
        """A's and B's pods fit beside X only, not both; C's beside Y: A and C go, B does not."""
        old = [replace(A, name=n, server_id=n_id) for n_id, n in enumerate("abc", start=1)]
        stay = [
            replace(A, name=n, server_id=9 + k, micro_eur_per_hour=1) for k, n in enumerate("xy")
        ]
        sizes = {"a": "900m", "b": "900m", "c": "600m", "x": "1", "y": "1300m"}
        ports = {"b": (1, 2), "c": (1,), "y": (2,)}
        many = pool(disruption=replace(pool().disruption, budgets=()))
        pods = [
            pod(
                f"p-{n}",
                node=n,
                cpu=size,
                host_ports=tuple(("", "TCP", port) for port in ports.get(n, ())),
            )
            for n, size in sizes.items()
        ]
        world = snapshot(
            servers=[*old, *stay],
            nodes=[replace(node(s), unneeded_since=LONG) for s in (*old, *stay)],
            pods=pods,
            pools=[many],
        )

        assert cordoned(world) == ["a", "c"]

    def test_a_node_that_waits_for_its_turn_is_unneeded_for_all_of_the_time_first(self) -> None:
        """What is unneeded is marked, and goes when it was so for `consolidateAfter`."""
        early = two_nodes(pod("web", node="b"))
        fresh = replace(early.nodes[0], unneeded_since=NOW - minutes(10) + seconds(1))

        assert cordoned(replace(early, nodes=(fresh, early.nodes[1]))) == []
        ripe = replace(fresh, unneeded_since=NOW - minutes(10))
        assert cordoned(replace(early, nodes=(ripe, early.nodes[1]))) == ["a"]

    def test_a_nominated_pod_counts_as_placed(self) -> None:
        """After a preemption the scheduler has chosen a node: nothing is bought, nothing given."""
        chosen = replace(pod("web", cpu="1500m"), nominated_node="a")

        assert actions(two_nodes(chosen, pod("busy", node="b", cpu="1500m"))) == (
            actions(
                two_nodes(pod("web", node="a", cpu="1500m"), pod("busy", node="b", cpu="1500m"))
            )
        )
        assert cordoned(two_nodes(chosen, pod("busy", node="b", cpu="1500m"))) == []

    def test_pods_of_a_node_that_is_drained_have_a_place_before_they_go(self) -> None:
        """There pods of drained nodes trigger a purchase; here a drain begins only with a place."""
        leaving = replace(
            node(A), unschedulable=True, draining_since=NOW, draining_reason="Underutilized"
        )
        world = snapshot(
            servers=[A, B],
            nodes=[leaving, node(B)],
            pods=[pod("web", node="a", cpu="1500m"), pod("busy", node="b", cpu="1500m")],
        )

        (back,) = actions(world)

        assert isinstance(back, UncordonNode)

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
