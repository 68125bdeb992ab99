"""Everything that RBAC grants the daemon is used by its own code, with that ServiceAccount."""

import asyncio
import random
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bootstrap.rights import Request, Rights
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.cluster import KubeCluster
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.ports import Condition, ObjectRef, PoolStatus
from hk3s_bootstrap import objects
from hk3s_kube.lease import LeaseElector, LeaseTimes

pytestmark = pytest.mark.asyncio(loop_scope="session")

NODE = "demo-general-rbacs"
LABELS = {"hk3s.dev/cluster": "demo", "hk3s.dev/pool": "rbac"}
PATH = re.compile(
    r"^/(api/v1|apis/(?P<group>[^/]+)/[^/]+)"
    r"(/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[a-z]+)(/(?P<name>[^/]+)(/(?P<sub>[a-z]+))?)?$"
)

Right = tuple[str, str, str, str]
"""API group, resource, verb, name; a name where the rule says one, else nothing."""


def granted() -> Iterator[Right]:
    for manifest in objects.base():
        for rule in manifest.get("rules", ()) if "Role" in manifest["kind"] else ():
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", ("",)):
                        yield rule["apiGroups"][0], resource, verb, name


def used(request: Request, named: set[tuple[str, str]]) -> Right:
    """What a call needed; `named` are the (resource, verb) of rules that say a name."""
    match = PATH.match(request.path)
    assert match, request.path
    resource, name = match["resource"], match["name"] or ""
    if match["sub"]:
        resource = f"{resource}/{match['sub']}"
    if request.method == "GET":
        verb = "get" if name else "watch" if "'watch'" in request.query else "list"
    else:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[
            request.method
        ]
    return match["group"] or "", resource, verb, name if (resource, verb) in named else ""


async def make_things(rights: Rights) -> None:
    pool = {"serverTypes": ["cx23"], "maxNodes": 3}
    await rights.admin.create(
        {
            "apiVersion": "hk3s.dev/v1alpha1",
            "kind": "NodePool",
            "metadata": {"name": "rbac"},
            "spec": pool,
        }
    )
    taint = {"key": "hk3s.dev/starting", "effect": "NoSchedule"}
    await rights.admin.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE, "labels": LABELS},
            "spec": {"taints": [taint]},
        }
    )
    for name in ("rbac-pending", "rbac-evicted"):
        await rights.admin.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "schedulerName": "nobody",
                    "containers": [{"name": "pause", "image": "pause"}],
                },
            }
        )


async def work(cluster: KubeCluster, watches: Watches) -> None:
    """Call everything that the port offers."""
    clock = SystemClock()
    async with asyncio.timeout(60):
        await watches.wait_synced()
    pods = {pod.key.name: pod for pod in cluster.pods()}
    now = clock.now()
    await cluster.create_join_token(NODE, now + timedelta(minutes=20))
    await cluster.revoke_join_token(NODE)
    assert await cluster.invite_pods(NODE, (pods["rbac-pending"],), now) == 1
    await cluster.open_node(NODE)
    opened = await cluster.get_node(NODE)
    assert opened is not None
    assert STARTING_TAINT not in {taint.key for taint in opened.taints}
    await cluster.mark_unneeded(NODE, now)
    await cluster.cordon(NODE, "test", now)
    await cluster.uncordon(NODE)
    await cluster.pods_on(NODE)
    await cluster.volumes_attached(NODE)
    await cluster.evict(pods["rbac-evicted"])
    for _ in range(2):
        about = ObjectRef(kind="Node", name=NODE)
        await cluster.emit(about, reason="Test", message="what RBAC grants is used")
    (pool,) = [pool for pool in cluster.pools() if pool.name == "rbac"]
    ready = Condition(type="Ready", status=True, reason="Test", message="")
    await cluster.write_pool_status(
        PoolStatus(pool=pool, nodes=1, ready=0, micro_eur_per_hour=0, conditions=(ready,))
    )
    await cluster.write_report({"test": "x"})
    await cluster.read_report()
    node = await cluster.get_node(NODE)
    assert node is not None
    await cluster.delete_node(NODE, node.uid)


async def stand_for_election(rights: Rights) -> None:
    won = asyncio.Event()
    elector = LeaseElector(
        rights.daemon,
        namespace="hk3s-system",
        name="hk3s-autoscaler",
        identity="test",
        clock=SystemClock(),
        chance=random.random,
        times=LeaseTimes(retry=0.2),
        on_change=lambda leading: won.set() if leading else None,
    )
    running = asyncio.create_task(elector.run())
    async with asyncio.timeout(60):
        await won.wait()
    elector.stop()
    await running


async def test_every_right_is_used_and_no_other_is_needed(rights: Rights) -> None:
    await make_things(rights)
    rights.daemon.allowed.clear()
    watches = Watches(
        rights.daemon,
        cluster="demo",
        clock=SystemClock(),
        chance=random.random,
        listener=lambda _: None,
    )
    cluster = KubeCluster(
        rights.daemon,
        watches,
        cluster="demo",
        namespace="hk3s-system",
        ca_hash="0" * 64,
        clock=SystemClock(),
        fence=lambda: None,
        random_bytes=random.randbytes,
    )
    await cluster.start()
    watching = asyncio.create_task(watches.run())
    try:
        await work(cluster, watches)
        await stand_for_election(rights)
        await stand_for_election(rights)  # the Lease exists now: it is read and taken
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    wanted = set(granted())
    named = {(resource, verb) for _, resource, verb, name in wanted if name}
    assert {used(request, named) for request in rights.daemon.allowed} == wanted
