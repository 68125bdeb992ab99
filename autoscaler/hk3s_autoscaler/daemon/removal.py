"""Giving servers back. Everything is looked at again, past every cache, just before harm."""

from hk3s_autoscaler.daemon import joins
from hk3s_autoscaler.daemon.kit import Kit, node_ref, pool_ref
from hk3s_autoscaler.daemon.log import logger
from hk3s_autoscaler.model.node import JoinReport, Node, Server
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.actions import DeleteNode, DeleteServer, DrainNode
from hk3s_autoscaler.planning.drainability import has_outstayed
from hk3s_autoscaler.planning.reasons import Code
from hk3s_autoscaler.ports import Changed, EvictionBlocked

DRAINED = frozenset({Code.EMPTY, Code.UNDERUTILIZED, Code.DRIFTED, Code.EXPIRED})
"""Reasons after which a server goes only once its node is cordoned, empty and free of volumes."""

NEVER_JOINED = frozenset({Code.JOIN_TIMED_OUT, Code.JOIN_FAILED, Code.TOKEN_EXPIRED})
"""Reasons that a Ready node refutes, and that speak against its pool's settings."""

_REPLACED = NEVER_JOINED | {Code.NODE_LOST}

_log = logger("removal")


async def drain(kit: Kit, action: DrainNode) -> str:
    """Evict the pods of a cordoned node; return what stands in the way, empty when nothing does.

    Raises:
        Changed: the node is not cordoned any more, or has pods that nobody decided about.
    """
    node = await kit.cluster.get_node(action.node)
    if node is None:
        raise Changed(f"{action.node} is gone")
    if not node.unschedulable:
        raise Changed(f"{action.node} is not cordoned any more")
    live = [pod for pod in await kit.cluster.pods_on(action.node) if is_in_the_way(pod)]
    known = (*action.pods, *action.later)
    newcomers = [pod.key for pod in live if pod.key not in known and pod.deleted_at is None]
    if newcomers:
        raise Changed(f"{action.node} got {newcomers[0]} meanwhile")
    blocked = ""
    now = [pod for pod in live if pod.deleted_at is None and pod.key in action.pods]
    for pod in sorted(now, key=lambda pod: action.pods.index(pod.key)):
        try:
            await kit.cluster.evict(pod)
        except EvictionBlocked as error:
            blocked = Code.BLOCKED_BY_PDB.value
            kit.metrics.evictions.labels("blocked").inc()
            kit.events.emit(
                node_ref(node),
                reason="DrainBlocked",
                message=f"{pod.key} cannot be evicted now: {error}",
                warning=True,
            )
            _log.info("eviction.blocked", node=node.name, pod=str(pod.key), error=str(error))
        else:
            kit.metrics.evictions.labels("evicted").inc()
            _log.info("pod.evicted", node=node.name, pod=str(pod.key), reason=action.reason.code)
    return blocked


def is_in_the_way(pod: Pod) -> bool:
    """Whether a node cannot go while it holds the pod."""
    return not pod.is_daemon and not pod.mirror and pod.phase not in {"Succeeded", "Failed"}


async def delete_server(
    kit: Kit, action: DeleteServer, *, joining: JoinReport | None, pool: NodePool | None
) -> None:
    """Delete a server, then its Node: a Node deleted first would be registered again.

    `joining` is what the server last said of itself; `pool` is absent when it was deleted.

    Raises:
        Changed: what the decision was made on does not hold any more.
    """
    server = await kit.cloud.get_server(action.server_id)
    node = await kit.cluster.get_node(action.node or action.name)
    if server is not None:
        _check_server(action, server, kit.cluster.cluster_uid())
        if node is not None:
            await _check_node(kit, action, node, server)
        kit.servers.begin_delete(action.name)
        if action.reason.code in NEVER_JOINED and pool is not None:
            # Before the call: the next plan must know before it buys a replacement.
            joins.failed(kit, pool, server, joining)
        gone = False
        try:
            await kit.cloud.delete_server(action.server_id)
            gone = True
        finally:
            kit.servers.end_delete(action.name, gone=gone)
        _deleted(kit, action, server, pool)
    else:
        kit.servers.end_delete(action.name, gone=True)
    if node is not None and node.server_id in {0, action.server_id} and node.pool:
        await kit.cluster.delete_node(node.name, node.uid)
    await kit.cluster.revoke_join_token(action.name)
    kit.secrets.forget(action.name)


async def delete_node(kit: Kit, action: DeleteNode) -> None:
    """Delete the Node of a server that is gone.

    Raises:
        Changed: its server exists after all, or the Node is not ours.
    """
    node = await kit.cluster.get_node(action.node)
    if node is None or node.uid != action.uid:
        return
    if not node.pool or node.is_master:
        raise Changed(f"{node.name} is not ours")
    if node.server_id and await kit.cloud.get_server(node.server_id) is not None:
        raise Changed(f"the server of {node.name} exists")
    await kit.cluster.delete_node(node.name, node.uid)
    if action.reason.code is Code.ORPHANED_NODE:
        kit.metrics.orphans_collected.labels("node").inc()
    _log.info(
        "node.deleted", node=node.name, reason=action.reason.code, message=action.reason.message
    )


def _check_server(action: DeleteServer, server: Server, cluster_uid: str) -> None:
    if server.name != action.name or server.pool != action.pool:
        raise Changed(f"server {action.server_id} is {server.name} of {server.pool} now")
    if server.cluster_uid != cluster_uid:
        raise Changed(f"{server.name} belongs to another cluster")


async def _check_node(kit: Kit, action: DeleteServer, node: Node, server: Server) -> None:
    if node.is_master or not node.pool:
        raise Changed(f"{node.name} is not ours")
    if node.server_id not in {0, server.server_id}:
        raise Changed(f"{node.name} runs on server {node.server_id}")
    if action.reason.code in NEVER_JOINED and node.ready:
        raise Changed(f"{node.name} joined meanwhile")
    if action.reason.code is Code.NODE_LOST and node.ready:
        raise Changed(f"{node.name} answers again")
    if action.reason.code is Code.ORPHANED_SERVER:
        raise Changed(f"{node.name} has a Node")
    if action.reason.code not in DRAINED:
        return
    if not node.unschedulable:
        raise Changed(f"{node.name} is not cordoned any more")
    now = kit.clock.now()
    held = [
        pod.key
        for pod in await kit.cluster.pods_on(node.name)
        if is_in_the_way(pod) and not has_outstayed(pod, now)
    ]
    if held:
        raise Changed(f"{node.name} still has {held[0]}")
    volumes = await kit.cluster.volumes_attached(node.name)
    if volumes:
        raise Changed(f"{node.name} still has {volumes} volumes attached")


def _deleted(
    kit: Kit,
    action: DeleteServer,
    server: Server,
    pool: NodePool | None,
) -> None:
    code, message = action.reason.code, action.reason.message
    kit.metrics.servers_deleted.labels(action.pool, code).inc()
    if code in _REPLACED:
        kit.metrics.servers_replaced.labels(action.pool, code).inc()
    if code is Code.ORPHANED_SERVER:
        kit.metrics.orphans_collected.labels("server").inc()
    _log.info(
        "server.deleted",
        name=server.name,
        server_id=server.server_id,
        pool=server.pool,
        offering=str(server.offering),
        reason=code,
        message=message,
        lifetime_seconds=round((kit.clock.now() - server.created_at).total_seconds()),
    )
    if pool is not None:
        kit.events.emit(pool_ref(pool), reason="ServerDeleted", message=f"{server.name}: {message}")
