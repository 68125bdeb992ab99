"""Karpenter's contexts of termination, repair and chaos, and what is none of those."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autoscaler.builders import (
    CX,
    CX33,
    NOW,
    elsewhere,
    minutes,
    node,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from autoscaler.scenarios.karpenter import (
    BUY_TIME,
    LEAVE_TIME,
    MINUTES_10,
    SECONDS_20,
    of_kind,
    planned,
    why,
)
from hk3s_autoscaler.model.nodepool import Budget, Disruption, NodePool
from hk3s_autoscaler.model.offering import OfferingBlock
from hk3s_autoscaler.model.pod import Pod, Taint, Toleration
from hk3s_autoscaler.model.relations import Relations, Spread
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    CordonNode,
    CreateServer,
    DeleteServer,
    DrainNode,
    UncordonNode,
)
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.scheduling.place import ZONE_LABEL


class TestDrain:
    def draining(self, *pods: Pod, since: timedelta = SECONDS_20, **pools: Any) -> Plan:  # noqa: ANN401 - the facts check it
        leaving = server("old", created_at=LEAVE_TIME)
        joined = replace(
            node(leaving),
            unschedulable=True,
            draining_since=NOW - since,
            draining_reason="Underutilized",
        )
        other = server("other", sold=CX33)
        return planned(
            snapshot(
                servers=[leaving, other],
                nodes=[joined, node(other, sold=CX33)],
                pods=[*pods, pod("busy", node="other")],
                pools=[pool(**pools)],
            )
        )

    def test_critical_pods_are_evicted_when_the_others_are_gone(self) -> None:
        critical = pod("critical", node="old", priority=2_000_000_000, cpu="100m")
        low, high = pod("low", node="old", cpu="100m"), pod("high", node="old", priority=5)

        (first,) = of_kind(self.draining(critical, high, low), DrainNode)
        (last,) = of_kind(self.draining(critical), DrainNode)

        assert (first.pods, first.later) == ((low.key, high.key), (critical.key,))
        assert last.pods == (critical.key,)

    def test_a_drain_that_does_not_end_is_taken_back(self) -> None:
        web = pod("web", node="old")

        assert of_kind(self.draining(web, since=minutes(20) - seconds(1)), UncordonNode) == []
        (back,) = self.draining(web, since=minutes(20)).actions
        assert isinstance(back, UncordonNode)
        assert back.reason.code is Code.DRAIN_STUCK

    def test_with_a_limit_the_server_goes_whatever_is_left(self) -> None:
        web = pod("web", node="old")
        limit = {"termination_grace_period": minutes(30)}

        assert of_kind(self.draining(web, since=minutes(29), **limit), DeleteServer) == []
        (gone,) = self.draining(web, since=minutes(30), **limit).actions
        assert isinstance(gone, DeleteServer)
        assert gone.reason.code is Code.DRAIN_DEADLINE

    def test_a_protected_pod_is_waited_for(self) -> None:
        until_end = replace(pod("job", node="old"), do_not_disrupt=True)

        assert self.draining(until_end, termination_grace_period=minutes(30)).actions == ()

    def test_a_pod_that_takes_its_time_to_end_is_waited_for(self) -> None:
        """A preStop hook runs within the pod's grace, of which hk3s takes nothing away."""
        ending = replace(pod("web", node="old"), deleted_at=NOW, grace=minutes(10))
        limit = {"termination_grace_period": minutes(30)}

        assert self.draining(ending).actions == ()
        assert self.draining(ending, since=minutes(29), **limit).actions == ()
        assert of_kind(self.draining(ending, since=minutes(30), **limit), DeleteServer)

    def test_a_pod_that_a_finalizer_holds_goes_with_its_server(self) -> None:
        late = NOW - minutes(10) - seconds(30)
        stuck = replace(pod("web", node="old"), deleted_at=late, grace=minutes(10))

        assert self.draining(stuck).actions == ()
        stuck = replace(stuck, deleted_at=late - seconds(1))
        (gone,) = self.draining(stuck).actions
        assert isinstance(gone, DeleteServer)

    def test_it_is_taken_back_when_its_pods_fit_nowhere_any_more(self) -> None:
        (back,) = of_kind(self.draining(pod("web", node="old", cpu="3800m")), UncordonNode)

        assert back.reason.code is Code.NO_LONGER_UNNEEDED


