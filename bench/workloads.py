"""Random workloads and price lists for the benches, the same for the same seed."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import DaemonSet, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.world import World
from hk3s_data.catalog import bundled
from hk3s_hetzner import catalog

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MIB = 1 << 20
PLENTY = 100_000
CONFIG = PlanConfig(max_servers=PLENTY, max_attachments=PLENTY)
AGENT = DaemonSet(
    key=PodKey("kube-system", "agent"),
    spec=PodSpec(requests=Resources(cpu_milli=100, memory_bytes=250 * MIB, pods=1)),
)

Shape = tuple[int, int]
"""CPU in thousandths, memory in MiB."""
Mix = Callable[[random.Random], Callable[[], Shape]]


def diverse(chance: random.Random) -> Callable[[], Shape]:
    """The sizes of Karpenter's scheduling benchmark, 30 classes."""
    return lambda: (
        chance.choice((100, 250, 500, 1000, 1500)),
        chance.choice((100, 256, 512, 1024, 2048, 4096)),
    )


def four_shapes(chance: random.Random) -> Callable[[], Shape]:
    """A few deployments."""
    shapes = [(chance.randrange(100, 2000, 50), chance.randrange(128, 4096, 64)) for _ in range(4)]
    return lambda: chance.choice(shapes)


def fifty_shapes(chance: random.Random) -> Callable[[], Shape]:
    """Many deployments, some large."""
    shapes = [(chance.randrange(50, 4000, 50), chance.randrange(64, 8192, 64)) for _ in range(50)]
    return lambda: chance.choice(shapes)


def cpu_heavy(chance: random.Random) -> Callable[[], Shape]:
    """Much CPU, little memory."""
    return lambda: (chance.choice((500, 1000, 2000, 3000)), chance.choice((64, 128, 256, 512)))


def memory_heavy(chance: random.Random) -> Callable[[], Shape]:
    """Much memory, little CPU."""
    return lambda: (chance.choice((50, 100, 250)), chance.choice((1024, 2048, 3072, 6144)))


def pod(name: str, shape: Shape, **rules: Any) -> Pod:  # noqa: ANN401 - the facts themselves check it
    """A pending pod; `rules` go to its spec."""
    cpu, memory = shape
    requests = Resources(cpu_milli=cpu, memory_bytes=memory * MIB, pods=1)
    return Pod(
        key=PodKey("bench", name),
        uid=name,
        spec=PodSpec(requests=requests, **rules),
        created_at=NOW,
        unschedulable_since=NOW,
    )


def pods_of(mix: Mix, number: int, seed: int) -> tuple[Pod, ...]:
    """Pods of a mix."""
    draw = mix(random.Random(seed))
    return tuple(pod(f"p{n:05}", draw()) for n in range(number))


def price_list(*, cx: bool = True, arm: bool = False) -> tuple[Offering, ...]:
    """The bundled catalogue, all of it in stock, with or without CX types and arm."""
    sold = [offering(item) for item in catalog.from_json(bundled()["server_types"])]
    return tuple(
        replace(o, published_available=True)
        for o in sold
        if (cx or not o.key.server_type.startswith("cx")) and (arm or o.architecture == "x86")
    )


def pool(name: str = "any", **changes: Any) -> NodePool:  # noqa: ANN401 - the facts themselves check it
    """A pool of every x86 type of one location."""
    made = NodePool(
        name=name,
        uid=name,
        types=TypeFilter(architectures=("x86",)),
        locations=("fsn1",),
        max_nodes=PLENTY,
    )
    return replace(made, **changes)


def world(
    pods: Iterable[Pod],
    *,
    offerings: tuple[Offering, ...],
    pools: tuple[NodePool, ...] = (),
    config: PlanConfig = CONFIG,
    **facts: Any,  # noqa: ANN401 - the facts themselves check it
) -> World:
    """A cluster with pending pods and an agent on every node."""
    snapshot = Snapshot(
        pools=pools or (pool(),),
        pods=tuple(pods),
        daemonsets=(AGENT,),
        offerings=offerings,
        servers_read_at=NOW,
        healthy_since=NOW,
        **facts,
    )
    return World(snapshot=snapshot, config=config, now=NOW)
