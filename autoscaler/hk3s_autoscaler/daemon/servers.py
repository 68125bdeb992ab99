"""What is known of our servers: the last listing, what we did since, creates under way."""

from dataclasses import dataclass, replace
from datetime import datetime

from hk3s_autoscaler.model.node import Server
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.ports import Clock, Cloud, Unavailable

_OWN_CHANGES_HOLD = 30.0
"""Seconds for which our own creates and deletes outweigh a listing that does not show them yet."""

_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0
"""Seconds between readings while Hetzner does not answer: doubled each time."""

CATALOGUE_AGE = 900.0
"""Seconds between readings of prices, stock and network members."""


@dataclass(frozen=True, slots=True)
class _Own:
    server: Server | None
    at: float


class ServerBook:
    """A cache of Hetzner with a known age, in as few calls as the age allows."""

    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._listed: dict[str, Server] = {}
        self._own: dict[str, _Own] = {}
        self._requested: dict[str, Server] = {}
        self._deleting: set[str] = set()
        self._read_at: datetime | None = None
        self._read_monotonic = float("-inf")
        self._offerings: tuple[Offering, ...] = ()
        self._others_attached = 0
        self._catalogue_monotonic = float("-inf")
        self._retry_at = float("-inf")
        self._failures = 0
        self.answers = True

    @property
    def read_at(self) -> datetime | None:
        """When the last listing was begun."""
        return self._read_at

    @property
    def offerings(self) -> tuple[Offering, ...]:
        """The catalogue, as last read."""
        return self._offerings

    @property
    def attachments(self) -> int:
        """Members of the network: workers as known now, others as last counted."""
        return self._others_attached + len(self.servers())

    def age(self) -> float:
        """Seconds since the last listing; infinite before the first."""
        return self._clock.monotonic() - self._read_monotonic

    def servers(self) -> tuple[Server, ...]:
        """All servers, with those whose create or delete is under way marked so."""
        merged = dict(self._listed)
        for name, own in self._own.items():
            if own.server is None:
                merged.pop(name, None)
            else:
                merged[name] = own.server
        for name in self._deleting & merged.keys():
            merged[name] = replace(merged[name], status="deleting")
        for name, requested in self._requested.items():
            # Listed already or not: until its steps are done it is ours to finish.
            known = merged.get(name)
            merged[name] = (
                requested if known is None else replace(requested, server_id=known.server_id)
            )
        return tuple(merged[name] for name in sorted(merged))

    async def refresh(self, *, max_age: float) -> None:
        """Read again what is older than that.

        Raises:
            Unavailable: Hetzner does not answer and nothing was ever read.
        """
        if self._clock.monotonic() < self._retry_at and self._read_at is not None:
            return
        try:
            if self.age() >= max_age:
                await self._list()
            if self._clock.monotonic() - self._catalogue_monotonic >= CATALOGUE_AGE:
                await self._read_catalogue()
        except Unavailable:
            self.answers = False
            pause = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(self._failures, 10))
            self._retry_at = self._clock.monotonic() + pause
            self._failures += 1
            if self._read_at is None or not self._offerings:
                raise
        else:
            self.answers = True
            self._failures = 0
            self._retry_at = float("-inf")

    def is_under_way(self, name: str) -> bool:
        """Whether a create or delete of that name is being carried out by this process."""
        return name in self._requested or name in self._deleting

    def request(self, server: Server) -> None:
        """Note a create call that is under way, or its next offering."""
        self._requested[server.name] = server

    def withdraw(self, name: str) -> None:
        """Note that a create call is over; what came of it was `put`, if anything."""
        self._requested.pop(name, None)

    def put(self, server: Server) -> None:
        """Note what a call of ours has made of a server."""
        self._own[server.name] = _Own(server, self._clock.monotonic())

    def begin_delete(self, name: str) -> None:
        """Note a delete call that is under way."""
        self._deleting.add(name)

    def end_delete(self, name: str, *, gone: bool) -> None:
        """Note how a delete call ended."""
        self._deleting.discard(name)
        if gone:
            self._own[name] = _Own(None, self._clock.monotonic())

    async def _list(self) -> None:
        begun, at = self._clock.monotonic(), self._clock.now()
        servers = await self._cloud.list_servers()
        self._listed = {server.name: server for server in servers}
        self._read_monotonic, self._read_at = begun, at
        self._own = {
            name: own for name, own in self._own.items() if self._outweighs(own, name, begun)
        }

    def _outweighs(self, own: _Own, name: str, begun: float) -> bool:
        if own.at >= begun:
            return True
        shown = name in self._listed
        unlike = shown != (own.server is not None)
        return unlike and begun - own.at < _OWN_CHANGES_HOLD

    async def _read_catalogue(self) -> None:
        offerings = await self._cloud.list_offerings()
        attached = await self._cloud.count_attachments()
        self._offerings = offerings
        ours = sum(1 for server in self._listed.values() if server.attached)
        self._others_attached = max(0, attached - ours)
        self._catalogue_monotonic = self._clock.monotonic()
