"""Why pods are not served: the closest pool answers, in numbers."""

from dataclasses import replace

from autoscaler.builders import (
    CONFIG,
    CX23,
    CX33,
    CX53,
    NOW,
    minutes,
    pod,
    pool,
    server,
    snapshot,
    tainted,
)
from hk3s_autoscaler.model.nodepool import PoolLimits, TypeFilter
from hk3s_autoscaler.model.offering import LearntLimit, OfferingBlock
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.reasons import Code

BUSY = pod("busy", cpu="1900m")
WAITING = pod("waiting", cpu="1900m")


def why(world: Snapshot, config: PlanConfig = CONFIG) -> str:
    """The reason of the one pod that is not served."""
    found = plan(world, config, NOW)
    served = {p for a in found.actions if isinstance(a, CreateServer) for p in a.pods}
    (reason,) = {str(r.reason) for r in found.pods if r.pod not in served}
    return reason


def test_without_any_pool() -> None:
    assert why(snapshot(pools=[], pods=[WAITING])) == "NoPoolMatches: there is no NodePool"


def test_rules_of_every_pool_are_named() -> None:
    pools = [pool("batch", taints=(tainted(),)), pool("web", labels=(("disk", "hdd"),))]

    assert why(snapshot(pools=pools, pods=[pod(node_selector={"disk": "ssd"})])) == (
        "NoPoolMatches: pool batch: taint dedicated=batch:NoSchedule is not tolerated;"
        " pool web: nodeSelector disk=ssd does not match"
    )


def test_a_pod_larger_than_the_largest_server() -> None:
    assert why(snapshot(pods=[pod(cpu="1", memory="70Gi")])) == (
        "NoOfferingFits: memory 70Gi > largest 31.5Gi"
    )
    assert why(snapshot(pods=[pod(cpu="16", memory="1Gi")])) == (
        "NoOfferingFits: cpu 16 > largest 15.9"
    )


def test_a_pod_for_which_each_resource_would_do_alone() -> None:
    slim = replace(CX53, allocatable=replace(CX53.allocatable, memory_bytes=1 << 30))

    assert why(snapshot(offerings=[CX23, slim], pods=[pod(cpu="8", memory="3Gi")])) == (
        "NoOfferingFits: no server has room for cpu 8, memory 3Gi together"
    )


def test_what_would_do_is_out_of_stock() -> None:
    block = OfferingBlock(key=CX23.key, reason="resource_unavailable", until=NOW + minutes(5))

    assert why(snapshot(offerings=[CX23], pools=[pool(blocks=(block,))], pods=[WAITING])) == (
        "OutOfStock: cx23/fsn1 until 12:05 UTC (resource_unavailable)"
    )


def test_the_pool_is_paused_or_invalid() -> None:
    paused = pool(paused_until=NOW + minutes(10))
    invalid = pool(problem="maxNodes: must be a number")

    assert why(snapshot(pools=[paused], pods=[WAITING])) == (
        "PoolPaused: pool workers is paused until 12:10 UTC: joins failed"
    )
    assert why(snapshot(pools=[invalid], pods=[WAITING])) == (
        "PoolInvalid: pool workers: maxNodes: must be a number"
    )


def test_a_pause_that_is_over_does_not_hold() -> None:
    over = pool(paused_until=NOW)

    assert len(plan(snapshot(pools=[over], pods=[WAITING]), CONFIG, NOW).actions) == 1


def _limited(world: Snapshot, config: PlanConfig = CONFIG) -> str:
    return why(replace(world, pods=(BUSY, WAITING)), config)


SMALL = pool(types=TypeFilter(names=("cx23",)))


