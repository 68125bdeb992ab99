"""What purchases cost against the lower bound, and how long the planner takes.

    python bench/packing.py [--seeds N]

Random workloads on the bundled catalogue (all x86 types of one location, 250 MiB of DaemonSets on
each node). `ratio` is cost / bound: 1.02 means that at most two per cent could have been saved.
"""

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import mean

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.pod import DaemonSet, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.lower_bound import lower_bound
from hk3s_autoscaler.planning.plan import plan
from hk3s_autoscaler.planning.supply import offers
from hk3s_autoscaler.planning.world import World
from hk3s_data.catalog import bundled
from hk3s_hetzner import catalog

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MIB = 1 << 20
CONFIG = PlanConfig(max_servers=100_000, max_attachments=100_000)
AGENT = DaemonSet(
    key=PodKey("kube-system", "agent"),
    spec=PodSpec(requests=Resources(cpu_milli=100, memory_bytes=250 * MIB, pods=1)),
)

Shape = tuple[int, int]
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


ROWS: tuple[tuple[Mix, int, bool], ...] = (
    (four_shapes, 60, True),
    (diverse, 100, True),
    (diverse, 500, True),
    (diverse, 500, False),
    (cpu_heavy, 500, True),
    (memory_heavy, 500, True),
    (fifty_shapes, 500, True),
    (diverse, 2000, True),
    (four_shapes, 5000, True),
    (fifty_shapes, 5000, True),
    (fifty_shapes, 5000, False),
)


def world(mix: Mix, pods: int, seed: int, *, cx: bool) -> World:
    """Pending pods of a mix, and the price list with or without the CX types."""
    draw = mix(random.Random(seed))
    waiting = []
    for number in range(pods):
        cpu, memory = draw()
        requests = Resources(cpu_milli=cpu, memory_bytes=memory * MIB, pods=1)
        waiting.append(
            Pod(
                key=PodKey("bench", f"p{number:05}"),
                uid=str(number),
                spec=PodSpec(requests=requests),
                created_at=NOW,
                unschedulable_since=NOW,
            )
        )
    sold = [offering(item) for item in catalog.from_json(bundled()["server_types"])]
    snapshot = Snapshot(
        pools=(
            NodePool(
                name="any",
                uid="any",
                types=TypeFilter(architectures=("x86",)),
                locations=("fsn1",),
                max_nodes=100_000,
            ),
        ),
        pods=tuple(waiting),
        daemonsets=(AGENT,),
        offerings=tuple(
            replace(o, published_available=True)
            for o in sold
            if cx or not o.key.server_type.startswith("cx")
        ),
        servers_read_at=NOW,
        healthy_since=NOW,
    )
    return World(snapshot=snapshot, config=CONFIG, now=NOW)


def measure(given: World) -> tuple[float, float, int]:
    """Plan once: ratio to the bound, seconds, servers."""
    begun = time.perf_counter()
    found = plan(given.snapshot, given.config, given.now)
    seconds = time.perf_counter() - begun
    creates = [action for action in found.actions if isinstance(action, CreateServer)]
    served = sum(len(create.pods) for create in creates)
    if served != len(given.snapshot.pods):
        raise SystemExit(f"only {served} pods are served")
    paid = sum(create.micro_eur_per_hour for create in creates)
    return paid / lower_bound(given.snapshot.pods, offers(given)), seconds, len(creates)


def main() -> None:
    """Print one row for each mix."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print(f"{'mix':14} {'pods':>5} {'cx':>3} {'servers':>7} {'ratio':>7} {'worst':>7} {'s':>6}")
    for mix, pods, cx in ROWS:
        found = [measure(world(mix, pods, seed, cx=cx)) for seed in range(seeds)]
        ratios, seconds, servers = zip(*found, strict=True)
        print(
            f"{mix.__name__:14} {pods:5} {'yes' if cx else 'no':>3} {mean(servers):7.0f}"
            f" {mean(ratios):7.4f} {max(ratios):7.4f} {mean(seconds):6.2f}"
        )


if __name__ == "__main__":
    main()
