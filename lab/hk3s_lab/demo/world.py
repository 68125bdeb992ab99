"""The lab as the demo sees it: what is billed, what was asked of the API, what is left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from hk3s_lab.cloud import LabCloud
from hk3s_lab.demo import report
from hk3s_lab.hetzner.events import MachineFacts

COLLECTIONS = (
    "servers",
    "networks",
    "firewalls",
    "primary_ips",
    "floating_ips",
    "load_balancers",
    "placement_groups",
    "ssh_keys",
    "volumes",
)
_HTTP_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A live server and what it does."""

    name: str
    role: str
    server_type: str
    location: str
    state: str


class World:
    """One lab and one project in it, asked over the emulator's own endpoints."""

    def __init__(self, cloud: LabCloud) -> None:
        self._cloud = cloud
        self._api = cloud.endpoint
        self._lab = cloud.endpoint.removesuffix("/v1") + "/_lab"
        self._types: list[dict[str, Any]] = []

    def environment(self) -> Mapping[str, str]:
        """What the product's commands need to find this Hetzner instead of the real one."""
        return {"HCLOUD_ENDPOINT": self._cloud.endpoint, "HCLOUD_TOKEN": self._cloud.token}

    def machines(self) -> list[Machine]:
        """All live servers, infrastructure first."""
        order = {"bastion": 0, "master": 1}
        facts = sorted(
            self._cloud.servers,
            key=lambda m: (order.get(role_of(m), 2), m.server_id),
        )
        steps = {view.server_id: view.step for view in self._cloud.machines}
        return [
            Machine(
                name=machine.name,
                role=role_of(machine),
                server_type=machine.server_type,
                location=machine.location,
                state=steps.get(machine.server_id, "on" if machine.powered else "off"),
            )
            for machine in facts
        ]

    def live(self, role: str) -> list[Machine]:
        """Live servers of one role."""
        return [machine for machine in self.machines() if machine.role == role]

    def euro_per_hour(self, role: str = "") -> float:
        """Price of the live servers, of one role or of all, without addresses."""
        return sum(
            report.euro_per_hour(self._types, machine.server_type, machine.location)
            for machine in self.machines()
            if role in {"", machine.role}
        )

    async def load(self) -> None:
        """Read the price list once."""
        self._types = (await self._get(f"{self._api}/server_types?per_page=50"))["server_types"]

    async def set_stock(self, changes: Mapping[str, bool | str | None]) -> None:
        """Change what can be ordered."""
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"{self._lab}/stock", json=changes, raise_for_status=True),
        ):
            pass

    async def orderable_catalog(self) -> dict[str, Any]:
        """Server types as the API lists them, with the true stock instead of the published one."""
        stock = await self._get(f"{self._lab}/stock")
        listed = (await self._get(f"{self._api}/server_types?per_page=50"))["server_types"]
        for server_type in listed:
            for place in server_type["locations"]:
                place["available"] = stock[f"{server_type['name']}/{place['name']}"] is True
        return {"server_types": listed}

    async def requests(self) -> list[dict[str, Any]]:
        """Every request of this project so far, the lab's own left out."""
        entries = (await self._get(f"{self._lab}/requests"))["requests"]
        return [entry for entry in entries if entry["token"] is not None]

    async def history(self) -> list[dict[str, Any]]:
        """Every server that ever was."""
        return list((await self._get(f"{self._lab}/servers"))["servers"])

    async def leftovers(self) -> list[str]:
        """Name everything that still exists in the project, as `collection/name`."""
        left = []
        for collection in COLLECTIONS:
            answer = await self._get(f"{self._api}/{collection}?per_page=50")
            left += [f"{collection}/{item['name']}" for item in answer.get(collection, ())]
        return left

    async def _get(self, url: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._cloud.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(url) as response,
        ):
            if response.status == _HTTP_NOT_FOUND:  # a kind that the emulator does not have
                return {}
            response.raise_for_status()
            body: dict[str, Any] = await response.json()
            return body


def role_of(machine: MachineFacts) -> str:
    """The role label of a server."""
    return machine.labels.get("hk3s.dev/role", "")
