"""Ceilings that only Hetzner knows: growth stops at them, says why, and does not ask again."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import pytest_asyncio

from hk3s_lab.hetzner.model.project import DEFAULT_LIMITS
from holds.field import DEPLOYMENTS, PLENTY, POOLS, Field, deployment, pool
from holds.replicas import Replica
from lab.machines.clusters import Json, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
Prepare = Callable[[Field], Awaitable[None]]
NETWORK_TAKES = 100
INFRASTRUCTURE = 2
ROOM = 2
"""Workers that there is room for."""
FEW_TURNS = 5


async def limit_account(field: Field) -> None:
    await field.ask("PUT", "limits", {"servers": INFRASTRUCTURE + ROOM})


async def fill_network(field: Field) -> None:
    """Let servers that are nobody's take all places in the network but a few."""
    order: Json = {
        "server_type": "cx23",
        "image": "ubuntu-24.04",
        "location": "fsn1",
        "start_after_create": False,
        "networks": [field.cluster.ids["network"]],
        "public_net": {"enable_ipv4": False, "enable_ipv6": False},
        "labels": {"hk3s.dev/role": "worker"},
    }
    names = [f"other-{number}" for number in range(NETWORK_TAKES - INFRASTRUCTURE - ROOM)]
    await asyncio.gather(
        *(field.cluster.api("POST", "/servers", {**order, "name": name}) for name in names)
    )


async def nothing(_: Field) -> None:
    return


async def turns(field: Field, replica: Replica) -> int:
    try:
        async with field.cluster.http.get(replica.metrics_url) as answer:
            text = await answer.text()
    except aiohttp.ClientConnectionError:
        return 0
    found = re.search(r"loop_duration_seconds_count(?:{.*})? ([0-9.]+)", text)
    return int(float(found[1])) if found else 0


async def told(field: Field) -> dict[str, str]:
    """The last word to each pod that no server is bought for."""
    return {
        event["involvedObject"]["name"]: event["message"]
        for event in await field.events()
        if event["reason"] == "NotTriggeredScaleUp"
    }


@pytest_asyncio.fixture(loop_scope="session")
async def account(field: Field) -> AsyncIterator[Field]:
    yield field
    await field.ask("PUT", "limits", dict(DEFAULT_LIMITS))


@pytest.mark.parametrize(
    ("before", "meanwhile", "code"),
    [
        pytest.param(limit_account, nothing, "AccountLimit", id="account"),
        pytest.param(fill_network, nothing, "NetworkFull", id="network", marks=pytest.mark.long),
        pytest.param(nothing, fill_network, "AccountLimit", id="network-fills-unseen"),
    ],
)
async def test_growth_stops_at_a_ceiling_of_hetzners(
    account: Field, before: Prepare, meanwhile: Prepare, code: str
) -> None:
    """`meanwhile` comes when the daemon has counted the members of the network."""
    field = account
    await before(field)
    replica = await field.start("one")
    await eventually("the daemon leads", lambda: _later(field, replica, 1), PLENTY)
    await meanwhile(field)
    await field.create(POOLS, pool("workers"))
    await field.create(DEPLOYMENTS, deployment("web", 8))

    async def is_told() -> bool:
        (item,) = await field.listed(POOLS)
        limits = [c for c in item["status"]["conditions"] if c["type"] == "AtLimit"]
        waiting = {
            pod["metadata"]["name"]
            for pod in await field.listed("/api/v1/namespaces/default/pods")
            if not pod["spec"].get("nodeName")
        }
        words = await told(field)
        return (
            len(await field.running()) == 2 * ROOM
            and [(c["status"], c["reason"]) for c in limits] == [("True", code)]
            and all(code in words.get(name, "") for name in waiting)
        )

    await eventually(f"pods and pool are told {code}", is_told, PLENTY)
    asked = [write for write in field.ears.writes if write.path == "/v1/servers"]
    then = await turns(field, replica) + FEW_TURNS
    await eventually("the daemon goes on", lambda: _later(field, replica, then), PLENTY)
    again = [write for write in field.ears.writes if write.path == "/v1/servers"]
    assert len(again) == len(asked) <= 4, "one batch may run into it, then it is known"
    assert len(await field.nodes()) == len(await mine(field)) == ROOM
    assert not replica.said("loop.failed")


async def mine(field: Field) -> list[str]:
    """The workers of our cluster."""
    return [w["name"] for w in await field.workers() if "hk3s.dev/cluster" in w["labels"]]


async def _later(field: Field, replica: Replica, turn: int) -> bool:
    return await turns(field, replica) >= turn
