"""One look at the world: the caches of both ports, joined into a snapshot."""

from hk3s_autoscaler.daemon.health import CONTACT_LOST_AFTER
from hk3s_autoscaler.daemon.joins import Joins
from hk3s_autoscaler.daemon.kit import Kit
from hk3s_autoscaler.model.snapshot import Snapshot


async def observe(kit: Kit, joins: Joins, *, max_age: float) -> Snapshot:
    """Return the facts as known now, with a server list no older than `max_age` seconds.

    Raises:
        Unavailable: Hetzner was never reached.
    """
    # Nodes, then servers, then pods. With servers first, a node that registers in between would
    # look like a node without a server; this way the odd one out is only a young server, which the
    # grace period protects. Nodes before pods: free room is never overestimated by a pod that was
    # bound in between, at worst one turn buys too little.
    nodes = kit.cluster.nodes()
    await kit.servers.refresh(max_age=max_age)
    servers = kit.servers.servers()
    pods = kit.nominations.believable(kit.cluster.pods(), nodes, kit.clock.monotonic())
    now = kit.clock.now()
    _note_health(kit)
    pools = tuple(kit.memory.overlay(pool, now) for pool in kit.cluster.pools())
    await joins.follow(servers, nodes, pools)
    kit.memory.forget_served(
        (server.name for server in servers), frozenset(pod.key for pod in pods if not pod.node)
    )
    return Snapshot(
        pools=pools,
        nodes=nodes,
        servers=tuple(kit.memory.expected(server) for server in servers),
        pods=pods,
        daemonsets=kit.cluster.daemonsets(),
        budgets=kit.cluster.budgets(),
        offerings=kit.servers.offerings,
        learnt_limits=kit.memory.limits(now),
        join_reports=joins.reports(),
        servers_read_at=kit.servers.read_at or now,
        healthy_since=kit.health.healthy_since,
        nodeless_since=kit.memory.nodeless(servers, nodes, now),
        attachments_used=kit.servers.attachments,
        cluster_uid=kit.cluster.cluster_uid(),
        namespaces=kit.cluster.namespaces(),
        storage=kit.cluster.storage(),
    )


def _note_health(kit: Kit) -> None:
    silence = kit.clock.monotonic() - kit.cluster.oldest_contact()
    kit.health.observed(
        cloud=kit.servers.answers,
        cluster=silence < CONTACT_LOST_AFTER,
        before=kit.memory.healthy_since,
    )
