"""How long the planner thinks, and how much memory it takes: one whole plan, nothing else.

    python bench/planning.py [--case NAME] [--seeds N] [--series]

Each case runs in a process of its own, on one core; `cpu` is process time of `plan` alone, `rss`
the peak of the whole process with the snapshot in it. The last line is JSON. Cases:

- `classes`: 5,000 pending pods of 50 shapes, 1,000 nodes with 30,000 running pods.
- `hostnames`, `zones`: 5,000 pending pods that keep each other off a node, or spread over zones.
- `binpacking`: cluster-autoscaler's BinpackingEstimate: 51,000 pods of 2 shapes, 2,595 nodes.
- `mix`: Karpenter's scheduling benchmark: five kinds of rules about others, 400 types of server.
- `wishes`: Karpenter's preference pods: 4,000 with preferred anti-affinity by zone and hostname.
- `steady`: 1,000 nodes with 30,000 running pods, nothing pending: what can be given back?

`--series` doubles the nodes of `classes` and `steady`: cost should grow no faster than they do.
"""

import argparse
import gc
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from hk3s_autoscaler.adapters.cloud import offering
from hk3s_autoscaler.model.node import Node, Server
from hk3s_autoscaler.model.nodepool import NodePool, TypeFilter
from hk3s_autoscaler.model.offering import Offering, OfferingKey
from hk3s_autoscaler.model.pod import Owner, Pod, PodKey, PodSpec
from hk3s_autoscaler.model.relations import PodTerm, Preferences, Relations, Spread
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import LabelSelector, NodeTerm, Requirement
from hk3s_autoscaler.model.snapshot import PlanConfig, Snapshot
from hk3s_autoscaler.planning.actions import CreateServer
from hk3s_autoscaler.planning.plan import plan
from hk3s_data.catalog import bundled
from hk3s_hetzner import catalog

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3, minutes=20)
MIB = 1 << 20
GIB = 1 << 30
HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
LETTERS = "abcdefg"
CPUS = (100, 250, 500, 1000, 1500)
MEMORIES = (100, 256, 512, 1024, 2048, 4096)
CONFIG = PlanConfig(max_servers=100_000, max_attachments=100_000)


@dataclass(frozen=True)
class Case:
    """A world to plan for; its size is a number of pods or, with `in_nodes`, of nodes."""

    make: Callable[[random.Random, int], Snapshot]
    size: int
    goal: str


def size(cpu: int, memory: int) -> Resources:
    """Milli-cores and mebibytes of one pod."""
    return Resources(cpu_milli=cpu, memory_bytes=memory * MIB, pods=1)


def drawn(chance: random.Random) -> Resources:
    """The sizes of Karpenter's scheduling benchmark."""
    return size(chance.choice(CPUS), chance.choice(MEMORIES))


def pending(number: int, spec: PodSpec, **labels: str) -> Pod:
    """A pod that kube-scheduler found no place for."""
    return Pod(
        key=PodKey("bench", f"p{number:05}"),
        uid=str(number),
        spec=spec,
        created_at=NOW,
        labels=tuple(sorted(labels.items())),
        unschedulable_since=NOW,
    )


def bundled_offerings() -> tuple[Offering, ...]:
    """The price list that comes with hk3s."""
    return tuple(offering(item) for item in catalog.from_json(bundled()["server_types"]))


def linear_offerings(types: int, zones: Sequence[str]) -> tuple[Offering, ...]:
    """Karpenter's fake catalogue: price linear in size, 0.1 a core and 0.1 a gigabyte."""
    return tuple(
        sold(
            OfferingKey(f"fake-it-{n}", zone),
            cores=n,
            memory=2 * n * GIB,
            pods=10 * n,
            price=round(n * 100_000 + 2 * n * GIB / 1e9 * 100_000),
            overhead=Resources(cpu_milli=100, memory_bytes=10 * MIB),
        )
        for n in range(1, types + 1)
        for zone in zones
    )


def sold(
    key: OfferingKey, *, cores: int, memory: int, pods: int, price: int, overhead: Resources
) -> Offering:
    """A server type in a location; `memory` in bytes, `price` in micro-euro an hour."""
    capacity = Resources(
        cpu_milli=cores * 1000, memory_bytes=memory, ephemeral_bytes=1000 * GIB, pods=pods
    )
    return Offering(
        key=key,
        architecture="x86",
        cpu_type="shared",
        cores=cores,
        memory_bytes=memory,
        disk_bytes=1000 * GIB,
        micro_eur_per_hour=price,
        micro_eur_per_month=price * 624,
        capacity=capacity,
        allocatable=capacity - overhead,
    )


