"""Leader election on a Lease, with a fence that needs no clock but our own.

The protocol is client-go's (`tools/leaderelection`): a candidate judges by its own monotonic clock
how long the Lease has not changed, never by the times written in it. What is added is `check()`:
a leader that was paused, or whose renewals fail, finds out before its next write, not after.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from hk3s_kube import errors
from hk3s_kube.client import Json, Kube
from hk3s_kube.clock import Clock
from hk3s_kube.errors import NotLeader

log = structlog.get_logger("hk3s.kube.lease")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds. The first three are client-go's defaults.

    `request` limits one call and must be shorter than `renew_deadline`;
    `margin` is how long before the Lease may expire the fence closes;
    `write` is how long a write that passed the fence may still be on its way.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    request: float = 4.0
    margin: float = 2.0
    write: float = 8.0

    def __post_init__(self) -> None:
        """Refuse times that make the election unsafe."""
        if not self.request < self.renew_deadline < self.duration - self.margin:
            raise ValueError("needs request < renew_deadline < duration - margin")
        if not self.retry < self.renew_deadline - self.request:
            raise ValueError("needs retry < renew_deadline - request")


class LeaseElector:
    """A candidate for one Lease.

    `identity` must be unique for each process. `leading` says whether we hold the Lease;
    `check()` says whether we may write, which starts later after a takeover and ends earlier.
    `check()` only compares numbers, so any thread may call it.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        chance: Callable[[], float],
        times: LeaseTimes | None = None,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        """`chance` is as `random.random`; `on_change` is told when `leading` begins and ends."""
        self.holder: str | None = None
        self._kube = kube
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name = name
        self._identity = identity
        self._clock = clock
        self._chance = chance
        self._times = times or LeaseTimes()
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._lease: Json | None = None
        self._seen_at = 0.0
        self._term: _Term | None = None
        self._last_term: _Term | None = None

    @property
    def leading(self) -> bool:
        """Whether we hold the Lease, as far as our own clock can tell."""
        term = self._term
        return term is not None and self._clock.monotonic() < self._fence_closes(term)

    def check(self) -> None:
        """Return when we may write now, else raise `NotLeader`."""
        term = self._term
        if term is None:
            raise NotLeader("another process leads, or none does")
        now = self._clock.monotonic()
        if now >= self._fence_closes(term):
            raise NotLeader("the Lease was not renewed in time and may have expired")
        if now < term.writes_from:
            wait = term.writes_from - now
            raise NotLeader(f"took the Lease over; the last leader's calls may last {wait:.1f} s")

    async def run(self) -> None:
        """Stand for election, renew, and stand again after a loss, until `stop` or cancelled.

        Ends by giving the Lease back after `stop`; finish what you write before you stop it.
        """
        try:
            while not self._stopping.is_set():
                await self._round()
                await self._pause()
            await self._release()
        finally:
            self._lose("stopped")

    def stop(self) -> None:
        """Make `run` give the Lease back and return."""
        self._stopping.set()

    def _fence_closes(self, term: "_Term") -> float:
        return term.renewed_at + self._times.duration - self._times.margin

    async def _pause(self) -> None:
        # Candidates spread out; a leader keeps its rhythm.
        spread = 1.0 if self._term is not None else 1.0 + self._chance()
        waits = {
            asyncio.ensure_future(self._clock.sleep(self._times.retry * spread)),
            asyncio.ensure_future(self._stopping.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _round(self) -> None:
        try:
            if self._term is not None and self._lease is not None:
                try:
                    await self._renew(self._lease)
                except (errors.Conflict, errors.NotFound):
                    await self._look()
            else:
                await self._look()
        except errors.KubeError as error:
            log.warning("lease.failed", lease=self._path, error=str(error))
            self._lease = self._lease if self._term is None else None  # read it before next write
        term = self._term
        if term is not None:
            late = self._clock.monotonic() - term.renewed_at
            if late >= self._times.renew_deadline:
                self._lose("renewals failed")

    async def _look(self) -> None:
        """Read the Lease and take it, renew it or leave it."""
        try:
            lease = await self._kube.get(self._path, within=self._times.request)
        except errors.NotFound:
            await self._create()
            return
        self._observe(lease)
        holder = self.holder
        if holder == self._identity:
            # Nobody led since we did; a first sight means that an earlier process had our name,
            # or that our own call to take over was carried out without an answer.
            last = self._last_term
            await self._renew(lease, writes_from=None if last is None else last.writes_from)
        elif not holder:
            await self._take(lease, clean=True)
        elif self._term is not None:
            self._lose(f"{holder} took the Lease")
        elif self._clock.monotonic() >= self._seen_at + _seconds(lease):
            await self._take(lease, clean=False)

    def _observe(self, lease: Json) -> None:
        known = self._lease
        if known is None or known["spec"] != lease["spec"] or _uid(known) != _uid(lease):
            self._seen_at = self._clock.monotonic()
        self._lease = lease
        self.holder = lease["spec"].get("holderIdentity") or ""

    async def _create(self) -> None:
        if self._term is not None and not self.leading:
            # Paused for longer than it lasts: somebody else may have led, and may still.
            self._lose("the Lease ran out and is gone")
            return
        # A Lease that was seen and then vanished may still be somebody's; one that nobody ever
        # saw is nobody's, and one that vanished while we lead is ours.
        clean = self._term is not None or self.holder is None
        now = self._clock.monotonic()
        spec = self._spec({}, transitions=0)
        manifest: Json = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name},
            "spec": spec,
        }
        try:
            lease = await self._kube.post(self._collection, manifest, within=self._times.request)
        except errors.AlreadyExists:
            if self._term is not None:
                self._lose("another process made the Lease anew")
            return
        self._observe(lease)
        self._begin(now, clean=clean)

    async def _take(self, lease: Json, *, clean: bool) -> None:
        now = self._clock.monotonic()
        transitions = int(lease["spec"].get("leaseTransitions") or 0) + 1
        spec = self._spec({}, transitions=transitions)
        try:
            taken = await self._put(lease, spec)
        except errors.Conflict:
            return  # somebody was faster
        self._observe(taken)
        self._begin(now, clean=clean)

    async def _renew(self, lease: Json, *, writes_from: float | None = None) -> None:
        now = self._clock.monotonic()
        transitions = int(lease["spec"].get("leaseTransitions") or 0)
        renewed = await self._put(lease, self._spec(lease["spec"], transitions=transitions))
        self._observe(renewed)
        if self._term is None and writes_from is None:
            self._begin(now, clean=False)
        else:
            self._begin(now, clean=True, writes_from=writes_from or 0.0)

    async def _put(self, lease: Json, spec: Json) -> Json:
        # The resource version in the metadata makes this a compare-and-swap.
        return await self._kube.put(self._path, {**lease, "spec": spec}, within=self._times.request)

    def _spec(self, previous: Json, *, transitions: int) -> Json:
        now = _micro_time(self._clock.now())
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._times.duration),
            "acquireTime": previous.get("acquireTime") or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _begin(self, sent_at: float, *, clean: bool, writes_from: float = 0.0) -> None:
        if self._term is not None:
            writes_from = self._term.writes_from
        elif not clean:
            # The old leader's fence has closed; what passed it before may still be on its way.
            writes_from = self._clock.monotonic() + self._times.duration + self._times.write
        began = self._term is None
        self._term = self._last_term = _Term(renewed_at=sent_at, writes_from=writes_from)
        if began:
            log.info("lease.acquired", lease=self._path, identity=self._identity, clean=clean)
            if self._on_change is not None:
                self._on_change(True)

    def _lose(self, reason: str) -> None:
        if self._term is None:
            return
        self._term = None
        log.warning("lease.lost", lease=self._path, identity=self._identity, reason=reason)
        if self._on_change is not None:
            self._on_change(False)

    async def _release(self) -> None:
        lease = self._lease
        leading = self.leading
        self._lose("released")
        if lease is None or not leading:
            return
        now = _micro_time(self._clock.now())
        spec = {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": lease["spec"].get("leaseTransitions") or 0,
        }
        try:
            await self._put(lease, spec)
        except errors.KubeError as error:
            log.warning("lease.failed", lease=self._path, error=str(error))
            return
        log.info("lease.released", lease=self._path, identity=self._identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """Replaced as a whole, so that other threads never see half of it."""

    renewed_at: float
    writes_from: float


def _seconds(lease: Json) -> float:
    return float(lease["spec"].get("leaseDurationSeconds") or 0)


def _uid(lease: Json) -> str:
    return str(lease["metadata"].get("uid") or "")


def _micro_time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
