"""Karpenter's contexts of consolidation, and how hk3s replaces before it removes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.builders import (
    CX,
    CX23,
    CX33,
    CX43,
    CX53,
    NOW,
    minutes,
    node,
    offering,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from autoscaler.scenarios.karpenter import BUY_TIME, LEAVE_TIME, LONG, dear, of_kind, planned, why
from hk3s_autoscaler.model.node import STARTING_TAINT, Server
from hk3s_autoscaler.model.nodepool import Disruption
from hk3s_autoscaler.model.offering import OfferingBlock
from hk3s_autoscaler.model.pod import Pod, Taint
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import (
    CordonNode,
    CreateServer,
    MarkReplacing,
    MarkUnneeded,
)
from hk3s_autoscaler.planning.reasons import Code


class TestConsolidation:
    def test_a_dear_server_is_exchanged_for_a_cheaper_one(self) -> None:
        """A fallback is given up when the preferred type is back: marks, buys, and waits."""
        machine, joined = dear()
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear", cpu="1")])

        found = planned(world)

        (mark,) = of_kind(found, MarkReplacing)
        (create,) = of_kind(found, CreateServer)
        assert (mark.node, mark.why) == ("dear", Code.UNDERUTILIZED)
        assert (create.offering, create.pods) == (CX23.key, ())
        assert create.reason.code is Code.REPLACEMENT
        assert of_kind(found, CordonNode) == []

    def test_a_fallback_among_servers_that_are_right_is_the_one_that_goes(self) -> None:
        """All others are full and of the best types: to exchange them as well saves no more."""
        fallback = offering("cpx62", cores=16, memory_gib=32, price=208_300)
        sizes = {"dear": fallback, "a": CX53, "b": CX43, "c": CX33}
        machines = [server(n, sold=s, created_at=BUY_TIME) for n, s in sizes.items()]
        nodes = [
            replace(node(m, sold=sold), unneeded_since=LONG)
            for m, sold in zip(machines, sizes.values(), strict=True)
        ]
        pods = [
            pod(node=name, cpu="700m", memory="1Gi")
            for name, sold in sizes.items()
            for _ in range(sold.allocatable.cpu_milli // 720)
        ]
        world = snapshot(servers=machines, nodes=nodes, pods=pods, offerings=(*CX, fallback))

        found = planned(world)

        assert [mark.node for mark in of_kind(found, MarkReplacing)] == ["dear"]
        assert [create.offering for create in of_kind(found, CreateServer)] == [CX53.key]

    def test_not_while_the_cheaper_type_is_sold_out(self) -> None:
        machine, joined = dear()
        until = NOW + minutes(5)
        blocks = tuple(
            OfferingBlock(key=sold.key, reason="resource_unavailable", until=until)
            for sold in CX[:3]
        )
        world = snapshot(
            servers=[machine],
            nodes=[joined],
            pods=[pod(node="dear", cpu="1")],
            pools=[pool(blocks=blocks)],
        )

        assert of_kind(planned(world), CreateServer) == []

    def test_a_fallback_that_eats_the_savings_is_not_bought(self) -> None:
        found = {}
        for sold in (CX53, CX33):
            machine = server("dear", sold=sold, created_at=BUY_TIME)
            joined = replace(node(machine, sold=sold), unneeded_since=LONG)
            world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear", cpu="1")])
            (create,) = of_kind(planned(world), CreateServer)
            assert create.offering == CX23.key
            found[sold.key] = create.fallbacks

        assert found == {CX53.key: (CX33.key,), CX33.key: ()}

    def test_never_by_the_same_type(self) -> None:
        machine, joined = dear()
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear", cpu="14")])

        assert of_kind(planned(world), CreateServer) == []

    def test_several_become_fewer(self) -> None:
        """Five small servers, a fifth used each, for one of twice the size."""
        machines = [server(f"s{n}", created_at=BUY_TIME, sold=CX33) for n in range(5)]
        nodes = [replace(node(m, sold=CX33), unneeded_since=LONG) for m in machines]
        pods = [pod(node=m.name, cpu="1100m", memory="4Gi") for m in machines]
        world = snapshot(servers=machines, nodes=nodes, pods=pods)

        found = planned(world)

        removed = {mark.node for mark in of_kind(found, MarkReplacing)}
        spent = sum(create.micro_eur_per_hour for create in of_kind(found, CreateServer))
        assert len(removed) >= 3
        assert len(of_kind(found, CreateServer)) < len(removed)
        assert spent < len(removed) * CX33.micro_eur_per_hour

    @pytest.mark.parametrize(("least", "bought"), [(14_000_000, 1), (15_000_000, 0)])
    def test_savings_below_the_minimum_are_left(self, least: int, bought: int) -> None:
        """CX43 to CX23: 16,800 micro-euro an hour, 10.48 euro a month of 624 hours."""
        machine, joined = dear()
        machine = replace(machine, offering=CX43.key, micro_eur_per_hour=CX43.micro_eur_per_hour)
        joined = replace(joined, allocatable=CX43.allocatable)
        least = least * 10_483_200 // 14_500_000
        workers = pool(disruption=Disruption(min_savings_micro_eur_per_month=least))
        world = snapshot(
            servers=[machine], nodes=[joined], pods=[pod(node="dear")], pools=[workers]
        )

        assert len(of_kind(planned(world), CreateServer)) == bought

    def test_the_price_in_its_own_label_counts(self) -> None:
        """It was bought when it was cheap: nothing on sale today is worth a move."""
        machine, joined = dear(micro_eur_per_hour=9_000)
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear")])

        assert of_kind(planned(world), CreateServer) == []

    def test_a_node_is_unneeded_for_consolidate_after_first(self) -> None:
        machine, joined = dear()
        fresh = replace(joined, unneeded_since=None)
        world = snapshot(servers=[machine], nodes=[fresh], pods=[pod(node="dear")])

        found = planned(world)

        (mark,) = found.actions
        assert isinstance(mark, MarkUnneeded)
        assert mark.reason.code is Code.UNDERUTILIZED

    @pytest.mark.parametrize(
        ("minute", "buys"), [(41, False), (42, True), (52, True), (53, False), (5, False)]
    )
    def test_it_is_bought_in_time_for_the_hours_end(self, minute: int, *, buys: bool) -> None:
        machine, joined = dear(created_at=NOW - timedelta(days=2, minutes=minute))
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear")])

        found = planned(world)

        assert bool(of_kind(found, CreateServer)) is buys
        assert buys or why(found, "dear") is Code.HOUR_PAID

    def test_policy_when_empty_moves_no_pods(self) -> None:
        machine, joined = dear()
        world = snapshot(
            servers=[machine],
            nodes=[joined],
            pods=[pod(node="dear")],
            pools=[pool(disruption=Disruption(policy="WhenEmpty"))],
        )

        assert why(planned(world), "dear") is Code.DISRUPTION_WHEN_EMPTY

    def test_nothing_is_exchanged_while_pods_wait(self) -> None:
        machine, joined = dear()
        world = snapshot(
            servers=[machine], nodes=[joined], pods=[pod(node="dear"), pod("new", cpu="40")]
        )

        assert planned(world).actions == ()

    @pytest.mark.parametrize("seconds_old", [0, 59])
    def test_nothing_is_exchanged_while_pods_arrive(self, seconds_old: int) -> None:
        """Pods that kube-scheduler has not looked at yet may be what the room is for."""
        machine, joined = dear()
        arriving = [
            replace(pod(cpu="4", waiting_since=None), created_at=NOW - seconds(seconds_old))
            for _ in range(3)
        ]
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear"), *arriving])

        assert planned(world).actions == ()

    def test_pods_that_nobody_schedules_hold_up_no_exchange_for_long(self) -> None:
        machine, joined = dear()
        forgotten = replace(pod(waiting_since=None), created_at=NOW - minutes(2))
        world = snapshot(servers=[machine], nodes=[joined], pods=[pod(node="dear"), forgotten])

        assert of_kind(planned(world), CreateServer)


class TestMakeBeforeBreak:
    def world(self, *pods: Pod, fresh: Server | None = None, of: Server | None = None) -> Snapshot:
        machine, joined = dear(created_at=LEAVE_TIME)
        replacing = replace(
            joined, replacing_since=NOW - minutes(5), replacing_reason="Underutilized"
        )
        new = [] if fresh is None else [fresh]
        nodes = [replacing] if of is None else [replacing, node(of)]
        return snapshot(
            servers=[machine, *new], nodes=nodes, pods=[pod(node="dear", cpu="1"), *pods]
        )

    def test_the_old_node_waits_for_the_new_one(self) -> None:
        coming = server("new", status="starting", created_at=NOW - minutes(1))

        found = planned(self.world(fresh=coming))

        assert found.actions == ()
        assert why(found, "dear") is Code.WAITING_FOR_REPLACEMENT

    @pytest.mark.parametrize("taint", [STARTING_TAINT, "example.com/agent-not-ready"])
    def test_it_waits_for_a_new_node_that_is_ready_but_not_in_service(self, taint: str) -> None:
        """Giving up here bought a server each hour that nobody ever used."""
        new = server("new", created_at=NOW - minutes(1))
        early = self.world(fresh=new, of=new)
        closed = replace(early.nodes[1], taints=(Taint(key=taint),))
        slow = pool(startup_taints=(Taint(key="example.com/agent-not-ready"),))

        found = planned(replace(early, nodes=(early.nodes[0], closed), pools=(slow,)))

        assert not of_kind(found, MarkReplacing)
        assert not of_kind(found, CordonNode)
        assert why(found, "dear") is Code.WAITING_FOR_REPLACEMENT

    def test_it_is_cordoned_once_its_pods_fit(self) -> None:
        new = server("new", created_at=NOW - minutes(4))

        found = planned(self.world(fresh=new, of=new))

        (cordon,) = found.actions
        assert isinstance(cordon, CordonNode)
        assert (cordon.node, cordon.reason.code) == ("dear", Code.UNDERUTILIZED)
        assert why(found, "new") is Code.STANDS_IN

    def test_it_stays_when_the_replacement_never_registers(self) -> None:
        found = planned(self.world())

        (back,) = found.actions
        assert isinstance(back, MarkReplacing)
        assert back.since is None
        assert back.reason.code is Code.REPLACEMENT_FAILED

    def test_it_stays_when_others_took_the_room(self) -> None:
        new = server("new", created_at=NOW - minutes(4))

        found = planned(self.world(pod(node="new", cpu="1500m"), fresh=new, of=new))

        assert of_kind(found, CordonNode) == []
        assert [mark.since for mark in of_kind(found, MarkReplacing)] == [None]

    def test_the_replacement_is_not_given_back_as_empty(self) -> None:
        new = server("new", created_at=NOW - minutes(4))
        early = self.world(fresh=new, of=new)
        machine = replace(early.servers[0], created_at=NOW - timedelta(days=2, minutes=30))

        found = planned(replace(early, servers=(machine, new)))

        assert found.actions == ()
        assert (why(found, "dear"), why(found, "new")) == (Code.HOUR_PAID, Code.STANDS_IN)
