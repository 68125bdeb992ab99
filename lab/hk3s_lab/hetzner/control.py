"""The lab's own endpoint under /_lab: stock, limits, faults, the log, the bill, the clock.

Outside of tokens and rate limits, and no part of what the emulator imitates.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hk3s_lab.clock import Clock, ManualClock
from hk3s_lab.hetzner import bill, facts
from hk3s_lab.hetzner.call import positive
from hk3s_lab.hetzner.errors import ApiError, invalid_input, not_found
from hk3s_lab.hetzner.faults import Faults
from hk3s_lab.hetzner.levers import ACCIDENTS, Levers
from hk3s_lab.hetzner.model.project import DEFAULT_LIMITS, Project
from hk3s_lab.hetzner.request_log import RequestLog
from hk3s_lab.hetzner.world import World

BASE = "/_lab"
Query = Mapping[str, str]
_Handler = Callable[[Query, bytes | None], Awaitable[dict[str, Any]]]


class Control:
    """Answers /_lab/NAME with JSON objects; errors have the API's shape."""

    def __init__(
        self,
        *,
        world: World,
        faults: Faults,
        log: RequestLog,
        clock: Clock,
        levers: Levers,
        save: Callable[[], bytes],
    ) -> None:
        self._levers = levers
        self._save = save
        self._world = world
        self._faults = faults
        self._log = log
        self._clock = clock
        self._handlers: Mapping[tuple[str, str], _Handler] = {
            ("GET", "stock"): self._get_stock,
            ("PUT", "stock"): self._put_stock,
            ("GET", "limits"): self._get_limits,
            ("PUT", "limits"): self._put_limits,
            ("GET", "faults"): self._get_faults,
            ("POST", "faults"): self._post_faults,
            ("DELETE", "faults"): self._delete_faults,
            ("POST", "events"): self._post_events,
            ("GET", "scenario"): self._get_scenario,
            ("POST", "scenario"): self._post_scenario,
            ("GET", "state"): self._get_state,
            ("GET", "requests"): self._get_requests,
            ("GET", "cost"): self._get_cost,
            ("GET", "servers"): self._get_servers,
            ("GET", "clock"): self._get_clock,
            ("POST", "clock"): self._post_clock,
        }

    async def handle(
        self, method: str, name: str, query: Query, raw: bytes | None
    ) -> dict[str, Any]:
        """Answer a request; raises `ApiError`."""
        handler = self._handlers.get((method, name))
        if handler is None:
            if any(known == name for _, known in self._handlers):
                raise ApiError("method_not_allowed", "the method is not allowed for this path")
            raise ApiError("not_found", "lab route not found")
        self._world.settle()
        return await handler(query, raw)

    async def _get_stock(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        return self._world.catalog.stock()

    async def _put_stock(self, _query: Query, raw: bytes | None) -> dict[str, Any]:
        self._levers.pull({"stock": _object(raw)})
        return self._world.catalog.stock()

    async def _get_limits(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        return DEFAULT_LIMITS | self._world.limits

    async def _put_limits(self, query: Query, raw: bytes | None) -> dict[str, Any]:
        self._levers.pull({"limits": _object(raw)})
        return await self._get_limits(query, raw)

    async def _get_faults(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        return {"faults": [fault.view() for fault in self._faults.active]}

    async def _post_faults(self, _query: Query, raw: bytes | None) -> dict[str, Any]:
        posted = _json(raw)
        wanted = posted if isinstance(posted, list) else [posted]
        if not all(isinstance(fault, dict) for fault in wanted):
            raise invalid_input({"faults": ["must be an object or a list of objects"]})
        added = self._levers.arm(wanted)
        return {"faults": [fault.view() for fault in added]}

    async def _delete_faults(self, query: Query, _raw: bytes | None) -> dict[str, Any]:
        number = positive(query["id"]) if "id" in query else None
        if "id" in query and all(fault.id != number for fault in self._faults.active):
            raise not_found("fault", query["id"])
        self._faults.clear(number)
        return {"faults": [fault.view() for fault in self._faults.active]}

    async def _post_events(self, _query: Query, raw: bytes | None) -> dict[str, Any]:
        accident = _object(raw)
        unknown = [key for key in accident if key not in ACCIDENTS]
        if unknown or not accident:
            raise invalid_input({key: ["is not a known event"] for key in unknown or ["event"]})
        return {"servers": self._levers.pull(accident)}

    async def _get_scenario(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        now = self._clock.monotonic()
        due = {due.number: due.at - now for due in self._world.due if due.kind == "step"}
        steps = sorted(
            ((due[number], step) for number, step in self._world.timeline.items()),
            key=lambda entry: entry[0],
        )
        return {"timeline": [{"in": round(at, 3), **step} for at, step in steps]}

    async def _post_scenario(self, query: Query, raw: bytes | None) -> dict[str, Any]:
        self._levers.load(_object(raw))
        return await self._get_scenario(query, raw)

    async def _get_state(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._save())
        return state

    async def _get_requests(self, query: Query, _raw: bytes | None) -> dict[str, Any]:
        return {"requests": self._log.view(positive(query.get("after", "")) or 0)}

    async def _get_cost(self, query: Query, _raw: bytes | None) -> dict[str, Any]:
        now = self._clock.now()
        lines = [
            line
            for project in self._projects(query)
            for line in bill.bill(self._world.catalog, project, now)
        ]
        return {"now": now.isoformat(), **bill.totals(lines), "items": lines}

    async def _get_servers(self, query: Query, _raw: bytes | None) -> dict[str, Any]:
        found = [s for project in self._projects(query) for s in facts.server_history(project)]
        return {"servers": found}

    async def _get_clock(self, _query: Query, _raw: bytes | None) -> dict[str, Any]:
        return {"now": self._clock.now().isoformat(), "monotonic": self._clock.monotonic()}

    async def _post_clock(self, query: Query, raw: bytes | None) -> dict[str, Any]:
        if not isinstance(self._clock, ManualClock):
            raise ApiError("unsupported_error", "only a manual clock can be advanced")
        seconds = _object(raw).get("advance")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
            raise invalid_input({"advance": ["must be a number of seconds, not negative"]})
        await self._clock.advance(seconds)
        self._world.settle()
        return await self._get_clock(query, raw)

    def _projects(self, query: Query) -> list[Project]:
        wanted = query.get("project")
        return [p for name, p in self._world.projects.items() if wanted in (None, name)]


def _json(raw: bytes | None) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(raw or b"")
    except (ValueError, RecursionError):
        raise ApiError("json_error", "invalid JSON in request body") from None


def _object(raw: bytes | None) -> dict[str, Any]:
    value = _json(raw)
    if not isinstance(value, dict):
        raise ApiError("json_error", "the request body must be a JSON object")
    return value
