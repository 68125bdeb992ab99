"""What was learnt from refusals: blocked offerings, paused pools, account limits.

Blocks and pauses also stand in the NodePools' status, limits and join failures in the status
ConfigMap: a new process picks them up there. Here they are a cache, ahead of the watches.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import LearntLimit, OfferingBlock, OfferingKey
from hk3s_autoscaler.model.pod import PodKey

_BLOCK = timedelta(minutes=10)
_LONGEST_BLOCK = timedelta(minutes=30)
_PAUSE = timedelta(minutes=10)
_LONGEST_PAUSE = timedelta(minutes=60)
_LIMIT = timedelta(minutes=30)
_FAILURES_TO_PAUSE = 2
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_BEAT = timedelta(minutes=1)
_UNWATCHED = timedelta(minutes=3)
"""A gap between two processes in which an outage may have gone unseen. A hand-over of the Lease
takes up to 40 s, and the last entry may be a beat old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pool that buys nothing until then."""

    until: datetime
    reason: str
    message: str


@dataclass(slots=True)
class _Failures:
    diagnosis: str
    count: int = 0
    pauses: int = 0


class Memory:
    """Refusals, each with its end."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, OfferingKey], OfferingBlock] = {}
        self._strikes: dict[OfferingKey, int] = {}
        self._pauses: dict[str, Pause] = {}
        self._rejections: dict[str, int] = {}
        self._limits: dict[str, LearntLimit] = {}
        self._failures: dict[str, _Failures] = {}
        self._given_up: set[str] = set()
        self._bought_for: dict[str, tuple[PodKey, ...]] = {}
        self._nodeless: dict[str, datetime] = {}
        self.healthy_since: datetime | None = _LONG_AGO
        """Since when both APIs answered when the last process wrote it down; `None`: not then."""

    # Offerings

    def block(self, pool: str, offering: OfferingKey, reason: str, now: datetime) -> OfferingBlock:
        """Leave an offering alone: ten minutes, and longer each time it is refused again."""
        strikes = self._strikes.get(offering, 0)
        blocks = (block for (_, key), block in self._blocks.items() if key == offering)
        if not any(block.until > now for block in blocks):
            # Servers of one batch that are refused together are one refusal.
            strikes += 1
            self._strikes[offering] = strikes
        length = min(_LONGEST_BLOCK, _BLOCK * 2 ** max(0, min(strikes, 8) - 1))
        block = OfferingBlock(key=offering, reason=reason, until=now + length)
        self._blocks[pool, offering] = block
        return block

    def is_blocked(self, pool: str, offering: OfferingKey, now: datetime) -> bool:
        """Whether a pool should not ask for an offering now."""
        block = self._blocks.get((pool, offering))
        return block is not None and block.until > now

    def bought(self, pool: str, offering: OfferingKey) -> None:
        """Note that an offering could be had: what stood against it is over."""
        self._strikes.pop(offering, None)
        self._blocks.pop((pool, offering), None)
        self._rejections.pop(pool, None)

    # Pools

    def reject(self, pool: str, code: str, message: str, now: datetime) -> Pause:
        """Pause a pool whose request Hetzner will not have: repeating it is useless."""
        count = self._rejections.get(pool, 0)
        current = self._pauses.get(pool)
        if current is None or current.until <= now:
            count += 1
            self._rejections[pool] = count
        return self._pause(pool, count, "Rejected", f"{code}: {message}", now)

    def join_failed(self, pool: str, diagnosis: str, message: str, now: datetime) -> Pause | None:
        """Note a server that did not join; return the pause if the pool is at fault.

        One server can have bad luck. Two with one diagnosis mean our configuration, the bastion or
        the artifacts, and buying more would burn money.
        """
        failures = self._failures.get(pool)
        if failures is None or failures.diagnosis != diagnosis:
            pauses = 0 if failures is None else failures.pauses
            failures = self._failures[pool] = _Failures(diagnosis, pauses=pauses)
        failures.count += 1
        if failures.count < _FAILURES_TO_PAUSE:
            return None
        current = self._pauses.get(pool)
        if current is None or current.until <= now:
            failures.pauses += 1
        return self._pause(pool, failures.pauses, "JoinFailures", f"{diagnosis}: {message}", now)

    def give_up(self, server: str) -> bool:
        """Note that a server will not join; return whether that is news."""
        news = server not in self._given_up
        self._given_up.add(server)
        return news

    def joined(self, pool: str) -> None:
        """Note that a server of the pool became a node: whatever was wrong is not any more."""
        self._failures.pop(pool, None)
        pause = self._pauses.get(pool)
        if pause is not None and pause.reason == "JoinFailures":
            # Kept with an end in the past: it must outvote the copy in the pool's status.
            self._pauses[pool] = replace(
                pause, until=datetime.min.replace(tzinfo=pause.until.tzinfo)
            )

    def pause_of(self, pool: str) -> Pause | None:
        """The pause of a pool as this process knows it."""
        return self._pauses.get(pool)

    def _pause(self, pool: str, count: int, reason: str, message: str, now: datetime) -> Pause:
        length = min(_LONGEST_PAUSE, _PAUSE * 2 ** max(0, min(count, 8) - 1))
        pause = Pause(until=now + length, reason=reason, message=message)
        self._pauses[pool] = pause
        return pause

    # The account

    def limit(self, name: str, ceiling: int, now: datetime) -> LearntLimit:
        """Remember that an account limit was hit with so many servers."""
        limit = LearntLimit(name=name, ceiling=ceiling, until=now + _LIMIT)
        self._limits[name] = limit
        return limit

    def limits(self, now: datetime) -> tuple[LearntLimit, ...]:
        """The limits that still hold."""
        return tuple(limit for _, limit in sorted(self._limits.items()) if limit.until > now)

    # Servers on their way

    def expect(self, server: str, pods: tuple[PodKey, ...]) -> None:
        """Note for which pods a server is bought."""
        self._bought_for[server] = pods

    def expected(self, server: Server) -> Server:
        """Return a server with the pods that it was bought for, while they are remembered."""
        pods = self._bought_for.get(server.name)
        return server if pods is None else replace(server, bought_for=pods)

    def nodeless(
        self, servers: Iterable[Server], nodes: Iterable[Node], now: datetime
    ) -> tuple[tuple[str, datetime], ...]:
        """Note which servers have no Node; return since when, by name. A restart begins anew."""
        nodes = tuple(nodes)
        names, ids = {node.name for node in nodes}, {node.server_id for node in nodes}
        missing = sorted(s.name for s in servers if s.name not in names and s.server_id not in ids)
        # A clock that was set back must not make them wait for the time that it showed.
        self._nodeless = {name: min(now, self._nodeless.get(name, now)) for name in missing}
        return tuple(self._nodeless.items())

    def forget_served(self, servers: Iterable[str], unbound: frozenset[PodKey]) -> None:
        """Forget servers that are gone, and those whose pods all have a node by now."""
        names = set(servers)
        self._given_up &= names
        self._bought_for = {
            name: pods
            for name, pods in self._bought_for.items()
            if name in names and not unbound.isdisjoint(pods)
        }

    # In and out

    def overlay(self, pool: NodePool, now: datetime) -> NodePool:
        """Return a pool as read, with what this process knows better; ended entries fall away."""
        blocks = {block.key: block for block in pool.blocks}
        for (name, key), block in self._blocks.items():
            if name == pool.name:
                blocks[key] = block
        paused_until = pool.paused_until
        pause = self._pauses.get(pool.name)
        if pause is not None:
            paused_until = pause.until
        return replace(
            pool,
            blocks=tuple(blocks[key] for key in sorted(blocks) if blocks[key].until > now),
            paused_until=paused_until if paused_until and paused_until > now else None,
        )

    def dump(self, healthy_since: datetime | None, now: datetime) -> str:
        """Write what no NodePool status holds; another text each minute, as a sign of life."""
        seen = now - (now - _LONG_AGO) % _BEAT
        return json.dumps(
            {
                "seenAt": seen.isoformat(),
                "healthySince": None if healthy_since is None else healthy_since.isoformat(),
                "limits": [
                    {"name": item.name, "ceiling": item.ceiling, "until": item.until.isoformat()}
                    for _, item in sorted(self._limits.items())
                ],
                "joinFailures": {
                    pool: {
                        "diagnosis": item.diagnosis,
                        "count": item.count,
                        "pauses": item.pauses,
                    }
                    for pool, item in sorted(self._failures.items())
                },
                "boughtFor": {
                    server: [str(pod) for pod in pods]
                    for server, pods in sorted(self._bought_for.items())
                },
            }
        )

    def load(self, text: str, now: datetime) -> None:
        """Take up what `dump` wrote; a text of another making is ignored as a whole.

        Where nobody looked for minutes, health begins anew: an outage may lie in between.
        """
        try:
            values = json.loads(text)
            limits = {
                item["name"]: LearntLimit(
                    name=item["name"],
                    ceiling=int(item["ceiling"]),
                    until=datetime.fromisoformat(item["until"]),
                )
                for item in values["limits"]
            }
            failures = {
                pool: _Failures(item["diagnosis"], int(item["count"]), int(item["pauses"]))
                for pool, item in values["joinFailures"].items()
            }
            bought_for = {
                server: tuple(PodKey(*pod.split("/", 1)) for pod in pods)
                for server, pods in values["boughtFor"].items()
            }
            healthy = values["healthySince"]
            watched = now - datetime.fromisoformat(values["seenAt"]) < _UNWATCHED
            since = datetime.fromisoformat(healthy) if healthy is not None and watched else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        self._limits.update(limits)
        self._failures.update(failures)
        self._bought_for.update(bought_for)
        self.healthy_since = since
