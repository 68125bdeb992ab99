"""Karpenter's disruption contexts that apply: consolidation, drift, expiry, budgets, repair."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from autoscaler.builders import (
    CONFIG,
    CX,
    CX23,
    CX33,
    CX43,
    CX53,
    NOW,
    elsewhere,
    minutes,
    node,
    offering,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.node import STARTING_TAINT, Node, Server
from hk3s_autoscaler.model.nodepool import Budget, Disruption, DisruptionReason, NodePool
from hk3s_autoscaler.model.offering import OfferingBlock
from hk3s_autoscaler.model.pod import DisruptionBudget, Pod, PodKey, Taint, Toleration
from hk3s_autoscaler.model.relations import Relations, Spread
from hk3s_autoscaler.model.selectors import LabelSelector, Requirement
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import (
    Action,
    CordonNode,
    CreateServer,
    DeleteServer,
    DrainNode,
    MarkReplacing,
    MarkUnneeded,
    UncordonNode,
)
from hk3s_autoscaler.planning.budgets import counts
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.result import Plan
from hk3s_autoscaler.scheduling.place import ZONE_LABEL
from hk3s_kube import cron

# Minute 45: a server that is bought now is Ready when the paid hour ends.
BUY_TIME = NOW - timedelta(days=2, minutes=45)
LEAVE_TIME = NOW - timedelta(days=2, minutes=52)
LONG = NOW - minutes(30)
SECONDS_20, MINUTES_10 = seconds(20), minutes(10)
T = TypeVar("T", bound=Action)


def planned(world: Snapshot, config: PlanConfig = CONFIG, now: datetime = NOW) -> Plan:
    return plan(world, config, now)


def of_kind(found: Plan, kind: type[T]) -> list[T]:
    return [action for action in found.actions if isinstance(action, kind)]


def why(found: Plan, name: str) -> Code:
    return next(report.reason.code for report in found.nodes if report.node == name)


def dear(**changes: object) -> tuple[Server, Node]:
    """A large server that was unneeded for long, at the time to buy in its stead."""
    machine = replace(server("dear", sold=CX53, created_at=BUY_TIME), **changes)  # type: ignore[arg-type]
    return machine, replace(node(machine, sold=CX53), unneeded_since=LONG)


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


def aged_world(workers: NodePool, *pods: Pod, **changes: object) -> Snapshot:
    """One worker in minute 45 of its hour."""
    machine = server("old", created_at=BUY_TIME, image="ubuntu-24.04")
    joined = replace(node(machine), **changes)  # type: ignore[arg-type]
    return snapshot(servers=[machine], nodes=[joined], pods=pods, pools=[workers])


class TestDriftAndExpiry:
    @pytest.mark.parametrize(
        ("workers", "changes"),
        [
            pytest.param(pool(image="debian-13"), {}, id="image"),
            pytest.param(pool(labels=(("team", "a"),)), {}, id="label"),
            pytest.param(pool(taints=(Taint(key="dedicated"),)), {}, id="taint"),
            pytest.param(pool(locations=("nbg1",)), {}, id="location"),
            pytest.param(
                pool(types=replace(pool().types, names=("cx33",))), {}, id="type-no-longer-allowed"
            ),
            pytest.param(pool(), {"kubelet_version": "v1.35.9+k3s1"}, id="k3s"),
        ],
    )
    def test_a_drifted_node_is_replaced_before_it_goes(
        self, workers: NodePool, changes: dict[str, object]
    ) -> None:
        tolerant = pod(node="old")
        world = aged_world(replace(workers, min_nodes=1), tolerant, **changes)
        if workers.taints or workers.locations:
            world = replace(world, pods=())
        elsewhere = [replace(s, key=replace(s.key, location="nbg1")) for s in CX]
        world = replace(world, offerings=(*CX, *elsewhere))

        found = planned(world, replace(CONFIG, k3s_version="v1.36.5+k3s1"))

        (mark,) = of_kind(found, MarkReplacing)
        assert (mark.node, mark.why) == ("old", Code.DRIFTED)
        assert len(of_kind(found, CreateServer)) == 1

    @pytest.mark.parametrize("version", ["v1.36.5+k3s1", "v1.36.5+k3s2", "v1.37.0+k3s1", ""])
    def test_a_node_that_was_upgraded_in_place_has_not_drifted(self, version: str) -> None:
        world = aged_world(pool(), pod(node="old", cpu="1500m"), kubelet_version=version)

        found = planned(world, replace(CONFIG, k3s_version="v1.36.5+k3s1"))

        assert found.actions == ()

    def test_a_drifted_node_whose_pods_fit_elsewhere_needs_no_replacement(self) -> None:
        leaving = server("old", created_at=LEAVE_TIME, image="ubuntu-22.04")
        other = server("other", image="ubuntu-24.04")
        world = snapshot(
            servers=[leaving, other],
            nodes=[node(leaving), node(other)],
            pods=[pod(node="old"), pod(node="other", cpu="1")],
            pools=[pool(image="ubuntu-24.04")],
        )

        (cordon,) = planned(world).actions

        assert isinstance(cordon, CordonNode)
        assert (cordon.node, cordon.reason.code) == ("old", Code.DRIFTED)

    def test_one_after_another(self) -> None:
        machines = [server(f"s{n}", created_at=BUY_TIME, image="a") for n in range(10)]
        world = snapshot(
            servers=machines,
            nodes=[node(m) for m in machines],
            pods=[pod(node=m.name, cpu="1500m") for m in machines],
            pools=[pool(image="b", disruption=Disruption(budgets=(Budget(number=5),)))],
        )

        assert len(of_kind(planned(world), MarkReplacing)) == 1

    @pytest.mark.parametrize(("age", "goes"), [(minutes(0), True), (-seconds(1), False)])
    def test_expiry(self, age: timedelta, *, goes: bool) -> None:
        lifetime = NOW - BUY_TIME
        world = aged_world(pool(expire_after=lifetime - age), pod(node="old", cpu="1500m"))

        found = planned(world)

        assert [mark.why for mark in of_kind(found, MarkReplacing)] == ([Code.EXPIRED] * goes)

    def test_the_limit_leaves_no_room_for_a_replacement(self) -> None:
        world = aged_world(
            pool(expire_after=minutes(60), max_nodes=1), pod(node="old", cpu="1500m")
        )

        found = planned(world)

        assert found.actions == ()
        assert why(found, "old") is Code.MAX_NODES

    @pytest.mark.parametrize("cause", ["Drifted", "Expired"])
    def test_the_old_node_is_kept_when_its_replacement_never_registers(self, cause: str) -> None:
        """The new server is given up by itself, at its join deadline; the old one serves on."""
        workers = pool(image="debian-13", expire_after=minutes(60))
        marked = {"replacing_since": NOW - minutes(20), "replacing_reason": cause}
        coming = server("new", status="running", created_at=NOW - minutes(14), image="debian-13")
        world = aged_world(workers, pod(node="old", cpu="1500m"), **marked)

        early = planned(replace(world, servers=(*world.servers, coming)))
        late = planned(
            replace(world, servers=(*world.servers, replace(coming, created_at=NOW - minutes(15))))
        )

        assert early.actions == ()
        assert why(early, "old") is Code.WAITING_FOR_REPLACEMENT
        assert [gone.name for gone in of_kind(late, DeleteServer)] == ["new"]
        assert not of_kind(late, CordonNode)

    def test_a_drifted_node_whose_pods_may_not_be_evicted_is_kept(self) -> None:
        web = pod("web", node="old", cpu="1500m")
        none = DisruptionBudget(
            key=PodKey("web", "api"), disruptions_allowed=0, pods=frozenset({web.key})
        )
        found = planned(replace(aged_world(pool(image="debian-13"), web), budgets=(none,)))

        assert found.actions == ()
        assert why(found, "old") is Code.BLOCKED_BY_PDB

    @pytest.mark.parametrize(
        ("protected", "goes"),
        [
            ({"do_not_disrupt": True}, False),
            ({"protected_until": NOW + seconds(1)}, False),
            ({"protected_until": NOW}, True),
        ],
    )
    def test_a_protected_pod_keeps_an_expired_node_while_it_is_protected(
        self, protected: dict[str, Any], *, goes: bool
    ) -> None:
        web = replace(pod("web", node="old", cpu="1500m"), **protected)
        found = planned(aged_world(pool(expire_after=minutes(60)), web))

        assert bool(of_kind(found, MarkReplacing)) is goes
        assert goes or why(found, "old") is Code.DO_NOT_DISRUPT

    def test_a_blocked_drain_keeps_it(self) -> None:
        web = pod("web", node="old", cpu="1500m")
        world = aged_world(pool(expire_after=minutes(60)), web)
        none = DisruptionBudget(
            key=PodKey("web", "api"), disruptions_allowed=0, pods=frozenset({web.key})
        )

        found = planned(replace(world, budgets=(none,)))

        assert why(found, "old") is Code.BLOCKED_BY_PDB

    def test_unless_the_pool_limits_its_drains(self) -> None:
        web = replace(pod("web", node="old", cpu="1500m"), do_not_disrupt=True)
        limited = pool(expire_after=minutes(60), termination_grace_period=minutes(30))

        assert len(of_kind(planned(aged_world(limited, web)), MarkReplacing)) == 1


class TestBudgets:
    NIGHT = Budget(number=0, schedule=cron.parse("0 8 * * *"), duration=timedelta(hours=10))

    def cordoned(self, budgets: tuple[Budget, ...], number: int = 10) -> int:
        machines = [server(f"s{n}", created_at=LEAVE_TIME) for n in range(number)]
        nodes = [replace(node(m), unneeded_since=LONG) for m in machines]
        world = snapshot(
            servers=machines, nodes=nodes, pools=[pool(disruption=Disruption(budgets=budgets))]
        )
        return len(of_kind(planned(world), CordonNode))

    def test_by_number_and_by_share_rounded_up(self) -> None:
        assert self.cordoned((Budget(number=3),)) == 3
        assert self.cordoned((Budget(percent=25),)) == 3
        assert self.cordoned((Budget(percent=0),)) == 0
        assert self.cordoned((Budget(number=0),)) == 0

    def test_the_strictest_counts_and_none_is_no_bound(self) -> None:
        assert self.cordoned((Budget(number=3), Budget(percent=10))) == 1
        assert self.cordoned(()) == 10

    def test_only_for_its_reasons(self) -> None:
        assert self.cordoned((Budget(number=0, reasons=("Drifted", "Underutilized")),)) == 10
        assert self.cordoned((Budget(number=2, reasons=("Empty",)),)) == 2

    @pytest.mark.parametrize(
        ("now", "closed"),
        [
            (datetime(2026, 11, 23, 7, 59, 59, tzinfo=UTC), False),
            (datetime(2026, 11, 23, 8, tzinfo=UTC), True),
            (datetime(2026, 11, 23, 17, 59, 59, tzinfo=UTC), True),
            (datetime(2026, 11, 23, 18, tzinfo=UTC), False),
        ],
    )
    def test_from_the_minute_that_it_names_until_its_duration_is_over(
        self, now: datetime, *, closed: bool
    ) -> None:
        assert counts(self.NIGHT, now) is closed

    @pytest.mark.parametrize("month", [3, 10])
    def test_schedules_are_in_utc_so_that_a_change_of_clocks_changes_nothing(
        self, month: int
    ) -> None:
        """In Europe 02:30 is missing on a Sunday of March, and comes twice on one of October."""
        sunday = max(day for day in range(25, 32) if datetime(2026, month, day).weekday() == 6)  # noqa: DTZ001
        early = Budget(number=0, schedule=cron.parse("30 2 * * *"), duration=timedelta(hours=1))
        begin = datetime(2026, month, sunday, 2, 30, tzinfo=UTC)

        assert [counts(early, begin + minutes(m)) for m in (-1, 0, 59, 60)] == [
            False,
            True,
            True,
            False,
        ]

    @pytest.mark.parametrize(
        ("budgets", "begun"),
        [
            pytest.param((Budget(number=0),), 0, id="none"),
            pytest.param((Budget(percent=0),), 0, id="no share"),
            pytest.param((Budget(number=0, reasons=("Drifted",)),), 0, id="none for this"),
            pytest.param((Budget(number=0, reasons=("Empty", "Underutilized")),), 1, id="others"),
            pytest.param((NIGHT,), 0, id="in its hours"),
            pytest.param(
                (replace(NIGHT, schedule=cron.parse("0 13 * * *")),), 1, id="outside its hours"
            ),
            pytest.param((), 1, id="no bound"),
        ],
    )
    @pytest.mark.parametrize("cause", ["Drifted", "Expired"])
    def test_drift_and_expiry_keep_to_them_too(
        self, budgets: tuple[Budget, ...], begun: int, cause: str
    ) -> None:
        """Differs for expiry: Karpenter then deletes the node at once, budget or not."""
        kind: DisruptionReason = "Drifted" if cause == "Drifted" else "Expired"
        own = tuple(
            replace(b, reasons=(kind,)) if b.reasons == ("Drifted",) else b for b in budgets
        )
        workers = pool(disruption=Disruption(budgets=own))
        if cause == "Drifted":
            workers = replace(workers, image="debian-13")
        else:
            workers = replace(workers, expire_after=minutes(60))

        found = planned(aged_world(workers, pod(node="old", cpu="1500m")))

        assert [mark.why for mark in of_kind(found, MarkReplacing)] == [Code(cause)] * begun
        assert begun or why(found, "old") is Code.DISRUPTION_BUDGET

    def test_nodes_that_are_leaving_use_it_up(self) -> None:
        machines = [server(f"s{n}", created_at=LEAVE_TIME) for n in range(10)]
        leaving = [
            replace(node(m), unschedulable=True, draining_since=NOW, draining_reason="Empty")
            for m in machines[:2]
        ]
        marked = [replace(node(m), unneeded_since=LONG) for m in machines[2:]]
        workers = pool(disruption=Disruption(budgets=(Budget(number=3),)))
        found = planned(snapshot(servers=machines, nodes=[*leaving, *marked], pools=[workers]))

        assert len(of_kind(found, CordonNode)) == 1

    def test_only_in_its_hours(self) -> None:
        later = replace(self.NIGHT, schedule=cron.parse("0 13 * * *"))

        assert self.cordoned((self.NIGHT,)) == 0
        assert self.cordoned((later,)) == 10


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
