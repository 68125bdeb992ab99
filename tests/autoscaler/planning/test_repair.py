"""Finishing what was begun, giving up on what does not join, collecting orphans."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from autoscaler.builders import (
    CONFIG,
    LONG_AGO,
    NOW,
    minutes,
    node,
    pod,
    pool,
    seconds,
    server,
    snapshot,
)
from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.model.snapshot import Snapshot
from hk3s_autoscaler.planning.actions import Action, DeleteNode, DeleteServer, FinishServer
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

HEALTHY = server("demo-workers-fine1")
FINE = node(HEALTHY)


def actions(world: Snapshot, now: datetime = NOW) -> tuple[Action, ...]:
    kinds = FinishServer | DeleteServer | DeleteNode
    found = plan(replace(world, servers_read_at=now), CONFIG, now).actions
    return tuple(action for action in found if isinstance(action, kinds))


def deleted(world: Snapshot, now: datetime = NOW) -> list[tuple[str, Code]]:
    return [
        (a.name if isinstance(a, DeleteServer) else a.node, a.reason.code)
        for a in actions(world, now)
        if isinstance(a, DeleteServer | DeleteNode)
    ]


def beside(*servers: Server, nodes: tuple[Node, ...] = (), **changes: object) -> Snapshot:
    """A world in which one worker is fine."""
    world = snapshot(servers=(HEALTHY, *servers), nodes=(FINE, *nodes))
    keep = pod(node=HEALTHY.name)
    return replace(world, pods=(keep,), **changes)  # type: ignore[arg-type]


class TestFinishing:
    def test_a_server_without_the_network_is_attached(self) -> None:
        (finish,) = actions(beside(server("s", status="off", attached=False, created_at=NOW)))

        assert isinstance(finish, FinishServer)
        assert (finish.name, finish.step) == ("s", "attach")
        assert finish.reason.code is Code.UNFINISHED_CREATE

    def test_an_attached_server_that_is_off_is_powered_on(self) -> None:
        (finish,) = actions(beside(server("s", status="off", created_at=NOW)))

        assert isinstance(finish, FinishServer)
        assert finish.step == "power-on"

    @pytest.mark.parametrize(
        "busy",
        [
            server("s", status="off", attached=False, locked=True, created_at=NOW),
            server("s", status="initializing", attached=False, created_at=NOW),
            server("s", status="requested", attached=False, created_at=NOW),
            server("s", created_at=NOW),
        ],
    )
    def test_a_server_that_is_busy_or_complete_is_left_alone(self, busy: Server) -> None:
        assert actions(beside(busy)) == ()

    def test_a_server_whose_token_expired_is_deleted_instead(self) -> None:
        late = server(
            "s", status="off", attached=False, created_at=NOW - minutes(9), token_expires_at=NOW
        )

        assert deleted(beside(late)) == [("s", Code.TOKEN_EXPIRED)]
        assert deleted(beside(late), NOW - seconds(1)) == []
        assert len(actions(beside(late), NOW - seconds(1))) == 1

    def test_a_joined_server_that_somebody_switched_off_is_left_off(self) -> None:
        off = server("s", status="off")

        assert actions(beside(off, nodes=(node(off),))) == ()


class TestJoining:
    def test_a_server_that_is_no_node_by_the_deadline_is_deleted(self) -> None:
        slow = server("s", created_at=NOW - minutes(15))

        assert deleted(beside(slow)) == [("s", Code.JOIN_TIMED_OUT)]
        assert deleted(beside(slow), NOW - seconds(1)) == []

    def test_a_node_that_never_became_ready_is_given_up_too(self) -> None:
        slow = server("s", created_at=NOW - minutes(15))
        joined = NOW - minutes(10)
        stuck = node(slow, created_at=joined, ready=False, not_ready_since=joined, ready_since=None)

        (delete,) = actions(beside(slow, nodes=(stuck,)))

        assert isinstance(delete, DeleteServer)
        assert (delete.node, delete.reason.code) == ("s", Code.JOIN_TIMED_OUT)

    def test_a_node_that_was_ready_before_is_not(self) -> None:
        old = server("s")
        silent = node(old, ready=False, not_ready_since=NOW - minutes(9), ready_since=None)

        assert deleted(beside(old, nodes=(silent,))) == []

    def test_the_message_says_how_far_it_came(self) -> None:
        slow = server("s", created_at=NOW - minutes(15))
        report = JoinReport(
            server_name="s", step="egress", error="no-egress", message="no name resolves"
        )

        (delete,) = actions(beside(slow, join_reports=(report,)))

        assert delete.reason.message == (
            "not a Ready node by 12:00 UTC: egress: no-egress no name resolves"
        )

    @pytest.mark.parametrize(
        ("error", "hopeless"),
        [
            ("ca-hash-mismatch", True),
            ("token-rejected", True),
            ("name-taken", True),
            ("label-forbidden", True),
            ("bad-config", True),
            ("bad-user-data", True),
            ("api-unreachable", False),
            ("no-egress", False),
        ],
    )
    def test_an_error_that_no_retry_cures_ends_the_wait(
        self, error: str, *, hopeless: bool
    ) -> None:
        report = JoinReport(server_name="s", step="join", error=error, message="it says")
        world = beside(server("s", created_at=NOW - minutes(1)), join_reports=(report,))

        assert deleted(world) == ([("s", Code.JOIN_FAILED)] if hopeless else [])

    def test_the_first_server_of_all_may_be_given_up(self) -> None:
        world = snapshot(servers=[server("s", created_at=NOW - minutes(15))])

        assert deleted(world) == [("s", Code.JOIN_TIMED_OUT)]

    def test_the_clock_of_a_join_starts_anew_after_an_outage(self) -> None:
        slow = server("s", created_at=NOW - minutes(29))
        world = beside(slow, healthy_since=NOW - minutes(15))

        assert deleted(world) == [("s", Code.JOIN_TIMED_OUT)]
        assert deleted(world, NOW - seconds(1)) == []

    def test_an_outage_does_not_make_old_workers_look_like_failed_joins(self) -> None:
        """A list of Nodes that comes back empty must not cost every server."""
        world = snapshot(servers=[server("a"), server("b")], healthy_since=NOW - minutes(15))

        assert deleted(world) == []
        assert deleted(world, NOW + minutes(60)) == []

    def test_a_server_given_up_is_replaced_in_the_same_plan(self) -> None:
        slow = server("s", created_at=NOW - minutes(15), bought_for=())
        world = snapshot(servers=[slow], pods=[pod(waiting_since=NOW - minutes(15))])

        kinds = [type(action).__name__ for action in plan(world, CONFIG, NOW).actions]

        assert kinds == ["DeleteServer", "CreateServer"]


class TestOrphans:
    def test_a_server_that_lost_its_node_is_collected(self) -> None:
        assert deleted(beside(server("s"))) == [("s", Code.ORPHANED_SERVER)]

    def test_a_server_of_another_cluster_is_never_touched(self) -> None:
        foreign = server("s", cluster_uid="another")

        assert actions(beside(foreign)) == ()

    def test_no_server_is_collected_while_no_node_of_any_pool_is_known(self) -> None:
        world = snapshot(servers=[server("a"), server("b")])

        found = plan(world, CONFIG, NOW)

        assert found.actions == ()
        assert {report.reason.code for report in found.nodes} == {Code.TOO_MANY_ORPHANS}

    def test_no_more_than_a_fifth_is_collected_at_once(self) -> None:
        fine = [server(f"fine-{n}") for n in range(8)]
        lost = [server("lost-1"), server("lost-2")]
        nodes = [node(machine) for machine in fine]
        pods = [pod(node=machine.name) for machine in fine]

        fifth = snapshot(servers=[*fine, *lost], nodes=nodes, pods=pods)
        more = snapshot(servers=[*fine[:7], *lost], nodes=nodes[:7], pods=pods[:7])

        assert len(deleted(fifth)) == 2
        assert deleted(more) == []

    def test_a_node_whose_server_is_gone_goes_after_the_grace(self) -> None:
        gone = node(server("s"), ready=False, not_ready_since=NOW - minutes(5))

        assert deleted(beside(nodes=(gone,))) == [("s", Code.ORPHANED_NODE)]
        assert deleted(beside(nodes=(gone,)), NOW - seconds(1)) == []

    def test_a_node_that_answers_has_a_server_whatever_the_list_says(self) -> None:
        assert deleted(beside(nodes=(node(server("s")),))) == []

    def test_a_node_without_the_ownership_label_is_never_deleted(self) -> None:
        foreign = node(name="metal", ready=False, not_ready_since=LONG_AGO)

        assert deleted(beside(nodes=(foreign,))) == []

    def test_a_node_younger_than_the_list_of_servers_is_left_alone(self) -> None:
        gone = node(server("s"), ready=False, not_ready_since=NOW - minutes(5))
        world = replace(beside(nodes=(gone,)), servers_read_at=NOW - minutes(6))

        assert plan(world, CONFIG, NOW).actions == ()

    def test_a_drained_node_goes_as_soon_as_its_server_is_gone(self) -> None:
        drained = node(server("s"), draining_since=NOW - seconds(5), draining_reason="Empty")

        assert deleted(beside(nodes=(drained,))) == [("s", Code.SERVER_GONE)]


@pytest.mark.parametrize(
    ("since", "frozen"),
    [(None, True), (NOW - minutes(10) + seconds(1), True), (NOW - minutes(10), False)],
)
def test_nothing_is_deleted_until_the_world_is_seen_clearly(
    since: datetime | None, *, frozen: bool
) -> None:
    created = NOW - timedelta(days=3)
    world = beside(server("s", created_at=created), healthy_since=since)
    slow_pool = pool(join_timeout=minutes(1))

    found = plan(replace(world, pools=(slow_pool,)), CONFIG, NOW)

    deletes = [a for a in found.actions if isinstance(a, DeleteServer)]
    assert (deletes == []) is frozen
