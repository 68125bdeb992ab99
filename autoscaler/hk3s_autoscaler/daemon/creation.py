"""Making a server: token, create, attach, power on. Each step is safe to repeat."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hk3s_autoscaler.daemon.kit import Kit, pool_ref
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.model.node import Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.planning.actions import CreateServer, FinishServer
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.ports import (
    CapacityUnavailable,
    QuotaExceeded,
    Rejected,
    ServerRequest,
    Unavailable,
)

TOKEN_MARGIN = timedelta(minutes=5)
"""A join token outlives the pool's join timeout by this."""

LONGEST_TOKEN = timedelta(minutes=59)

_RETRY_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

_log = logger("creation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A create action with all that is fixed before its first call.

    `first_seen` is the monotonic time of the oldest watch event among its pods, if known.
    """

    action: CreateServer
    name: str
    pool: NodePool
    offerings: Mapping[OfferingKey, Offering]
    placed_at: datetime
    cluster_uid: str
    first_seen: float | None = None

    @property
    def expires_at(self) -> datetime:
        """When the join token ends; the admission policy allows an hour at most."""
        return self.placed_at + min(self.pool.join_timeout + TOKEN_MARGIN, LONGEST_TOKEN)

    def requested(self, key: OfferingKey) -> Server:
        """The server as a fact while its create call is under way."""
        return Server(
            name=self.name,
            server_id=0,
            pool=self.pool.name,
            offering=key,
            status="requested",
            created_at=self.placed_at,
            cluster_uid=self.cluster_uid,
            micro_eur_per_hour=self.offerings[key].micro_eur_per_hour,
            token_expires_at=self.expires_at,
        )


async def create(kit: Kit, order: Order) -> None:
    """Carry out an order; whatever comes of it is noted in the kit's caches.

    Where the outcome is unknown the token stays: the next listing tells whether the server exists,
    and `FinishServer` carries on with it.
    """
    try:
        token = await kit.cluster.create_join_token(order.name, order.expires_at)
        kit.secrets.add(order.name, token.rpartition(".")[2])
        server = await _buy(kit, order, token)
        if server is None:
            await kit.cluster.revoke_join_token(order.name)
            kit.secrets.forget(order.name)
        else:
            await _start(kit, server)
    finally:
        kit.servers.withdraw(order.name)


async def finish(kit: Kit, action: FinishServer) -> None:
    """Carry on with a server whose making was cut short."""
    server = await kit.cloud.get_server(action.server_id)
    if server is None:
        kit.servers.end_delete(action.name, gone=True)
        return
    _log.info("server.finish", name=server.name, pool=server.pool, step=action.step)
    kit.servers.put(server)
    await _start(kit, server)


async def _start(kit: Kit, server: Server) -> None:
    """Take the steps that are still missing."""
    if not server.attached:
        try:
            server = await kit.cloud.attach_server(server.server_id)
        except QuotaExceeded as error:
            await _give_back(kit, server, error)
            return
        kit.servers.put(server)
    if server.status == "off":
        await kit.cloud.power_on_server(server.server_id)
        kit.servers.put(replace(server, status="starting"))


async def _buy(kit: Kit, order: Order, token: str) -> Server | None:
    """Try the offerings in order; only a lack of capacity moves on to the next."""
    keys = (order.action.offering, *order.action.fallbacks)
    for key in keys:
        if key != keys[0] and kit.memory.is_blocked(order.pool.name, key, kit.clock.now()):
            continue  # a server of the same batch was refused a moment ago
        try:
            request = kit.births.request(
                name=order.name,
                pool=order.pool,
                offering=order.offerings[key],
                join_token=token,
                expires_at=order.expires_at,
            )
            kit.servers.request(order.requested(key))
            server = await _create_patiently(kit, order, request)
        except CapacityUnavailable as error:
            _sold_out(kit, order, key, error)
            continue
        except QuotaExceeded as error:
            _over_quota(kit, order, key, error)
            return None
        except Rejected as error:
            _count(kit, order, key, "Rejected")
            refuse_pool(kit, order.pool, error)
            return None
        _bought(kit, order, key, server)
        return server
    _log.warning("server.unavailable", name=order.name, pool=order.pool.name, tried=len(keys))
    return None


async def _create_patiently(kit: Kit, order: Order, request: ServerRequest) -> Server:
    """Repeat a create whose outcome is unknown: the fixed name makes the repetition harmless."""
    if order.first_seen is not None:
        kit.metrics.reaction_seconds.observe(max(0.0, kit.clock.monotonic() - order.first_seen))
    _log.info(
        "server.create",
        name=request.name,
        pool=request.pool,
        offering=str(request.offering),
        reason=order.action.reason.code,
        message=order.action.reason.message,
        pods=len(order.action.pods),
        eur_per_hour=order.offerings[request.offering].micro_eur_per_hour / 1_000_000,
    )
    for pause in _RETRY_PAUSES:
        try:
            return await kit.cloud.create_server(request)
        except Unavailable as error:
            _count(kit, order, request.offering, "Unavailable")
            _log.warning("server.create.retry", name=request.name, error=str(error), pause=pause)
        await kit.clock.sleep(pause)
    return await kit.cloud.create_server(request)


def _bought(kit: Kit, order: Order, key: OfferingKey, server: Server) -> None:
    pool = order.pool.name
    kit.servers.put(server)
    kit.memory.bought(pool, key)
    kit.metrics.servers_created.labels(pool, key.server_type, key.location).inc()
    fallback = key != order.action.offering
    if fallback:
        kit.metrics.fallbacks.labels(pool, key.server_type, key.location).inc()
    _log.info(
        "server.created",
        name=server.name,
        server_id=server.server_id,
        pool=pool,
        offering=str(key),
        fallback=fallback,
        seconds=round((kit.clock.now() - order.placed_at).total_seconds(), 3),
    )
    instead = f" instead of {order.action.offering}" if fallback else ""
    kit.events.emit(
        pool_ref(order.pool),
        reason="ServerCreated",
        message=f"{server.name} ({key}{instead}): {order.action.reason.message}",
    )


def _sold_out(kit: Kit, order: Order, key: OfferingKey, error: CapacityUnavailable) -> None:
    block = kit.memory.block(order.pool.name, key, error.code, kit.clock.now())
    _count(kit, order, key, Code.OUT_OF_STOCK)
    _log.warning(
        "offering.blocked",
        pool=order.pool.name,
        offering=str(key),
        code=error.code,
        until=block.until.isoformat(),
        error=str(error),
    )
    kit.events.emit(
        pool_ref(order.pool),
        reason="OfferingUnavailable",
        message=f"{key} cannot be had now ({error.code}), next try after {block.until:%H:%M}Z",
        warning=True,
    )


async def _give_back(kit: Kit, server: Server, error: QuotaExceeded) -> None:
    """Delete a server that the network has no place for: others joined since it was counted."""
    _learn_limit(kit, error, sum(server.attached for server in kit.servers.servers()))
    kit.servers.begin_delete(server.name)
    gone = False
    try:
        await kit.cloud.delete_server(server.server_id)
        gone = True
    finally:
        kit.servers.end_delete(server.name, gone=gone)
    _log.warning("server.discarded", name=server.name, server_id=server.server_id)
    await kit.cluster.revoke_join_token(server.name)
    kit.secrets.forget(server.name)


def _learn_limit(kit: Kit, error: QuotaExceeded, have: int) -> None:
    limit = kit.memory.limit(error.limit, have, kit.clock.now())
    _log.error(
        "account.limit",
        limit=error.limit,
        ceiling=limit.ceiling,
        until=limit.until.isoformat(),
        error=str(error),
    )


def _over_quota(kit: Kit, order: Order, key: OfferingKey, error: QuotaExceeded) -> None:
    # The one that was refused does not count: the ceiling is what the account let us have.
    have = sum(1 for server in kit.servers.servers() if server.status != "requested")
    _learn_limit(kit, error, have)
    _count(kit, order, key, Code.ACCOUNT_LIMIT)
    kit.events.emit(
        pool_ref(order.pool),
        reason="AtLimit",
        message=f"the account's limit {error.limit} is reached with {have} workers:"
        " ask Hetzner to raise it",
        warning=True,
    )


def refuse_pool(kit: Kit, pool: NodePool, error: Rejected) -> None:
    """Pause a pool whose servers cannot be made as it wants them: repeating is useless."""
    pause = kit.memory.reject(pool.name, error.code, str(error), kit.clock.now())
    _log.error(
        "server.rejected",
        pool=pool.name,
        code=error.code,
        error=str(error),
        until=pause.until.isoformat(),
    )
    kit.events.emit(
        pool_ref(pool),
        reason="Paused",
        message=f"no server can be made ({error.code}): {error}",
        warning=True,
    )


def _count(kit: Kit, order: Order, key: OfferingKey, reason: str) -> None:
    kit.metrics.create_failures.labels(order.pool.name, key.server_type, key.location, reason).inc()
