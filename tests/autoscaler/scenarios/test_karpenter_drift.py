"""Karpenter's contexts of drift, expiry and disruption budgets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoscaler.builders import (
    CONFIG,
    CX,
    NOW,
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
    LONG,
    aged_world,
    of_kind,
    planned,
    why,
)
from hk3s_autoscaler.model.nodepool import Budget, Disruption, DisruptionReason, NodePool
from hk3s_autoscaler.model.pod import DisruptionBudget, PodKey, Taint
from hk3s_autoscaler.planning.actions import (
    CordonNode,
    CreateServer,
    DeleteServer,
    MarkReplacing,
)
from hk3s_autoscaler.planning.budgets import counts
from hk3s_autoscaler.planning.reasons import Code
from hk3s_kube import cron


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