def snapshot(
    pods: Sequence[Pod],
    offerings: Sequence[Offering],
    servers: Sequence[Server] = (),
    nodes: Sequence[Node] = (),
) -> Snapshot:
    """One pool of everything that is for sale."""
    return Snapshot(
        pools=(
            NodePool(
                name="any",
                uid="any",
                types=TypeFilter(architectures=("x86",)),
                locations=(),
                max_nodes=100_000,
            ),
        ),
        pods=tuple(pods),
        nodes=tuple(nodes),
        servers=tuple(servers),
        offerings=tuple(offerings),
        servers_read_at=NOW,
        healthy_since=NOW - timedelta(days=1),
        cluster_uid="uid",
    )


def fifty_sizes(chance: random.Random) -> list[Resources]:
    """Many deployments."""
    return [size(chance.randrange(50, 1000, 50), chance.randrange(64, 2048, 64)) for _ in range(50)]


def occupied(chance: random.Random, count: int) -> Snapshot:
    """Nodes in service with 30 pods each."""
    offers = {str(o.key): o for o in bundled_offerings()}
    kinds = [offers[f"cpx51/{where}"] for where in ("fsn1", "nbg1", "hel1")]
    shapes = fifty_sizes(chance)
    servers, nodes, pods = [], [], []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        name = f"n{number:04}"
        servers.append(
            Server(
                name=name,
                server_id=number + 1,
                pool="any",
                offering=kind.key,
                status="running",
                created_at=LONG_AGO,
                cluster_uid="uid",
                micro_eur_per_hour=kind.micro_eur_per_hour,
                attached=True,
            )
        )
        where = kind.key.location
        nodes.append(
            Node(
                name=name,
                uid=name,
                created_at=LONG_AGO,
                ready_since=LONG_AGO,
                labels=((HOSTNAME, name), (ZONE, where), ("hk3s.dev/pool", "any")),
                allocatable=kind.allocatable,
                pool="any",
                server_id=number + 1,
            )
        )
        for pod in range(30):
            spec = PodSpec(requests=chance.choice(shapes))
            pods.append(
                Pod(
                    key=PodKey("bench", f"r{number:04}-{pod:02}"),
                    uid=f"r{number}-{pod}",
                    spec=spec,
                    created_at=LONG_AGO,
                    owner=Owner(kind="ReplicaSet", name="set", uid="set"),
                    labels=(("app", "running"),),
                    node=name,
                    phase="Running",
                )
            )
    return snapshot(pods, bundled_offerings(), servers, nodes)


def classes(chance: random.Random, count: int) -> Snapshot:
    """Five pending pods for each node in service, of 50 shapes."""
    there = occupied(chance, count)
    shapes = fifty_sizes(chance)
    waiting = [pending(n, PodSpec(requests=chance.choice(shapes))) for n in range(5 * count)]
    return snapshot((*there.pods, *waiting), there.offerings, there.servers, there.nodes)


def selects(**labels: str) -> LabelSelector:
    """A selector by labels."""
    return LabelSelector(
        requirements=tuple(
            Requirement(key=key, operator="In", values=(value,))
            for key, value in sorted(labels.items())
        )
    )


def term(key: str, **labels: str) -> PodTerm:
    """Pods of these labels in a domain."""
    return PodTerm(topology_key=key, selector=selects(**labels), namespaces=("bench",))


def hostnames(chance: random.Random, count: int) -> Snapshot:
    """Ten applications whose pods keep off each other's nodes."""
    pods = []
    for number in range(count):
        app = f"app-{number % 10}"
        rules = Relations(anti_affinity=(term(HOSTNAME, app=app),))
        pods.append(pending(number, PodSpec(requests=drawn(chance), relations=rules), app=app))
    return snapshot(pods, bundled_offerings())


def spread(key: str, letter: str) -> Relations:
    """As even as can be over a key."""
    return Relations(spread=(Spread(topology_key=key, max_skew=1, selector=selects(my=letter)),))


def zones(chance: random.Random, count: int) -> Snapshot:
    """Seven applications that spread over zones."""
    pods = []
    for number in range(count):
        letter = chance.choice(LETTERS)
        spec = PodSpec(requests=drawn(chance), relations=spread(ZONE, letter))
        pods.append(pending(number, spec, my=letter))
    return snapshot(pods, bundled_offerings())


def binpacking(_: random.Random, count: int) -> Snapshot:
    """Two shapes on one type: 2,595 nodes are enough for 51,000 pods, and not one less."""
    large = count // 50
    specs = [(count, (50, 100)), (large, (95, 190))]
    pods = [
        pending(n, PodSpec(requests=Resources(cpu_milli=cpu, memory_bytes=memory, pods=1)))
        for first, (number, (cpu, memory)) in zip((0, count), specs, strict=True)
        for n in range(first, first + number)
    ]
    only = sold(
        OfferingKey("one", "fsn1"),
        cores=1,
        memory=5000,
        pods=110,
        price=10_000,
        overhead=Resources(),
    )
    return snapshot(pods, [only])


