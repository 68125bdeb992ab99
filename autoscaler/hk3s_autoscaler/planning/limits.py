"""Ceilings on growth, as numbers that the packing must respect."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from hk3s_autoscaler.model.node import Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.planning.reasons import Code, Reason
from hk3s_autoscaler.planning.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is left of one ceiling, and what one server of an offering takes of it."""

    code: Code
    ceiling: int
    used: int
    left: int
    words: str
    pool: str
    amount: Callable[[Offering], int]
    write: Callable[[int], str]

    def reason(self, left: int) -> Reason:
        """Say how far the ceiling is reached when so much of it is left."""
        used = self.write(self.used + self.left - left)
        return Reason(self.code, self.words.format(used=used, ceiling=self.write(self.ceiling)))

    def takes(self, pool: str, offering: Offering) -> int:
        """What a server takes of the ceiling; nothing when it belongs to another pool."""
        return self.amount(offering) if self.pool in ("", pool) else 0


def euro(micro_eur: int) -> str:
    """Write an amount of money per hour for a person."""
    return f"{micro_eur / 1_000_000:.4f} EUR/h"


def gib(memory_bytes: int) -> str:
    """Write an amount of memory for a person: `64Gi`, `512Mi`."""
    if memory_bytes >= 1 << 30:
        return f"{memory_bytes / (1 << 30):.1f}".removesuffix(".0") + "Gi"
    return f"{-(-memory_bytes // (1 << 20))}Mi"


def limits(world: World) -> tuple[Limit, ...]:
    """Return every ceiling that holds now; servers that are about to go still count."""
    return tuple(
        limit
        for part in (_of_cluster(world), _of_account(world), *_of_pools(world))
        for limit in part
    )


def _of_cluster(world: World) -> Iterator[Limit]:
    config, servers = world.config, _servers(world)
    yield _limit(
        Code.MAX_SERVERS,
        "the cluster has {used} of {ceiling} servers",
        config.max_servers,
        len(servers),
        amount=_one,
    )
    if config.max_micro_eur_per_hour is not None:
        yield _limit(
            Code.EURO_LIMIT,
            "the cluster costs {used} of {ceiling}",
            config.max_micro_eur_per_hour,
            sum(world.price_of(server) for server in servers),
            amount=_price_of,
            write=euro,
        )
    coming = sum(not server.attached for server in servers)
    yield _limit(
        Code.NETWORK_FULL,
        "the network has {used} of {ceiling} members",
        config.max_attachments,
        world.snapshot.attachments_used + coming,
        amount=_one,
    )


def _of_account(world: World) -> Iterator[Limit]:
    for learnt in world.snapshot.learnt_limits:
        if learnt.until <= world.now:
            continue
        kind = next((k for k in ("dedicated", "shared") if k in learnt.name), "")
        have = sum(not kind or _cpu_type(world, server) == kind for server in _servers(world))
        yield _limit(
            Code.ACCOUNT_LIMIT,
            f"Hetzner's {learnt.name} was hit at {{ceiling}} servers;"
            f" more are tried from {learnt.until:%H:%M} UTC",
            learnt.ceiling,
            have,
            amount=partial(_counts_as, kind),
        )


def _of_pools(world: World) -> Iterator[Iterator[Limit]]:
    for pool in world.snapshot.pools:
        yield _of_pool(world, pool)


def _of_pool(world: World, pool: NodePool) -> Iterator[Limit]:
    servers = [server for server in _servers(world) if server.pool == pool.name]
    yield _limit(
        Code.MAX_NODES,
        f"pool {pool.name} has {{used}} of {{ceiling}} nodes",
        pool.max_nodes,
        len(servers),
        amount=_one,
        pool=pool.name,
    )
    ceilings = (
        ("cpu", pool.limits.cpu_milli, _cpu, _cores),
        ("memory", pool.limits.memory_bytes, _memory, gib),
    )
    for name, ceiling, amount, write in ceilings:
        if ceiling is not None:
            yield _limit(
                Code.POOL_LIMIT,
                f"pool {pool.name} has {{used}} of {{ceiling}} {name}",
                ceiling,
                sum(amount(o) for s in servers if (o := world.offering_of(s)) is not None),
                amount=amount,
                pool=pool.name,
                write=write,
            )
    if pool.limits.micro_eur_per_hour is not None:
        yield _limit(
            Code.EURO_LIMIT,
            f"pool {pool.name} costs {{used}} of {{ceiling}}",
            pool.limits.micro_eur_per_hour,
            sum(world.price_of(server) for server in servers),
            amount=_price_of,
            pool=pool.name,
            write=euro,
        )


def _limit(
    code: Code,
    words: str,
    ceiling: int,
    used: int,
    *,
    amount: Callable[[Offering], int],
    pool: str = "",
    write: Callable[[int], str] = str,
) -> Limit:
    left = max(0, ceiling - used)
    return Limit(
        code=code,
        ceiling=ceiling,
        used=used,
        left=left,
        words=words,
        pool=pool,
        amount=amount,
        write=write,
    )


def _servers(world: World) -> list[Server]:
    return [worker.server for worker in world.workers if worker.server is not None]


def _cpu_type(world: World, server: Server) -> str:
    offering = world.offering_of(server)
    return offering.cpu_type if offering is not None else ""


def _counts_as(kind: str, offering: Offering) -> int:
    return int(not kind or offering.cpu_type == kind)


def _one(_: Offering) -> int:
    return 1


def _price_of(offering: Offering) -> int:
    return offering.micro_eur_per_hour


def _cores(milli: int) -> str:
    return f"{milli / 1000:g}"


def _cpu(offering: Offering) -> int:
    return offering.cores * 1000


def _memory(offering: Offering) -> int:
    return offering.memory_bytes
