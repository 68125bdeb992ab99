"""Workers that are no longer what their pool asks for, and those that only look so."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.builders import CONFIG, NOW, node, pod, pool, server, snapshot
from hk3s_autoscaler.model import template
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.planning.actions import CreateServer, MarkReplacing
from hk3s_autoscaler.planning.candidates import Candidate
from hk3s_autoscaler.planning.drift import aged
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.planning.world import World

FAST, TEAM, SSD = ("disk", "fast"), ("team", "a"), ("kind", "ssd")
BATCH, GPU = Taint(key="dedicated", value="batch"), Taint(key="gpu", effect="NoExecute")
BYHAND = ("example.com/rack", "7")
NODE_TAINT = Taint(key="node.kubernetes.io/unschedulable")


def drifted(
    born: NodePool,
    now: NodePool,
    *,
    record: str | None = None,
    labels: tuple[tuple[str, str], ...] = (),
    taints: tuple[Taint, ...] = (),
) -> str:
    """Say why a worker that was made for one pool drifted from another; empty if it did not.

    `labels` and `taints` came to the Node later.
    """
    machine = server(template=template.record(born) if record is None else record)
    joined = node(machine)
    joined = replace(
        joined,
        labels=tuple(sorted({**dict(joined.labels), **dict(born.labels), **dict(labels)}.items())),
        taints=(*born.taints, *taints),
    )
    world = World(
        snapshot=snapshot(servers=[machine], nodes=[joined], pools=[now]), config=CONFIG, now=NOW
    )
    (worker,) = world.workers
    assert worker.server is not None
    assert worker.node is not None
    candidate = Candidate(pool=now, server=worker.server, node=worker.node, pods=())
    found = aged(candidate, world)
    assert found is None or found.code is Code.DRIFTED
    return found.message if found is not None else ""


@pytest.mark.parametrize(
    ("born", "now", "more", "message"),
    [
        pytest.param(
            {"labels": (FAST, TEAM)},
            {"labels": (TEAM,)},
            {"labels": (BYHAND,)},
            "label disk=fast is not asked for by the pool any more",
            id="a label",
        ),
        pytest.param(
            {"labels": (FAST, TEAM)},
            {},
            {"labels": (BYHAND,)},
            "labels disk=fast, team=a are not asked for by the pool any more",
            id="two labels",
        ),
        pytest.param(
            {"labels": (FAST, TEAM, SSD)},
            {},
            {},
            "labels disk=fast, kind=ssd, team=a are not asked for by the pool any more",
            id="more than are looked for one by one",
        ),
        pytest.param(
            {"taints": (BATCH, GPU)},
            {"taints": (BATCH,)},
            {"taints": (NODE_TAINT,)},
            "taint gpu:NoExecute is not asked for by the pool any more",
            id="a taint",
        ),
        pytest.param(
            {"labels": (FAST,)},
            {"labels": (("disk", "slow"),)},
            {},
            "label disk is fast, the pool wants slow",
            id="another value, told as ever",
        ),
    ],
)
def test_what_the_pool_dropped_is_named(
    born: dict[str, Any], now: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    assert drifted(pool(**born), pool(**now), **more) == message


@pytest.mark.parametrize(
    ("born", "now", "more"),
    [
        pytest.param({"labels": (FAST,)}, {"labels": (FAST,)}, {"labels": (BYHAND,)}, id="a label"),
        pytest.param({"taints": (GPU,)}, {"taints": (GPU,)}, {"taints": (BATCH,)}, id="a taint"),
        pytest.param({}, {"startup_taints": (GPU,)}, {}, id="a startup taint of the pool"),
        pytest.param({}, {"labels": (FAST,)}, {"labels": (FAST,)}, id="what the pool asks for now"),
        pytest.param(
            {"labels": (FAST,)}, {}, {"record": ""}, id="a server of a release without records"
        ),
        pytest.param(
            {"labels": (FAST,)}, {}, {"record": "2.x.y"}, id="a record of a later release"
        ),
    ],
)
def test_what_is_no_drift(born: dict[str, Any], now: dict[str, Any], more: dict[str, Any]) -> None:
    assert drifted(pool(**born), pool(**now), **more) == ""


def test_a_label_that_was_taken_from_pool_and_node_is_no_drift() -> None:
    born = template.record(pool(labels=(FAST,)))

    assert drifted(pool(), pool(), record=born) == ""


def test_a_worker_with_a_dropped_label_is_replaced_before_it_goes() -> None:
    before, after = pool(labels=(TEAM,)), pool()
    machine = server("old", template=template.record(before))
    joined = node(machine)
    joined = replace(joined, labels=(*joined.labels, TEAM))
    world = snapshot(
        servers=[machine], nodes=[joined], pods=[pod(node="old", cpu="1500m")], pools=[after]
    )
    world = replace(world, servers=(replace(machine, created_at=NOW.replace(hour=0, minute=15)),))

    actions = plan(world, CONFIG, NOW.replace(hour=12, minute=0)).actions

    assert [type(action) for action in actions] == [MarkReplacing, CreateServer]
    mark = actions[0]
    assert isinstance(mark, MarkReplacing)
    assert mark.why is Code.DRIFTED


def test_a_master_has_no_pool_to_drift_from() -> None:
    machine = server("master", pool="")
    joined = replace(node(machine), pool="", is_master=True, labels=(TEAM,))

    assert plan(snapshot(servers=[], nodes=[joined]), CONFIG, NOW).actions == ()