class TestAround:
    """From its regression tests and designs, what is none of the above."""

    def test_a_minimum_is_bought_once_though_two_plans_see_it_missing(self) -> None:
        """Its static replicas raced; here a create under way is a fact of the next plan."""
        workers = pool(min_nodes=2)
        first = of_kind(planned(snapshot(pools=[workers])), CreateServer)
        under_way = [
            server(f"n{n}", status="requested", created_at=NOW, server_id=n + 1)
            for n in range(len(first))
        ]

        assert len(first) == 2
        assert planned(snapshot(servers=under_way, pools=[workers])).actions == ()

    @pytest.mark.parametrize("ahead", [minutes(1), minutes(5), minutes(30)])
    def test_a_clock_that_is_behind_gives_no_young_server_back(self, ahead: timedelta) -> None:
        machine = server("s", created_at=NOW + ahead)
        empty = replace(node(machine), ready_since=NOW)

        found = planned(snapshot(servers=[machine], nodes=[empty]))

        assert not of_kind(found, CordonNode)
        assert not of_kind(found, DeleteServer)

    def test_a_spread_with_one_location_sold_out_serves_what_it_may(self) -> None:
        """maxSkew 1 over two locations of which one sells nothing: one pod runs, three wait."""
        chosen = LabelSelector(
            requirements=(Requirement(key="app", operator="In", values=("web",)),)
        )
        rule = Spread(topology_key=ZONE_LABEL, max_skew=1, selector=chosen, min_domains=2)
        webs = [
            replace(
                made,
                labels=(("app", "web"),),
                spec=replace(made.spec, relations=Relations(spread=(rule,))),
            )
            for made in (pod(f"web-{n}", cpu="300m") for n in range(4))
        ]
        both = (*CX, *(elsewhere(sold, "nbg1") for sold in CX))
        blocks = tuple(
            OfferingBlock(key=sold.key, reason="resource_unavailable", until=NOW + minutes(5))
            for sold in both
            if sold.key.location == "nbg1"
        )
        world = snapshot(pods=webs, offerings=both)

        free = of_kind(planned(world), CreateServer)
        short = planned(replace(world, pools=(pool(blocks=blocks),)))

        assert sorted(c.offering.location for c in free) == ["fsn1", "nbg1"]
        assert sum(len(c.pods) for c in of_kind(short, CreateServer)) == 1
        assert sum(report.reason.code is not Code.WAITING_FOR_SERVER for report in short.pods) == 3

    def test_an_attached_volume_is_waited_for_until_the_drains_limit(self) -> None:
        leaving = server("old", created_at=LEAVE_TIME)
        for since, goes in ((minutes(29), False), (minutes(30), True)):
            joined = replace(
                node(leaving),
                unschedulable=True,
                draining_since=NOW - since,
                draining_reason="Empty",
                attached_volumes=1,
            )
            limited = pool(termination_grace_period=minutes(30))
            found = planned(snapshot(servers=[leaving], nodes=[joined], pools=[limited]))

            assert bool(of_kind(found, DeleteServer)) is goes


class TestRepair:
    def lost(self, number: int, of: int, *, since: timedelta = MINUTES_10) -> Plan:
        machines = [server(f"s{n}", created_at=BUY_TIME) for n in range(of)]
        nodes = [
            replace(node(m), ready=False, ready_since=None, not_ready_since=NOW - since)
            if n < number
            else node(m)
            for n, m in enumerate(machines)
        ]
        pods = [pod(node=m.name, cpu="1500m") for m in machines]
        return planned(snapshot(servers=machines, nodes=nodes, pods=pods))

    def test_a_node_not_ready_for_long_is_deleted(self) -> None:
        (gone,) = self.lost(1, 5).actions

        assert isinstance(gone, DeleteServer)
        assert (gone.name, gone.reason.code) == ("s0", Code.NODE_LOST)
        assert self.lost(1, 5, since=minutes(10) - seconds(1)).actions == ()

    @pytest.mark.parametrize(
        ("number", "of", "deleted"), [(1, 1, 1), (2, 5, 0), (2, 6, 2), (3, 10, 0), (10, 10, 0)]
    )
    def test_it_stops_when_more_than_a_fifth_do_not_answer(
        self, number: int, of: int, deleted: int
    ) -> None:
        found = self.lost(number, of)

        assert len(of_kind(found, DeleteServer)) == deleted
        assert deleted or why(found, "s0") is Code.TOO_MANY_LOST

    def test_budgets_and_the_paid_hour_do_not_hold_it_up(self) -> None:
        machine = server("s0", created_at=NOW - minutes(70))
        silent = replace(
            node(machine), ready=False, ready_since=None, not_ready_since=NOW - minutes(10)
        )
        never = pool(disruption=Disruption(policy="Never", budgets=(Budget(number=0),)))

        found = planned(snapshot(servers=[machine], nodes=[silent], pools=[never]))

        assert len(of_kind(found, DeleteServer)) == 1


