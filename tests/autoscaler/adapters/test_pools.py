"""NodePools as stored, as facts, and as status."""

from datetime import timedelta
from typing import Any

from autoscaler import fakes
from hk3s_autoscaler.adapters import pools
from hk3s_autoscaler.model.nodepool import Budget, NodePool
from hk3s_autoscaler.ports import Condition, PoolStatus
from hk3s_kube import cron
from hk3s_kube import nodepool as api
from hk3s_kube.objects import NodePoolObject, ObjectMeta


def read(status: dict[str, Any] | None = None, **spec: object) -> NodePool:
    stored = NodePoolObject(
        metadata=ObjectMeta(name="workers", uid="u", generation=3),
        spec={"maxNodes": 10, **spec},
        status=status or {},
    )
    return pools.nodepool(stored, architecture="x86")


def test_a_pool_with_everything_said() -> None:
    pool = read(
        serverTypes=["cx23", "cx33"],
        requirements={
            "arch": ["arm64"],
            "cpuType": ["shared"],
            "minCores": 2,
            "minMemory": "4Gi",
        },
        limits={"cpu": "16", "memory": "64Gi", "euroPerHour": 0.5},
        taints=[{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}],
        labels={"team": "a"},
        joinTimeout="10m",
        disruption={"policy": "WhenEmpty", "consolidateAfter": "30s", "keepUntilHourEnd": False},
    )

    assert (pool.types.names, pool.types.architectures) == (("cx23", "cx33"), ("arm",))
    assert (pool.types.min_cores, pool.types.min_memory_bytes) == (2, 4 * fakes.GIB)
    assert pool.limits.cpu_milli == 16_000
    assert pool.limits.micro_eur_per_hour == 500_000
    assert pool.taints[0].value == "batch"
    assert pool.labels == (("team", "a"),)
    assert pool.join_timeout == timedelta(minutes=10)
    assert pool.disruption.policy == "WhenEmpty"
    assert pool.disruption.consolidate_after == timedelta(seconds=30)
    assert not pool.disruption.keep_until_hour_end


def test_a_pool_that_says_little_takes_the_masters_architecture() -> None:
    pool = read()

    assert (pool.types.architectures, pool.types.names, pool.generation) == (("x86",), (), 3)
    assert (pool.problem, pool.paused_until, pool.blocks) == ("", None, ())


def test_an_invalid_pool_says_why_and_can_buy_nothing() -> None:
    pool = read(minNodes=20)

    assert "minNodes" in pool.problem
    assert pool.max_nodes == 0


def test_budgets_are_numbers_or_shares_with_their_hours() -> None:
    pool = read(
        disruption={
            "budgets": [
                {"nodes": "50%"},
                {"nodes": "2", "reasons": ["Empty", "Drifted"]},
                {"nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h"},
            ]
        }
    )

    assert pool.disruption.budgets == (
        Budget(percent=50),
        Budget(number=2, reasons=("Empty", "Drifted")),
        Budget(number=0, schedule=cron.parse("0 9 * * mon-fri"), duration=timedelta(hours=8)),
    )
    assert read().disruption.budgets == (Budget(percent=10),)


def test_how_long_a_server_lives_and_its_drain_lasts() -> None:
    pool = read(expireAfter="720h", terminationGracePeriod="1h")

    assert (pool.expire_after, pool.termination_grace_period) == (
        timedelta(days=30),
        timedelta(hours=1),
    )
    assert (read().expire_after, read().termination_grace_period) == (None, None)


def test_conditions_keep_the_time_of_their_last_flip() -> None:
    def written(*, status: bool, before: api.NodePoolStatus, minute: int) -> api.NodePoolStatus:
        condition = Condition(type="Ready", status=status, reason="R", message=f"{minute}")
        now = fakes.START + timedelta(minutes=minute)
        return pools.pool_status(
            PoolStatus(
                pool=fakes.pool(), nodes=0, ready=0, micro_eur_per_hour=0, conditions=(condition,)
            ),
            before,
            now,
        )

    first = written(status=True, before=api.NodePoolStatus(), minute=0)
    second = written(status=True, before=first, minute=5)
    third = written(status=False, before=second, minute=9)

    assert second.conditions[0].last_transition_time == fakes.START
    assert third.conditions[0].last_transition_time == fakes.START + timedelta(minutes=9)


def test_a_pause_is_a_block_of_all_offerings() -> None:
    status = pools.pool_status(
        PoolStatus(
            pool=fakes.pool(paused_until=fakes.START),
            nodes=0,
            ready=0,
            micro_eur_per_hour=0,
            conditions=(Condition(type="Paused", status=True, reason="Rejected", message=""),),
        ),
        api.NodePoolStatus(),
        fakes.START,
    )

    stored = api.status_manifest("workers", status)["status"]
    assert (stored["blockedOfferings"][0]["offering"], stored["blockedOfferings"][0]["reason"]) == (
        "*",
        "Rejected",
    )
    assert read(status=stored).paused_until == fakes.START
