"""Joins that a real API server refuses, beside calls that Hetzner refuses.

The reason is told everywhere, nothing more is bought, and no secret shows in whatever is told. All
pools fail at once, each in its own way: what takes long is the wait.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from bootstrap.leaks import Leaks
from hk3s_autoscaler.config import LimitsSection
from holds.faulty import FAULTS, mistold, pool_of, spoil
from holds.field import DEPLOYMENTS, PLENTY, POOLS, Field, deployment, pool
from holds.replicas import Replica
from holds.shown import QUOTED, carriers_of, leaks_of, look, shown_by, vex
from lab.machines.clusters import Json, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
RULES = Path(__file__).parents[2] / "deploy/alerts/rules.yaml"
LABEL = "example.com/pool"


@dataclass
class Told:
    """What is known of all pools once each is paused."""

    replica: Replica
    tokens: list[str]
    events: list[Json]
    pools: dict[str, Json]
    leaks: Leaks
    carriers: dict[str, str]
    """Where secrets belong: their names, and texts that hold them."""
    shown: dict[str, str]
    """What anybody may read, by what it is."""

    def about(self, kind: str, name: str, reason: str) -> list[str]:
        """Messages of Events."""
        return [
            event["message"]
            for event in self.events
            if event["involvedObject"]["kind"] == kind
            and event["involvedObject"]["name"] == name
            and event["reason"] == reason
        ]

    def of(self, name: str, event: str) -> list[Json]:
        """Log lines about a pool, in order."""
        return [entry for entry in self.replica.said(event) if entry["pool"] == name]

    def condition(self, name: str, kind: str) -> Json:
        found = self.pools[name]["status"]["conditions"]
        condition: Json = next(each for each in found if each["type"] == kind)
        return condition


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(one_field: Field) -> AsyncIterator[Told]:
    field = one_field
    field.ears.rewrite = mistold
    for name in (*FAULTS, QUOTED):
        await field.create(POOLS, pool(name, labels={LABEL: name}))
    await vex(field)
    arguments: set[str] = set()
    beside = [asyncio.create_task(spoil(field)), asyncio.create_task(look(arguments))]
    replica = await field.start("one", limits=LimitsSection(max_servers=20))
    await field.start("seen", dry_run=True)
    for name in (*FAULTS, QUOTED):
        only = {LABEL: name}
        await field.create(DEPLOYMENTS, deployment(name, 4, nodeSelector=only))

    async def all_paused() -> bool:
        gone = {e["name"] for e in replica.said("server.deleted")}
        paused = {e["pool"] for e in replica.said("server.join_failed") if e["pool_paused_until"]}
        told = {
            item["metadata"]["name"]: item["status"]["conditions"]
            for item in await field.listed(POOLS)
        }
        retried = replica.said("server.create.retry")
        return (
            bool(retried)
            and paused == set(FAULTS)
            and all(
                sum(pool_of(server) == name for server in gone) >= 2
                and any(c["type"] == "Paused" and c["status"] == "True" for c in told[name])
                for name in FAULTS
            )
        )

    try:
        await eventually("all pools are paused, their servers gone", all_paused, PLENTY)
        await eventually("the pods are told", lambda: _pods_told(field), PLENTY)
        yield Told(
            replica=replica,
            tokens=[token.server for token in await field.tokens()],
            events=await field.events(),
            pools={item["metadata"]["name"]: item for item in await field.listed(POOLS)},
            leaks=leaks_of(field),
            carriers=await carriers_of(field),
            shown=await shown_by(field, replica) | {"arguments": "\n".join(arguments)},
        )
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await field.clear()


async def _pods_told(field: Field) -> bool:
    """Whether a pod of each pool was told of the pause, which takes one more turn."""
    told = {
        event["involvedObject"]["name"].rsplit("-", 2)[0]
        for event in await field.events()
        if event["reason"] == "NotTriggeredScaleUp" and "paused" in event["message"]
    }
    return told >= FAULTS.keys()


@pytest.mark.parametrize("name", FAULTS)
async def test_the_pool_is_paused_after_two_and_the_reason_stands_everywhere(
    told: Told, name: str
) -> None:
    fault = FAULTS[name]
    failed = told.about("NodePool", name, "JoinFailed")
    paused = told.about("NodePool", name, "Paused")
    condition = told.condition(name, "Paused")
    logged = told.of(name, "server.join_failed")
    gone = {entry["name"] for entry in told.of(name, "server.deleted")}
    bought = told.of(name, "server.create")

    assert {entry["name"] for entry in logged[:2]} <= gone
    assert gone.isdisjoint(told.tokens)
    assert [entry["pool_paused_until"] is not None for entry in logged[:2]] == [False, True]
    assert all(entry["time"] < logged[1]["time"] for entry in bought), "none while it is paused"
    assert {entry["diagnosis"] for entry in logged} == {f"join/{fault.error}"}
    assert all(fault.says in entry["message"] for entry in logged)
    assert all(any(server in text for text in failed) for server in gone)
    assert all(fault.error in text and fault.says in text for text in failed)
    assert fault.error in paused[0]
    assert (condition["status"], condition["reason"]) == ("True", "JoinFailures")
    assert fault.error in condition["message"]
    assert told.condition(name, "Ready")["status"] == "False"


async def test_no_secret_shows_in_what_anybody_may_read(told: Told) -> None:
    quoted = told.replica.said("server.create.retry")

    assert any("rate_limit_exceeded" in entry["error"] for entry in quoted)
    assert all("[redacted]" in entry["error"] for entry in quoted)
    assert "\0run\0" in told.shown["arguments"], "the daemon's own were looked at"
    assert {name: told.leaks.found_in(text) for name, text in told.shown.items()} == {
        name: set() for name in told.shown
    }


async def test_each_secret_is_found_where_it_belongs(told: Told) -> None:
    """The search above can fail: it knows every secret of the run, and every place is not empty."""
    for name, text in told.carriers.items():
        assert name in told.leaks.found_in(text)
    assert all(told.shown.values())
    half = told.carriers["API token"][:32]
    for text in told.shown.values():
        assert told.leaks.found_in(f"{text} {half}") == {"API token"}


async def test_alerts_cover_failed_joins_and_paused_pools() -> None:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}

    assert "hk3s_autoscaler_join_failures_total" in rules["Hk3sJoinFailed"]
    assert "hk3s_autoscaler_pool_paused" in rules["Hk3sPoolPaused"]