def mix(chance: random.Random, count: int) -> Snapshot:
    """Karpenter's diverse pods: a fifth each generic, zone and host spread, affinity, apart."""
    fifth = count // 5
    pods: list[Pod] = []

    def add(number: int, make: Callable[[], tuple[Relations, dict[str, str]]]) -> None:
        for _ in range(number):
            rules, labels = make()
            spec = PodSpec(requests=drawn(chance), relations=rules)
            pods.append(pending(len(pods), spec, **labels))

    def letter() -> str:
        return chance.choice(LETTERS)

    def near() -> tuple[Relations, dict[str, str]]:
        own = letter()
        return Relations(affinity=(term(ZONE, near=own),)), {"near": own}

    apart = Relations(anti_affinity=(term(HOSTNAME, app="nginx"),))
    add(fifth, lambda: (spread(ZONE, letter()), {"my": letter()}))
    add(fifth, lambda: (spread(HOSTNAME, letter()), {"my": letter()}))
    add(fifth, near)
    add(fifth, lambda: (apart, {"app": "nginx"}))
    add(count - 4 * fifth, lambda: (Relations(), {"my": letter()}))
    return snapshot(pods, linear_offerings(400, ("test-zone-1", "test-zone-2", "test-zone-3")))


def wishes(chance: random.Random, count: int) -> Snapshot:
    """Karpenter's preference pods: equal, apart if possible, in the first zone if possible."""
    requests = drawn(chance)
    first = Requirement(key=ZONE, operator="In", values=("test-zone-1",))
    wished = Preferences(
        nodes=((1, NodeTerm(expressions=(first,))),),
        pods=((-10, term(ZONE, app="nginx")), (-1, term(HOSTNAME, app="nginx"))),
    )
    pods = [
        pending(n, PodSpec(requests=requests, preferences=wished), app="nginx")
        for n in range(count)
    ]
    return snapshot(pods, linear_offerings(400, ("test-zone-1", "test-zone-2", "test-zone-3")))


CASES = {
    "classes": Case(classes, 1000, "1 s"),
    "hostnames": Case(hostnames, 5000, "3 s"),
    "zones": Case(zones, 5000, "3 s"),
    "binpacking": Case(binpacking, 50_000, "0.5 s"),
    "mix": Case(mix, 5000, "3 s"),
    "wishes": Case(wishes, 4000, "1.5 s, 60 nodes"),
    "steady": Case(occupied, 1000, ""),
}
SERIES = {"classes": (125, 250, 500, 1000, 2000), "steady": (25, 50, 100, 200, 400, 800)}


def measure(name: str, count: int, seed: int) -> dict[str, object]:
    """Plan once in this process."""
    seen = CASES[name].make(random.Random(seed), count)
    gc.collect()
    gc.freeze()
    cpu, wall = time.process_time(), time.perf_counter()
    found = plan(seen, CONFIG, NOW)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    bought = [action for action in found.actions if isinstance(action, CreateServer)]
    waiting = sum(not pod.node for pod in seen.pods)
    return {
        "case": name,
        "size": count,
        "seed": seed,
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(wall, 3),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "pending": waiting,
        "served": sum(bool(report.target) for report in found.pods),
        "servers_bought": len(bought),
        "eur_per_hour": sum(create.micro_eur_per_hour for create in bought) / 1_000_000,
    }


def apart(name: str, count: int, seed: int) -> dict[str, object]:
    """Plan once in a process of its own."""
    command = [sys.executable, __file__, "--one", name, str(count), str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def rows(names: Sequence[str], seeds: int, *, series: bool) -> Iterator[dict[str, object]]:
    """The middle of some runs of each case."""
    for name in names:
        for count in SERIES.get(name, ()) if series else (CASES[name].size,):
            runs = [apart(name, count, seed) for seed in range(1, seeds + 1)]
            middle = median(float(str(run["cpu_seconds"])) for run in runs)
            yield min(runs, key=lambda run: abs(float(str(run["cpu_seconds"])) - middle))


def main() -> None:
    """Measure and print a table, then the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=sorted(CASES), help="this one only")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each case (default 3)")
    parser.add_argument("--series", action="store_true", help="double the nodes")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "SIZE", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, count, seed = arguments.one
        print(json.dumps(measure(name, int(count), int(seed))))
        return
    names = [arguments.case] if arguments.case else list(SERIES if arguments.series else CASES)
    found = []
    print(
        f"{'case':<11}{'size':>7}{'cpu s':>8}{'wall s':>8}{'rss MiB':>9}{'pending':>9}"
        f"{'served':>8}{'bought':>8}{'EUR/h':>10}  goal"
    )
    for row in rows(names, arguments.seeds, series=arguments.series):
        found.append(row)
        print(
            f"{row['case']:<11}{row['size']:>7}{row['cpu_seconds']:>8}{row['wall_seconds']:>8}"
            f"{row['peak_rss_mib']:>9}{row['pending']:>9}{row['served']:>8}"
            f"{row['servers_bought']:>8}{row['eur_per_hour']:>10.2f}"
            f"  {CASES[str(row['case'])].goal}",
            flush=True,
        )
    print(json.dumps({"cases": found}))


if __name__ == "__main__":
    main()