def test_each_limit_is_named_with_its_numbers() -> None:
    dollars = pool(
        types=TypeFilter(names=("cx23",)), limits=PoolLimits(micro_eur_per_hour=2 * 8_800 - 1)
    )
    cores = pool(types=TypeFilter(names=("cx23",)), limits=PoolLimits(cpu_milli=3999))
    memory = pool(types=TypeFilter(names=("cx23",)), limits=PoolLimits(memory_bytes=7 << 30))

    assert _limited(snapshot(pools=[replace(SMALL, max_nodes=1)])) == (
        "MaxNodes: pool workers has 1 of 1 nodes"
    )
    assert _limited(snapshot(pools=[dollars])) == (
        "EuroLimit: pool workers costs 0.0088 EUR/h of 0.0176 EUR/h"
    )
    assert _limited(snapshot(pools=[cores])) == "PoolLimit: pool workers has 2 of 3.999 cpu"
    assert _limited(snapshot(pools=[memory])) == "PoolLimit: pool workers has 4Gi of 7Gi memory"
    assert _limited(snapshot(pools=[SMALL]), PlanConfig(max_servers=1)) == (
        "MaxServers: the cluster has 1 of 1 servers"
    )
    assert _limited(snapshot(pools=[SMALL]), PlanConfig(max_micro_eur_per_hour=10_000)) == (
        "EuroLimit: the cluster costs 0.0088 EUR/h of 0.0100 EUR/h"
    )
    assert _limited(snapshot(pools=[SMALL], attachments_used=99)) == (
        "NetworkFull: the network has 100 of 100 members"
    )


def test_a_limit_that_hetzner_answered_with_holds_until_its_time() -> None:
    limit = LearntLimit(name="server_limit", ceiling=1, until=NOW + minutes(30))
    over = replace(limit, until=NOW)

    assert _limited(snapshot(pools=[SMALL], learnt_limits=(limit,))) == (
        "AccountLimit: Hetzner's server_limit was hit at 1 servers; more are tried from 12:30 UTC"
    )
    assert len(plan(snapshot(learnt_limits=(over,), pods=[WAITING]), CONFIG, NOW).actions) == 1


def test_a_limit_on_dedicated_cores_leaves_shared_ones_alone() -> None:
    limit = LearntLimit(name="dedicated_core_limit", ceiling=0, until=NOW + minutes(30))
    dedicated = replace(CX33, cpu_type="dedicated")

    assert why(snapshot(offerings=[dedicated], learnt_limits=(limit,), pods=[WAITING])).startswith(
        "AccountLimit"
    )
    shared = plan(snapshot(learnt_limits=(limit,), pods=[WAITING]), CONFIG, NOW)
    assert len(shared.actions) == 1


def test_a_limit_buys_fewer_larger_servers_rather_than_stranding_pods() -> None:
    pods = [pod(cpu="1900m", memory="1Gi") for _ in range(8)]
    dear_large = replace(CX53, micro_eur_per_hour=900_000)
    world = snapshot(pools=[pool(max_nodes=1)], offerings=[CX23, dear_large], pods=pods)

    found = plan(world, CONFIG, NOW)

    (create,) = found.actions
    assert isinstance(create, CreateServer)
    assert str(create.offering) == "cx53/fsn1"
    assert len(create.pods) == 8


def test_the_important_are_served_first_where_not_all_can_be() -> None:
    important = Pod(
        key=replace(pod("important").key),
        uid="1",
        spec=pod(cpu="1900m", priority=100).spec,
        created_at=NOW,
        unschedulable_since=NOW,
    )
    world = snapshot(pools=[replace(SMALL, max_nodes=1)], pods=[BUSY, important, WAITING])

    (create,) = [a for a in plan(world, CONFIG, NOW).actions if isinstance(a, CreateServer)]

    assert create.pods == (important.key,)


def test_a_full_pool_says_so() -> None:
    machine = server()
    world = snapshot(pools=[pool(max_nodes=1)], servers=[machine])

    (report,) = plan(world, CONFIG, NOW).pools

    assert [reason.code for reason in report.blocked] == [Code.MAX_NODES]
