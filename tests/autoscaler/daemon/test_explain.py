"""From a decision to the answer of `explain`."""

import json
from datetime import datetime

import pytest

from autoscaler import fakes
from autoscaler.daemon.world import World, create
from hk3s_autoscaler.daemon.explain import Explanation, explain
from hk3s_autoscaler.model.pod import PodKey
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.result import NodeReport, Plan, PodReport, PoolReport


class Reporting(World):
    """A world whose plan says why."""

    def plan(self, snapshot: Snapshot, config: PlanConfig, now: datetime) -> Plan:
        return Plan(
            actions=super().plan(snapshot, config, now).actions,
            pods=(
                PodReport(
                    pod=PodKey("default", "web-1"),
                    reason=Reason(Code.MAX_NODES, "pool workers has its 10 nodes"),
                ),
            ),
            nodes=(
                NodeReport(
                    node="demo-workers-a", pool="workers", reason=Reason(Code.IN_USE, "3 pods")
                ),
            ),
            pools=(
                PoolReport(
                    pool="workers",
                    servers=1,
                    ready=1,
                    micro_eur_per_hour=6000,
                    blocked=(Reason(Code.MAX_NODES, "10 of 10"),),
                ),
            ),
        )


@pytest.fixture
async def world() -> World:
    world = Reporting()
    world.cluster.add(fakes.pod("web-1", unschedulable=True))
    world.do(create(pods=("web-1",)))
    await world.turn()
    return world


def found(world: World, kind: str, name: str) -> Explanation:
    answer = explain(world.cluster.report, kind, name)  # type: ignore[arg-type] # a test's words
    assert answer is not None
    return answer


async def test_a_pod_learns_why_it_waits(world: World) -> None:
    answer = found(world, "pod", "web-1")

    assert json.loads(answer.as_json())["code"] == "MaxNodes"
    assert "pool workers has its 10 nodes" in answer.as_text()
    assert found(world, "pod", "default/web-1").facts == answer.facts
    assert "NotTriggeredScaleUp" in world.cluster.reasons("Pod")


async def test_a_node_learns_why_it_stays(world: World) -> None:
    assert found(world, "node", "demo-workers-a").facts["code"] == "InUse"


async def test_a_pool_learns_what_holds_it_and_what_was_decided(world: World) -> None:
    answer = found(world, "pool", "workers")

    assert answer.facts["eurPerHour"] == 0.006
    assert "MaxNodes: 10 of 10" in answer.as_text()
    assert answer.decisions[0]["decision"] == "CreateServer cx23/fsn1: 1 pods wait"
    conditions = {c.type: c.reason for c in world.cluster.statuses["workers"].conditions}
    assert conditions["AtLimit"] == "MaxNodes"
    assert world.metric("pool_at_limit", pool="workers", reason="MaxNodes") == 1
    assert world.metric("pending_pods", reason="MaxNodes") == 1


async def test_what_was_not_mentioned_is_not_invented(world: World) -> None:
    assert explain(world.cluster.report, "pod", "default/other") is None
    assert explain({}, "node", "x") is None