class TestChaos:
    """Somebody taints every new node: buying more of them helps nobody."""

    CHAOS = Taint(key="chaos", effect="NoExecute")

    def world(self, *nodes: tuple[timedelta, bool], workers: NodePool | None = None) -> Snapshot:
        """Nodes by age, and whether they are tainted; a pod waits."""
        machines = [server(f"s{n}", created_at=NOW - age) for n, (age, _) in enumerate(nodes)]
        joined = [
            replace(node(machine), taints=(self.CHAOS,) if tainted else ())
            for machine, (_, tainted) in zip(machines, nodes, strict=True)
        ]
        full = [
            pod(node=machine.name, cpu="1900m")
            for machine, (_, tainted) in zip(machines, nodes, strict=True)
            if not tainted
        ]
        pools = [workers or pool()]
        return snapshot(servers=machines, nodes=joined, pods=[*full, pod("web")], pools=pools)

    def test_one_tainted_node_may_be_an_accident(self) -> None:
        assert of_kind(planned(self.world((minutes(5), True))), CreateServer)

    def test_two_new_ones_teach_that_the_next_is_tainted_too(self) -> None:
        found = planned(self.world((minutes(5), True), (minutes(2), True)))

        assert of_kind(found, CreateServer) == []
        (report,) = found.pods
        assert str(report.reason) == (
            "NoPoolMatches: pool workers: taint chaos:NoExecute is not tolerated"
        )

    def test_a_pod_that_tolerates_it_is_served(self) -> None:
        found = self.world((minutes(5), True), (minutes(2), True))
        proof = pod("proof", cpu="3", tolerations=(Toleration(key="chaos", operator="Exists"),))

        (create,) = of_kind(planned(replace(found, pods=(*found.pods, proof))), CreateServer)

        assert create.pods == (proof.key,)

    def test_not_when_a_new_one_was_spared(self) -> None:
        found = self.world((minutes(5), True), (minutes(4), True), (minutes(2), False))

        assert of_kind(planned(found), CreateServer)

    def test_not_when_they_are_older_than_their_first_hour(self) -> None:
        """Somebody may have tainted them on purpose; and what they taught is tried again."""
        assert of_kind(planned(self.world((minutes(60), True), (minutes(2), True))), CreateServer)

    def test_not_by_taints_that_the_pool_names(self) -> None:
        named = pool(startup_taints=(self.CHAOS,))
        found = self.world((minutes(30), True), (minutes(20), True), workers=named)

        assert of_kind(planned(found), CreateServer)


class TestRefused:
    """kube-scheduler leaves a pod waiting beside new empty nodes, by a rule that is not judged."""

    def world(self, *ages: timedelta, waiting: timedelta = MINUTES_10, **wanted: Any) -> Snapshot:  # noqa: ANN401 - the facts check it
        machines = [server(f"s{n}", created_at=NOW - age) for n, age in enumerate(ages)]
        late = pod("web", waiting_since=NOW - waiting, **wanted)
        return snapshot(servers=machines, nodes=[node(m) for m in machines], pods=[late])

    def test_after_one_such_node_another_is_tried(self) -> None:
        assert of_kind(planned(self.world(minutes(5))), CreateServer)

    def test_after_two_no_third_is_bought(self) -> None:
        found = planned(self.world(minutes(5), minutes(2)))

        assert of_kind(found, CreateServer) == []
        (report,) = found.pods
        assert str(report.reason) == (
            "UnsupportedConstraint: kube-scheduler keeps it off s0, s1, which would hold it"
        )

    def test_a_pod_that_they_do_not_hold_is_served(self) -> None:
        (create,) = of_kind(planned(self.world(minutes(5), minutes(2), cpu="3")), CreateServer)

        assert create.offering == CX33.key

    @pytest.mark.parametrize("ages", [(minutes(60), minutes(2)), (minutes(5), seconds(59))])
    def test_older_nodes_and_those_that_it_has_not_looked_at_teach_nothing(
        self, ages: tuple[timedelta, ...]
    ) -> None:
        found = planned(self.world(*ages))

        assert all(report.reason.code is not Code.UNSUPPORTED_CONSTRAINT for report in found.pods)

    def test_a_pod_that_waits_for_a_moment_only_is_expected_there(self) -> None:
        found = planned(self.world(minutes(5), minutes(2), waiting=seconds(59)))

        assert [report.reason.code for report in found.pods] == [Code.WAITING_FOR_SCHEDULER]
