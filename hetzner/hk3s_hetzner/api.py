"""What all resources of the API have in common: pages, actions, deletions."""

from collections.abc import Mapping
from typing import Any

from hk3s_hetzner import parse
from hk3s_hetzner.errors import NotFound
from hk3s_hetzner.transport import Transport

PAGE_SIZE = 50
"""The API's maximum."""


class Api:
    """Base of the resources' faces; their methods may raise the kinds of `errors`."""

    _transport: Transport

    async def _list(self, collection: str, **filters: str | None) -> list[dict[str, Any]]:
        query = {key: value for key, value in filters.items() if value is not None}
        found: list[dict[str, Any]] = []
        page: int | None = 1
        while page:
            answer = await self._transport.call(
                "GET", f"/{collection}", query={**query, "page": page, "per_page": PAGE_SIZE}
            )
            found.extend(answer[collection])
            page = ((answer.get("meta") or {}).get("pagination") or {}).get("next_page")
        return found

    async def _act(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, ...]:
        return parse.action_ids(await self._transport.call("POST", path, body=body))

    async def _delete(self, collection: str, object_id: int) -> tuple[int, ...]:
        try:
            answer = await self._transport.call("DELETE", f"/{collection}/{object_id}")
        except NotFound:
            return ()
        return parse.action_ids(answer)
