"""May a node's pods be moved? cluster-autoscaler's rules in order, and ours where they differ.

Each case is a node in minute 55 of its paid hour, long marked as unneeded, beside one with room.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from autoscaler.builders import CONFIG, LONG_AGO, NOW, minutes, node, pod, seconds, server, snapshot
from hk3s_autoscaler.model.pod import DisruptionBudget, Owner, Pod, PodKey
from hk3s_autoscaler.planning.actions import CordonNode
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

OLD = server("old", created_at=NOW - minutes(24 * 60 + 55), micro_eur_per_hour=13_600)
STAYS = server("stays")
PLAIN = replace(pod("web-1", node="old"), created_at=LONG_AGO)
BUSY = pod("busy", node="stays", cpu="500m")


def owned_by(kind: str) -> Pod:
    return replace(PLAIN, owner=Owner(kind=kind, name="owner", uid="u"))


def in_kube_system(**changes: object) -> Pod:
    made = replace(PLAIN, key=PodKey("kube-system", "coredns-1"))
    return replace(made, **changes)  # type: ignore[arg-type]


def budget(name: str, allowed: int, *pods: Pod) -> DisruptionBudget:
    return DisruptionBudget(
        key=PodKey("web", name),
        disruptions_allowed=allowed,
        pods=frozenset(p.key for p in pods),
    )


def outcome(*pods: Pod, budgets: tuple[DisruptionBudget, ...] = ()) -> Code | None:
    """The code for which the node is cordoned is None; else what keeps it."""
    marked = replace(node(OLD), unneeded_since=NOW - minutes(11))
    found = plan(
        snapshot(
            servers=[OLD, STAYS], nodes=[marked, node(STAYS)], pods=[BUSY, *pods], budgets=budgets
        ),
        CONFIG,
        NOW,
    )
    if any(isinstance(action, CordonNode) and action.node == "old" for action in found.actions):
        return None
    return next(report.reason.code for report in found.nodes if report.node == "old")


@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController", "StatefulSet", "Job"])
def test_a_pod_that_a_controller_makes_anew_is_moved(kind: str) -> None:
    assert outcome(owned_by(kind)) is None


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        pytest.param(replace(PLAIN, owner=None), Code.NOT_REPLICATED, id="naked"),
        pytest.param(owned_by("Cluster"), Code.NOT_REPLICATED, id="custom-controller"),
        pytest.param(replace(PLAIN, local_storage=("cache",)), Code.LOCAL_STORAGE, id="local"),
        pytest.param(
            replace(PLAIN, safe_to_evict=False), Code.NOT_SAFE_TO_EVICT, id="not-safe-to-evict"
        ),
        pytest.param(
            replace(PLAIN, evict_on_completion=True), Code.ON_COMPLETION, id="on-completion"
        ),
        pytest.param(
            in_kube_system(created_at=NOW - minutes(60)), Code.SYSTEM_POD, id="young-system-pod"
        ),
        pytest.param(replace(PLAIN, do_not_disrupt=True), Code.DO_NOT_DISRUPT, id="karpenter"),
        pytest.param(
            replace(PLAIN, do_not_disrupt=True, safe_to_evict=True),
            Code.DO_NOT_DISRUPT,
            id="the-protecting-annotation-wins",
        ),
        pytest.param(
            replace(PLAIN, protected_until=NOW + seconds(1)), Code.DO_NOT_DISRUPT, id="for-a-time"
        ),
        pytest.param(
            replace(PLAIN, owner=None, do_not_disrupt=True), Code.DO_NOT_DISRUPT, id="both"
        ),
    ],
)
def test_what_keeps_a_pod_where_it_is(kept: Pod, code: Code) -> None:
    assert outcome(kept) is code


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param(replace(PLAIN, mirror=True, owner=None, local_storage=("x",)), id="mirror"),
        pytest.param(
            replace(
                PLAIN,
                owner=None,
                grace=seconds(30),
                deleted_at=NOW - seconds(61),
            ),
            id="long-terminating",
        ),
        pytest.param(
            replace(PLAIN, owner=None, deleted_at=NOW), id="ending-anyway-is-no-reason-to-stay"
        ),
        pytest.param(replace(owned_by("DaemonSet"), local_storage=("x",)), id="daemonset"),
        pytest.param(replace(PLAIN, owner=None, phase="Failed"), id="failed"),
        pytest.param(replace(PLAIN, owner=None, phase="Succeeded"), id="succeeded"),
        pytest.param(replace(PLAIN, owner=None, safe_to_evict=True), id="safe-beats-naked"),
        pytest.param(
            replace(PLAIN, local_storage=("x",), safe_to_evict=True), id="safe-beats-local-storage"
        ),
        pytest.param(
            in_kube_system(created_at=NOW, safe_to_evict=True), id="safe-beats-kube-system"
        ),
        pytest.param(
            in_kube_system(created_at=NOW - minutes(60) - seconds(1)), id="older-system-pod"
        ),
        pytest.param(replace(PLAIN, protected_until=NOW), id="protection-is-over"),
    ],
)
def test_what_does_not(moved: Pod) -> None:
    assert outcome(moved) is None


def test_an_older_system_pod_is_still_asked_the_other_rules() -> None:
    assert outcome(in_kube_system(local_storage=("x",))) is Code.LOCAL_STORAGE


class TestBudgets:
    def test_one_that_allows_an_eviction(self) -> None:
        assert outcome(PLAIN, budgets=(budget("api", 1, PLAIN),)) is None

    def test_one_that_does_not(self) -> None:
        assert outcome(PLAIN, budgets=(budget("api", 0, PLAIN),)) is Code.BLOCKED_BY_PDB

    def test_one_of_other_pods(self) -> None:
        assert outcome(PLAIN, budgets=(budget("api", 0, BUSY),)) is None

    def test_two_over_one_pod_can_never_be_satisfied(self) -> None:
        both = (budget("api", 5, PLAIN), budget("all", 5, PLAIN))

        assert outcome(PLAIN, budgets=both) is Code.BLOCKED_BY_PDB

    def test_safe_to_evict_does_not_beat_it(self) -> None:
        safe = replace(PLAIN, safe_to_evict=True)

        assert outcome(safe, budgets=(budget("api", 0, safe),)) is Code.BLOCKED_BY_PDB

    def test_a_young_system_pod_with_one_may_move(self) -> None:
        system = in_kube_system(created_at=NOW)

        assert outcome(system, budgets=(budget("dns", 1, system),)) is None

    def test_several_pods_under_one_that_allows_a_single_eviction(self) -> None:
        """The node goes; the Eviction API lets them pass one by one."""
        second = replace(PLAIN, key=PodKey("default", "web-2"))

        assert outcome(PLAIN, second, budgets=(budget("api", 1, PLAIN, second),)) is None

    def test_the_reason_names_it(self) -> None:
        marked = replace(node(OLD), unneeded_since=NOW - minutes(11))
        world = snapshot(
            servers=[OLD, STAYS],
            nodes=[marked, node(STAYS)],
            pods=[BUSY, PLAIN],
            budgets=(budget("api", 0, PLAIN),),
        )

        report = plan(world, CONFIG, NOW).nodes[0]

        assert str(report.reason) == (
            "BlockedByPdb: web/api allows no eviction of default/web-1 now"
        )


def test_the_first_rule_that_decides_is_told() -> None:
    everything = replace(PLAIN, owner=None, safe_to_evict=False, local_storage=("x",))

    assert outcome(everything) is Code.NOT_REPLICATED


def test_one_protected_pod_keeps_a_node_with_others() -> None:
    protected = replace(PLAIN, key=PodKey("default", "b"), do_not_disrupt=True)

    assert outcome(PLAIN, protected) is Code.DO_NOT_DISRUPT


def test_protection_for_a_time_says_until_when() -> None:
    until = NOW + timedelta(hours=4)
    marked = replace(node(OLD), unneeded_since=NOW - minutes(11))
    world = snapshot(
        servers=[OLD, STAYS],
        nodes=[marked, node(STAYS)],
        pods=[BUSY, replace(PLAIN, protected_until=until)],
    )

    assert plan(world, CONFIG, NOW).nodes[0].reason.message == (
        "default/web-1 is protected until 16:00 UTC"
    )
