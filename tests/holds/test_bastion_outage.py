"""The bastion stops to route while ten servers boot: they wait for it, and so does the daemon."""

import pytest

from hk3s_autoscaler.config import LimitsSection
from holds.field import DEPLOYMENTS, PLENTY, POOLS, Field, deployment, pool
from holds.writes import BUY, DELETE_SERVER
from lab.machines.clusters import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
SERVERS = 10
BASTION = {"name": "demo-bastion"}


async def test_ten_joins_outlive_the_bastion(field: Field) -> None:
    replica = await field.start("one", limits=LimitsSection(max_servers=2 * SERVERS))
    await field.create(POOLS, pool("workers", maxNodes=2 * SERVERS))
    await field.ask("POST", "events", {"nat_loss": BASTION})
    try:
        await field.create(DEPLOYMENTS, deployment("web", 2 * SERVERS))

        async def all_stuck() -> bool:
            errors = [m.error for m in field.lab.machines if m.role == "worker"]
            return errors == ["no-egress"] * SERVERS

        await eventually("all servers lack egress", all_stuck, PLENTY)
    finally:
        await field.ask("POST", "events", {"nat_back": BASTION})

    await field.settled(pods=2 * SERVERS, servers=SERVERS)
    assert len(field.ears.effects(*BUY)) == len(await field.bought()) == SERVERS
    assert field.ears.effects(*DELETE_SERVER) == []
    assert not replica.said("server.join_failed")
