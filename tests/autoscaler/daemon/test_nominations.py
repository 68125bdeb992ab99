"""A pod is counted onto the node that it is nominated to, but not for ever."""

from dataclasses import replace

import pytest

from autoscaler import fakes
from hk3s_autoscaler.daemon.nominations import BELIEVED, Nominations
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.pod import Pod

NODE = fakes.node("a")
WAITING = replace(fakes.pod(unschedulable=True), nominated_node="a")


def believed(
    kept: Nominations, at: float, *others: Pod, node: Node = NODE, pod: Pod = WAITING
) -> str:
    return kept.believable((pod, *others), (node,), at)[0].nominated_node


def test_a_nomination_holds_for_a_minute_after_the_node_could_take_the_pod() -> None:
    kept = Nominations()

    assert believed(kept, 0.0, node=replace(NODE, ready=False)) == "a"
    assert believed(kept, 500.0) == "a"
    assert believed(kept, 500.0 + BELIEVED - 1) == "a"
    assert believed(kept, 500.0 + BELIEVED) == ""


def test_pods_that_make_way_are_waited_for() -> None:
    kept, victim = Nominations(), replace(fakes.pod("v", node="a"), deleted_at=fakes.START)

    assert believed(kept, 0.0, victim) == "a"
    assert believed(kept, 300.0, victim) == "a"
    assert believed(kept, 301.0) == "a"
    assert believed(kept, 301.0 + BELIEVED) == ""


def test_another_nomination_is_believed_anew() -> None:
    kept = Nominations()
    believed(kept, 0.0)
    other = replace(NODE, name="b")

    assert believed(kept, 90.0, node=other, pod=replace(WAITING, nominated_node="b")) == "b"


@pytest.mark.parametrize("pod", [WAITING, replace(WAITING, node="a")], ids=["waiting", "bound"])
def test_only_a_waiting_pod_forgets_a_node_that_is_gone(pod: Pod) -> None:
    (seen,) = Nominations().believable((pod,), (), 0.0)

    assert seen.nominated_node == ("a" if pod.node else "")
