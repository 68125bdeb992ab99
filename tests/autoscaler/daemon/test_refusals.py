"""Joins that are refused, and every ceiling: growth stops with a reason, without error loops."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from autoscaler.daemon.mortal import POOL, Realm
from hk3s_autoscaler.model.node import JoinReport
from hk3s_autoscaler.model.nodepool import NodePool, PoolLimits
from hk3s_autoscaler.model.snapshot import PlanConfig
from hk3s_autoscaler.ports import Condition, QuotaExceeded, ServerRequest

RULES = Path(__file__).parents[3] / "deploy/alerts/rules.yaml"
REFUSALS = ["ca-hash-mismatch", "token-rejected", "label-forbidden", "bad-config", "name-taken"]
"""Wrong CA, expired token, a label that NodeRestriction forbids, a wrong name, a taken name."""


@pytest.fixture
async def realm() -> AsyncIterator[Realm]:
    realm = Realm()
    await realm.begin()
    yield realm
    await realm.end()


def condition(realm: Realm, kind: str) -> Condition:
    conditions = realm.cluster.statuses["workers"].conditions
    return next(found for found in conditions if found.type == kind)


def refuse_all(realm: Realm, error: str) -> None:
    realm.joins = False
    for name in realm.cloud.servers:
        realm.cloud.reports[name] = JoinReport(
            server_name=name, step="join", error=error, message="the API will not have it"
        )


def alerts_on(metric: str) -> set[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {r["alert"] for g in groups for r in g["rules"] if metric in r["expr"]}


@pytest.mark.parametrize("error", REFUSALS)
async def test_two_refused_joins_pause_the_pool_and_say_why(realm: Realm, error: str) -> None:
    realm.ask(8)
    realm.joins = False
    with capture_logs() as logs:
        for _ in range(24):
            await realm.live(5)
            refuse_all(realm, error)

    assert len(realm.cloud.bought) == 2, "nothing more is bought while the pool is paused"
    assert realm.cloud.servers == {}
    assert realm.cluster.tokens == {}
    told = {(reason, text) for about, reason, text in realm.cluster.events if about.kind != "Pod"}
    assert any(reason == "JoinFailed" and error in text for reason, text in told)
    assert [error in text for reason, text in told if reason == "Paused"] == [True]
    paused, ready = condition(realm, "Paused"), condition(realm, "Ready")
    assert (paused.status, paused.reason, ready.status) == (True, "JoinFailures", False)
    assert error in paused.message
    assert {log["diagnosis"] for log in logs if log["event"] == "server.join_failed"} == {
        f"join/{error}"
    }
    assert any(
        about.kind == "Pod" and reason == "NotTriggeredScaleUp" and "paused" in text
        for about, reason, text in realm.cluster.events
    )
    assert realm.world.metric("pool_paused", pool="workers") == 1
    assert realm.world.metric("join_failures_total", pool="workers", step="join") == 2
    assert "Hk3sPoolPaused" in alerts_on("hk3s_autoscaler_pool_paused")
    assert "Hk3sJoinFailed" in alerts_on("hk3s_autoscaler_join_failures_total")


async def test_growth_goes_on_after_the_pause_and_a_second_failure_pauses_for_longer(
    realm: Realm,
) -> None:
    realm.ask(8)
    realm.joins = False
    spent = []
    for _ in range(4 * 60):
        await realm.live(15, step=15)
        refuse_all(realm, "ca-hash-mismatch")
        spent.append(len(realm.cloud.bought))

    assert 4 <= spent[-1] <= 8, "in an hour, for the pauses grow"
    realm.joins = True
    realm.cloud.reports.clear()
    while not all(pod.node for pod in realm.cluster.pod_objects.values()):
        await realm.live(30, step=5)
    assert not condition(realm, "Paused").status


Ceiling = tuple[PlanConfig, NodePool, int, str]

CEILINGS: dict[str, Ceiling] = {
    "max-servers": (PlanConfig(max_servers=3), POOL, 3, "MaxServers"),
    "max-euro": (PlanConfig(max_micro_eur_per_hour=19_000), POOL, 3, "EuroLimit"),
    "max-nodes": (PlanConfig(), replace(POOL, max_nodes=3), 3, "MaxNodes"),
    "pool-cpu": (
        PlanConfig(),
        replace(POOL, limits=PoolLimits(cpu_milli=7000)),
        3,
        "PoolLimit",
    ),
    "pool-memory": (
        PlanConfig(),
        replace(POOL, limits=PoolLimits(memory_bytes=15 << 30)),
        3,
        "PoolLimit",
    ),
    "pool-euro": (
        PlanConfig(),
        replace(POOL, limits=PoolLimits(micro_eur_per_hour=19_000)),
        3,
        "EuroLimit",
    ),
    # Bastion and master are members of the network, too.
    "attachments": (PlanConfig(max_attachments=5), POOL, 3, "NetworkFull"),
    "paused-by-hand": (PlanConfig(paused=True), POOL, 0, "Paused"),
}


@pytest.mark.parametrize("name", CEILINGS)
async def test_growth_stops_at_the_ceiling_and_says_so(name: str) -> None:
    config, pool, most, code = CEILINGS[name]
    realm = Realm(config=config)
    realm.cluster.add(pool)
    await realm.begin()
    realm.ask(20)
    await realm.live(30)
    settled = len(realm.calls)
    await realm.live(10 * 60, step=10)
    await realm.end()

    assert realm.most == len(realm.cloud.bought) == most
    check_told(realm, code)
    assert errors(realm) == 0
    beats = sum(call == "write_report" for call in realm.calls[settled:])
    assert len(realm.calls) - settled - beats <= 40, "events once in ten minutes a pod, no more"


def check_told(realm: Realm, code: str) -> None:
    """The reason stands on the pods, in the pool's conditions and in the report."""
    pods = [e for e in realm.cluster.events if e[0].kind == "Pod" and e[1] == "NotTriggeredScaleUp"]
    waiting = {p.key.name for p in realm.cluster.pod_objects.values() if not p.node}
    assert waiting
    assert {about.name for about, _, text in pods if code in text} >= waiting
    assert code in realm.cluster.report["pods.json"]
    limit = condition(realm, "AtLimit")
    if code != "Paused":
        assert (limit.status, limit.reason) == (True, code)
        assert limit.message


def errors(realm: Realm) -> float:
    metrics = realm.world.kit.metrics.registry.collect()
    samples = [s for m in metrics if m.name == "hk3s_autoscaler_loop_errors" for s in m.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


async def test_an_account_limit_is_learnt_and_tried_again_after_half_an_hour(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought: Callable[[ServerRequest], Any] = realm.cloud.create_server
    refused: list[str] = []

    async def create(request: ServerRequest) -> Any:  # noqa: ANN401 - as the fake's
        if len(realm.cloud.servers) >= 2:
            refused.append(request.name)
            raise QuotaExceeded("servers", "server limit exceeded")
        return await bought(request)

    monkeypatch.setattr(realm.cloud, "create_server", create)
    realm.ask(16)
    await realm.live(60)
    first = len(refused)
    await realm.live(28 * 60, step=20)
    assert len(refused) == first <= 3, "one batch may run into it, then it is known"
    assert realm.cloud.servers.keys() <= set(realm.cloud.bought)
    check_told(realm, "AccountLimit")
    assert "AtLimit" in realm.cluster.reasons()

    await realm.live(10 * 60, step=20)

    assert len(refused) > first
    assert errors(realm) == 0
