"""A reflector: a local copy of a collection, kept by list and watch.

kubernetes_asyncio's Watch reconnects without a pause, hangs on half-open connections and retries
an expired version; this one pauses before every reconnect, limits silence, and lists again.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import msgspec
import structlog

from hk3s_kube import errors
from hk3s_kube.client import Kube
from hk3s_kube.clock import Clock
from hk3s_kube.objects import PATHS, Fields, KubeObject
from hk3s_kube.rest import PAGE_SIZE, selectors

T = TypeVar("T", bound=KubeObject)
D = TypeVar("D")

ChangeKind = Literal["ADDED", "MODIFIED", "DELETED"]

OnChange = Callable[[ChangeKind, T], None]

WATCH_SECONDS = 240
"""After which the server ends a watch; client-go asks for 5 to 10 minutes."""

SILENCE_SECONDS = 90.0
"""Longest silence before a connection counts as half-open; bookmarks come about once a minute."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
STABLE_SECONDS = 10.0
"""A watch that lived this long was healthy: the pauses start anew."""

log = structlog.get_logger("hk3s.kube.stream")


class _ListMeta(Fields, frozen=True):
    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class _Page(Fields, Generic[T], frozen=True):
    metadata: _ListMeta
    items: tuple[T, ...] | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class Reflector(Generic[T]):
    """A copy of a collection; `items` by `namespace/name` (or name), kept until `run` ends.

    Objects are frozen: a change replaces one. `synced` is set after the first full list.
    `last_contact` is the monotonic time of the last sign of life, None before the first;
    it may lie `SILENCE_SECONDS` back on a quiet collection. `connected`: a watch is open.
    `on_change` is told every change in order, a missed delete after a new list, too; it must
    return at once and not raise. An object made anew under an old name is a DELETED and an ADDED.
    """

    def __init__(
        self,
        kube: Kube,
        kind: type[T],
        *,
        clock: Clock,
        chance: Callable[[], float],
        path: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        on_change: OnChange[T] | None = None,
        keep: Callable[[T], T] | None = None,
        watch_seconds: int = WATCH_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        """`chance` returns a number in [0, 1), as `random.random` does; it spreads the pauses.

        `path` defaults to where the kind is listed over all namespaces. `keep` returns what of an
        object shall stay in `items` (its name, UID and version at least): whoever makes facts of
        ten thousand pods in `on_change` needs no second copy. Deletes are told with it.
        """
        self.items: dict[str, T] = {}
        self.synced = asyncio.Event()
        self.connected = False
        self.last_contact: float | None = None
        self.last_error: errors.KubeError | None = None
        self.resource_version = ""
        self.path = path or PATHS[kind]
        self._kube = kube
        self._clock = clock
        self._chance = chance
        self._query = selectors(label_selector, field_selector)
        self._on_change = on_change
        self._keep = keep
        self._watch_seconds = watch_seconds
        self._silence = silence
        self._failures = 0
        self._heard = 0
        self._page: msgspec.json.Decoder[_Page[T]] = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type] # a value here
        self._object = msgspec.json.Decoder(kind)
        self._bookmark = msgspec.json.Decoder(KubeObject)
        self._event = msgspec.json.Decoder(_Event)

    async def run(self) -> None:
        """List, watch, and start over after every end, until cancelled."""
        while True:
            started = self._clock.monotonic()
            heard = self._heard
            try:
                if not self.resource_version:
                    await self._list()
                await self._watch()
                self.last_error = None
            except errors.Expired as error:
                self.resource_version = ""
                self._note(error)
            except errors.KubeError as error:
                self._note(error)
            if self._clock.monotonic() - started >= STABLE_SECONDS:
                self._failures = 0
                if self._heard == heard:
                    # A live watch brings bookmarks. One from a version that the server has yet to
                    # reach (its database was restored) stays open and silent: list again.
                    self.resource_version = ""
            await self._clock.sleep(self._pause())
            self._failures += 1

    def _pause(self) -> float:
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 16))
        return longest * (0.5 + self._chance() / 2)

    def _note(self, error: errors.KubeError) -> None:
        self.last_error = error
        log.info("reflector.interrupted", path=self.path, error=str(error))

    async def _list(self) -> None:
        query = self._query | {"limit": str(PAGE_SIZE)}
        found: set[str] = set()
        while True:
            body = await self._kube.get_raw(self.path, query)
            page = self._decode(self._page, body)
            self._touch()
            # Page by page, so that no more than one of them is held as a whole.
            for item in page.items or ():
                found.add(item.key)
                self._put(item)
            if not page.metadata.continue_token:
                break
            query["continue"] = page.metadata.continue_token
        for key in self.items.keys() - found:
            self._tell("DELETED", self.items.pop(key))
        self.resource_version = page.metadata.resource_version
        self.synced.set()

    async def _watch(self) -> None:
        query = self._query | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.resource_version,
            "timeoutSeconds": str(self._watch_seconds),
        }
        async with self._kube.stream(self.path, query, silence=self._silence) as lines:
            self._touch()
            self.connected = True
            try:
                async for line in lines:
                    self._take(self._decode(self._event, line))
                    self._heard += 1
                    self._touch()
            finally:
                self.connected = False

    def _take(self, event: _Event) -> None:
        match event.type:
            case "ADDED" | "MODIFIED":
                item = self._decode(self._object, event.object)
                self._put(item)
                self.resource_version = item.metadata.resource_version
            case "DELETED":
                item = self._decode(self._object, event.object)
                if self.items.pop(item.key, None) is not None:
                    self._tell("DELETED", item)
                self.resource_version = item.metadata.resource_version
            case "BOOKMARK":
                mark = self._decode(self._bookmark, event.object)
                self.resource_version = mark.metadata.resource_version
            case "ERROR":
                raise errors.from_status(msgspec.json.decode(event.object, type=dict))
            case _:
                log.warning("reflector.unknown-event", path=self.path, type=event.type)

    def _put(self, item: T) -> None:
        known = self.items.get(item.key)
        self.items[item.key] = item if self._keep is None else self._keep(item)
        if known is None:
            self._tell("ADDED", item)
        elif known.metadata.uid != item.metadata.uid:
            self._tell("DELETED", known)
            self._tell("ADDED", item)
        elif known.metadata.resource_version != item.metadata.resource_version:
            self._tell("MODIFIED", item)

    def _tell(self, kind: ChangeKind, item: T) -> None:
        if self._on_change is not None:
            self._on_change(kind, item)

    def _touch(self) -> None:
        self.last_contact = self._clock.monotonic()

    def _decode(self, decoder: "msgspec.json.Decoder[D]", data: bytes | msgspec.Raw) -> D:
        try:
            return decoder.decode(data)
        except msgspec.DecodeError as error:
            # From a new list on, so that `last_contact` does not call this copy fresh.
            self.resource_version = ""
            raise errors.Unreachable(0, "NotJson", f"{self.path}: {error}") from error
