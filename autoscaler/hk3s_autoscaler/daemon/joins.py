"""From a server that boots to a Ready node: asking it, noticing it, drawing lessons."""

from hk3s_autoscaler.daemon.background import Background
from hk3s_autoscaler.daemon.kit import Kit, node_ref, pool_ref
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.ports import PortError

_ASK_EVERY = 5.0
_ASK_AFTER = 15.0
"""Seconds a server is given to boot before it is asked how it is getting on."""

_BLIND_AFTER = 30.0
"""Seconds after which a server that has not joined is worth a call for its address."""

_log = logger("joins")


class Joins:
    """Follows servers that are not Ready nodes yet. Restarted, it begins anew and loses nothing."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._background = Background()
        self._reports: dict[str, JoinReport] = {}
        self._asked: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._revoked: set[str] = set()
        self._blind = False

    def reports(self) -> tuple[JoinReport, ...]:
        """What servers last said of themselves."""
        return tuple(report for _, report in sorted(self._reports.items()))

    def report_of(self, server: str) -> JoinReport | None:
        """What one server last said of itself."""
        return self._reports.get(server)

    @property
    def waiting(self) -> frozenset[str]:
        """The names of servers that are on their way."""
        return frozenset(self._waiting)

    @property
    def blind(self) -> bool:
        """Whether a server that takes long cannot be asked, for want of its address."""
        return self._blind

    async def follow(
        self, servers: tuple[Server, ...], nodes: tuple[Node, ...], pools: tuple[NodePool, ...]
    ) -> None:
        """Notice nodes that became Ready; ask servers that take long, beside the loop."""
        ready = {node.name: node for node in nodes if node.ready and node.pool}
        known = {pool.name: pool for pool in pools}
        self._blind = False
        for server in servers:
            if server.name in ready:
                await self._is_ready(server, ready[server.name], known.get(server.pool))
            elif server.status != "deleting":
                self._waiting.add(server.name)
                self._ask_if_due(server)
        names = {server.name for server in servers}
        self._waiting &= names - ready.keys()
        for name in self._reports.keys() - self._waiting:
            del self._reports[name]
        for name in self._asked.keys() - self._waiting:
            del self._asked[name]
        self._revoked &= names

    async def close(self) -> None:
        """Stop asking."""
        await self._background.finish(0)

    async def _is_ready(self, server: Server, node: Node, pool: NodePool | None) -> None:
        if server.name in self._waiting:
            self._joined(server, node, pool)
        expires_at = server.token_expires_at
        if server.name in self._revoked or expires_at is None:
            return
        if expires_at > self._kit.clock.now():
            # Its work is done, and it is the one secret that a worker's user-data holds.
            try:
                await self._kit.cluster.revoke_join_token(server.name)
            except PortError as error:
                # The next turn tries again; this one has more to do than that.
                _log.warning("token.revoke_failed", name=server.name, error=str(error))
                return
            self._kit.secrets.forget(server.name)
        self._revoked.add(server.name)

    def _joined(self, server: Server, node: Node, pool: NodePool | None) -> None:
        kit = self._kit
        seconds = (kit.clock.now() - server.created_at).total_seconds()
        kit.metrics.nodes_joined.labels(server.pool).inc()
        kit.metrics.join_seconds.labels(server.pool).observe(max(0.0, seconds))
        kit.memory.joined(server.pool)
        _log.info(
            "server.joined",
            name=server.name,
            server_id=server.server_id,
            pool=server.pool,
            offering=str(server.offering),
            seconds=round(seconds, 3),
        )
        message = f"{server.name} ({server.offering}) is Ready after {seconds:.0f} s"
        kit.events.emit(node_ref(node), reason="NodeJoined", message=message)
        if pool is not None:
            kit.events.emit(pool_ref(pool), reason="NodeJoined", message=message)

    def _ask_if_due(self, server: Server) -> None:
        now = self._kit.clock.monotonic()
        age = (self._kit.clock.now() - server.created_at).total_seconds()
        if server.status not in {"starting", "running"}:
            return
        if not server.private_address:
            self._blind |= age >= _BLIND_AFTER
            return
        due = self._asked.get(server.name, float("-inf")) + _ASK_EVERY
        if age < _ASK_AFTER or now < due or self._background.is_running(server.name):
            return
        self._asked[server.name] = now
        self._background.start(server.name, self._ask(server))

    async def _ask(self, server: Server) -> None:
        try:
            report = await self._kit.cloud.join_report(server)
        except PortError as error:
            _log.warning("join_report.failed", name=server.name, error=str(error))
            return
        if report != self._reports.get(server.name) and report.error:
            _log.warning(
                "server.join_trouble",
                name=server.name,
                step=report.step,
                error=report.error,
                message=report.message,
            )
        if server.name in self._waiting:
            self._reports[server.name] = report


def failed(kit: Kit, pool: NodePool, server: Server, report: JoinReport | None) -> None:
    """Note that a server is given up before it became a node; pause the pool if it is at fault.

    Giving up may take several attempts; it counts once.
    """
    if not kit.memory.give_up(server.name):
        return
    step, error, message = "unreachable", "", "its status port did not answer"
    if report is not None:
        step, error, message = report.step, report.error, report.message or report.step
    diagnosis = f"{step}/{error}" if error else step
    kit.metrics.join_failures.labels(pool.name, step).inc()
    kit.events.emit(
        pool_ref(pool),
        reason="JoinFailed",
        message=f"{server.name} did not join: {diagnosis} ({message})",
        warning=True,
    )
    pause = kit.memory.join_failed(pool.name, diagnosis, message, kit.clock.now())
    _log.error(
        "server.join_failed",
        name=server.name,
        pool=pool.name,
        diagnosis=diagnosis,
        message=message,
        pool_paused_until=None if pause is None else pause.until.isoformat(),
    )
    if pause is not None:
        kit.events.emit(
            pool_ref(pool),
            reason="Paused",
            message=f"two servers failed alike ({diagnosis}): buying pauses"
            f" until {pause.until:%H:%M}Z",
            warning=True,
        )
