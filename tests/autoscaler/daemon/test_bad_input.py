"""What nobody can serve says so on its own object; everything else is served."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from autoscaler import fakes
from autoscaler.daemon.test_with_planner import Planned
from hk3s_autoscaler.adapters import convert, pools
from hk3s_autoscaler.daemon.explain import explain
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_kube import objects

CREATED = "2026-11-23T12:00:00Z"
REFUSED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "lastTransitionTime": CREATED,
}


def stored_pool(**spec: object) -> NodePool:
    """A pool as the API server has it, read as the daemon reads it."""
    stored = objects.NodePoolObject(
        metadata=objects.ObjectMeta(name="broken", uid="uid-broken"), spec={"maxNodes": 3, **spec}
    )
    return pools.nodepool(stored, architecture="x86")


def stored_pod(spec: dict[str, Any], requests: dict[str, str] | None = None) -> Pod:
    """A pod as the API server has it, which kube-scheduler refused."""
    container = {"name": "c", "resources": {"requests": requests or {"cpu": "100m"}}}
    value = {
        "metadata": {
            "name": "odd",
            "namespace": "default",
            "uid": "uid-odd",
            "creationTimestamp": CREATED,
        },
        "spec": {"containers": [container], **spec},
        "status": {"phase": "Pending", "conditions": [REFUSED]},
    }
    return convert.pod(msgspec.convert(value, objects.Pod))


@pytest.fixture
def world() -> Planned:
    """One pool that serves, and three pods that it serves."""
    world = Planned()
    world.pods(3)
    return world


def is_served(world: Planned) -> bool:
    return all(p.node for k, p in world.cluster.pod_objects.items() if k.name.startswith("web"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"minNodes": 20}, "minNodes", id="a minimum above the maximum"),
        pytest.param({"maxNodes": "many"}, "maxNodes", id="no number"),
        pytest.param({"limits": {"memory": "64 gigs"}}, "limits", id="no quantity"),
        pytest.param(
            {"requirements": {"minMemory": "much"}}, "requirements", id="no quantity of memory"
        ),
        pytest.param({"serverTypes": ["cx99"]}, "serverTypes cx99", id="a type that nobody sells"),
        pytest.param({"locations": ["mars1"]}, "arch amd64, locations mars1", id="no such place"),
        pytest.param({"requirements": {"arch": ["arm64"]}}, "arch arm64", id="an architecture"),
        pytest.param({"requirements": {"minCores": 500}}, "minCores 500", id="too many cores"),
        pytest.param({"requirements": {"minMemory": "9Ti"}}, "minMemory 9216Gi", id="memory"),
        pytest.param({"requirements": {"maxCores": 1}}, "maxCores 1", id="too few cores"),
        pytest.param({"requirements": {"maxMemory": "1Gi"}}, "maxMemory 1Gi", id="too little"),
        pytest.param(
            {"requirements": {"cpuType": ["dedicated"]}}, "cpuType dedicated", id="a kind of CPU"
        ),
    ],
)
async def test_a_pool_that_can_never_serve_says_so_and_the_others_serve(
    world: Planned, spec: dict[str, Any], words: str
) -> None:
    world.cluster.add(stored_pool(**spec))

    await world.live(20)

    conditions = {c.type: c for c in world.cluster.statuses["broken"].conditions}
    assert (conditions["Ready"].status, conditions["Ready"].reason) == (False, "Invalid")
    assert words in conditions["Ready"].message
    told = explain(world.cluster.report, "pool", "broken")
    assert told is not None
    assert "PoolInvalid" in told.as_text()
    assert words in told.as_text()
    assert is_served(world)
    assert {c.type: c.status for c in world.cluster.statuses["workers"].conditions}["Ready"]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({"maxNodes": 0}, "MaxNodes", id="no node at all"),
        pytest.param({"limits": {"cpu": "1"}}, "PoolLimit", id="a limit below every server"),
        pytest.param({"limits": {"euroPerHour": 0.0001}}, "EuroLimit", id="a price below all"),
    ],
)
async def test_a_pool_whose_limits_allow_nothing_is_at_its_limit(
    world: Planned, spec: dict[str, Any], reason: str
) -> None:
    world.cluster.add(stored_pool(**spec))

    await world.live(20)

    conditions = {c.type: c for c in world.cluster.statuses["broken"].conditions}
    assert (conditions["AtLimit"].status, conditions["AtLimit"].reason) == (True, reason)
    assert conditions["Ready"].status
    assert is_served(world)


async def test_a_pool_that_nobody_tolerates_is_in_order(world: Planned) -> None:
    taint = {"key": "nobody", "value": "wants", "effect": "NoSchedule"}
    world.cluster.add(stored_pool(taints=[taint]))

    await world.live(20)

    conditions = {c.type: c for c in world.cluster.statuses["broken"].conditions}
    assert (conditions["Ready"].status, conditions["AtLimit"].status) == (True, False)
    assert is_served(world)


async def test_a_catalogue_that_was_not_read_says_nothing_of_a_pool(world: Planned) -> None:
    world.cloud.offerings = ()
    world.cluster.add(stored_pool(serverTypes=["cx23"]))

    await world.live(3)

    conditions = {c.type: c for c in world.cluster.statuses["broken"].conditions}
    assert conditions["Ready"].status


def affinity(operator: str) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "disk", "operator": operator, "values": ["fast"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("odd", "code", "words"),
    [
        pytest.param(
            stored_pod({}, {"memory": "lots"}), "UnsupportedConstraint", "lots", id="no quantity"
        ),
        pytest.param(
            stored_pod(affinity("Resembles")),
            "UnsupportedConstraint",
            "Resembles",
            id="an operator of node affinity",
        ),
        pytest.param(
            stored_pod({"tolerations": [{"key": "a", "operator": "Roughly"}]}),
            "UnsupportedConstraint",
            "Roughly",
            id="an operator of a toleration",
        ),
        pytest.param(
            stored_pod({}, {"cpu": "900"}), "NoOfferingFits", "cpu 900", id="more than is sold"
        ),
        pytest.param(
            stored_pod({"nodeSelector": {"disk": "fast"}}),
            "NoPoolMatches",
            "disk=fast",
            id="a label that no pool has",
        ),
    ],
)
async def test_a_pod_that_cannot_be_served_is_told_and_the_others_run(
    world: Planned, odd: Pod, code: str, words: str
) -> None:
    world.cluster.add(replace(odd, unschedulable_since=fakes.START))

    await world.live(1)

    told = explain(world.cluster.report, "pod", "default/odd")
    assert told is not None
    assert told.facts["code"] == code
    assert words in told.facts["message"]
    events = [
        (reason, message) for about, reason, message in world.cluster.events if about.name == "odd"
    ]
    assert [reason for reason, _ in events] == ["NotTriggeredScaleUp"]
    assert words in events[0][1]
    await world.live(19)
    served = {k.name: p.node for k, p in world.cluster.pod_objects.items()}
    assert all(served[f"web-{n}"] for n in range(3))
