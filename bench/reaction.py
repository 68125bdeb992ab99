"""How fast the daemon answers a pending pod, and what it costs to keep: memory and processor.

The real process, with its ServiceAccount's rights, against the lab's real control plane and the
Hetzner emulator. The last line of stdout is JSON; progress and details go to stderr.

  p50_ms, p99_ms       watch event of a pending pod to the arrival of POST /servers at the
                       emulator, without the batch window (aims: 150 and 500)
  apiserver_rtt_ms     this machine's median round trip of a GET, for scale
  rss_idle_mb          the daemon's resident memory in an empty cluster (aim 75)
  rss_large_mb         the same with the nodes and pods asked for (aim 150)
  cpu_idle_s_per_90s   its processor time in 90 idle seconds at that size (aim 1.5)
"""

import argparse
import asyncio
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from hk3s_lab.addresses import Addresses

sys.path.insert(0, str(Path(__file__).parents[1]))  # the file beside this one, from a script

from bench.standing import (
    BATCH_IDLE_SECONDS,
    CLOCK,
    CLUSTER,
    NAMESPACES,
    POOLS,
    Daemon,
    Project,
    Standing,
    control_plane,
    node,
    pod,
)

KEYS = ["p50_ms", "p99_ms", "apiserver_rtt_ms", "rss_idle_mb", "rss_large_mb", "cpu_idle_s_per_90s"]
EXAMPLES = """examples:
  python bench/reaction.py                                the whole measurement, about 6 minutes
  python bench/reaction.py --nodes 0 --pods 0             reaction and idle memory only
  python bench/reaction.py --scale-ups 5 --pause 11       each decision needs a new server list
  python bench/reaction.py --nodes 45 --pods 1500         reaction in a cluster of some size, too
"""
PODS = f"{NAMESPACES}/default/pods"
IDLE_SECONDS = 90.0
SETTLE_SECONDS = 20.0
MOST_WORKERS = 98
"""A network of Hetzner takes a hundred servers: in a larger cluster nothing more is bought."""

AT_ONCE = 12


def say(text: str) -> None:
    """Tell of progress."""
    load = os.getloadavg()[0]
    print(f"[load {load:4.1f}] {text}", file=sys.stderr, flush=True)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least that share does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else 0.0


@asynccontextmanager
async def emulator() -> AsyncIterator[str]:
    """Run a Hetzner emulator as a process of its own and give its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hk3s_lab.hetzner.main", "--stock", "all", "--speed", "50"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the emulator has no stdout")
        yield (await process.stdout.readline()).decode().strip().removesuffix("/v1")
    finally:
        process.terminate()
        await process.wait()


async def many(call: Callable[[int], Awaitable[None]], count: int, what: str) -> None:
    """Call with each number below `count`, a few at a time."""
    began = CLOCK.monotonic()
    left = iter(range(count))

    async def client() -> None:
        for number in left:
            await call(number)

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    say(f"{count} {what}: {CLOCK.monotonic() - began:.1f} s")


async def round_trip_ms(standing: Standing) -> float:
    """Return the median of a hundred reads of one object."""
    times: list[float] = []
    for _ in range(100):
        began = CLOCK.monotonic()
        await standing.admin.get(f"{NAMESPACES}/default")
        times.append((CLOCK.monotonic() - began) * 1000)
    return statistics.median(times)


async def scale_ups(
    standing: Standing, project: Project, daemon: Daemon, prefix: str, options: argparse.Namespace
) -> list[float]:
    """Make pods that need a server each, one after the other; return the reactions in ms."""
    reactions: list[float] = []
    for number in range(options.scale_ups):
        seen = len(daemon.events("pods.observed"))
        before = (await project.call("GET", "/_lab/requests"))["requests"][-1]["seq"]
        await standing.admin.post(PODS, pod(f"{prefix}-{number}", 0, cpu="2500m"))
        async with asyncio.timeout(60):
            while not (creates := await project.creates(before)):
                await CLOCK.sleep(0.05)
        observed = daemon.events("pods.observed")[seen]
        closed = observed["last_monotonic"] + BATCH_IDLE_SECONDS
        reactions.append((creates[0]["monotonic"] - closed) * 1000)
        await CLOCK.sleep(options.pause)
    say(
        f"reaction {prefix}: {len(reactions)} scale-ups, p50 {percentile(reactions, 0.5):.0f} ms,"
        f" p99 {percentile(reactions, 0.99):.0f} ms, worst {max(reactions, default=0):.0f} ms"
    )
    return reactions


async def fill(standing: Standing, project: Project, options: argparse.Namespace) -> None:
    """Bring the cluster to the size asked for: workers with their servers, full of pods."""
    admin = standing.admin

    def pool(number: int) -> str:
        return POOLS[number % len(POOLS)]

    async def join(number: int) -> None:
        name = f"{CLUSTER}-{pool(number)}-{number:05}"
        mine = {"hk3s.dev/cluster": CLUSTER, "hk3s.dev/pool": pool(number)}
        server_id = await project.buy(name, pool(number), standing.cluster_uid)
        await admin.post("/api/v1/nodes", node(name, mine, f"hcloud://{server_id}"))

    async def place(number: int) -> None:
        name, on = f"app-{number:05}", number % options.nodes
        where = f"{CLUSTER}-{pool(on)}-{on:05}"
        await admin.post(PODS, pod(name, number % 100, node_name=where))
        await admin.patch(f"{PODS}/{name}/status", {"status": running(number)})

    await many(join, options.nodes, "nodes")
    await many(place, options.pods, "pods")


def running(number: int) -> dict[str, Any]:
    """Return the status of a running pod."""
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    now = "2026-11-23T12:00:00Z"
    return {
        "phase": "Running",
        "startTime": now,
        "podIP": f"10.42.{number // 250}.{number % 250 + 1}",
        "conditions": [{"type": k, "status": "True", "lastTransitionTime": now} for k in kinds],
        "containerStatuses": [
            {
                "name": "main",
                "image": "registry.example/bench/app:1.0.0",
                "imageID": "registry.example/bench/app@sha256:" + "0" * 64,
                "containerID": f"containerd://{number:064}",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
        ],
    }


async def measure(directory: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run everything and return what the last line says."""
    result = dict.fromkeys(KEYS, 0.0)
    say("control plane")
    with Addresses() as addresses:
        async with (
            control_plane(directory, addresses) as standing,
            emulator() as base,
            aiohttp.ClientSession() as session,
        ):
            small = Project(session, base, "a" * 64)
            await small.prepare()
            async with standing.daemon(small) as daemon:
                await daemon.wait_leading()
                say(f"leading; {daemon.resident_mb():.1f} MB")
                await CLOCK.sleep(SETTLE_SECONDS)
                result["rss_idle_mb"] = daemon.resident_mb()
                say(f"idle: {daemon.resident_mb():.1f} MB")
                result["apiserver_rtt_ms"] = await round_trip_ms(standing)
                reactions = await scale_ups(standing, small, daemon, "small", options)
                result["p50_ms"] = percentile(reactions, 0.5)
                result["p99_ms"] = percentile(reactions, 0.99)
                say(f"after scale-ups: {daemon.resident_mb():.1f} MB")
            if options.nodes:
                for number in range(options.scale_ups):
                    await standing.admin.delete(f"{PODS}/small-{number}", grace_period_seconds=0)
                large = Project(session, base, "b" * 64)
                await large.prepare()
                await measure_large(standing, large, options, result)
    return result


async def measure_large(
    standing: Standing, project: Project, options: argparse.Namespace, result: dict[str, float]
) -> None:
    """Measure a daemon that starts in a cluster of the size asked for."""
    await fill(standing, project, options)
    async with standing.daemon(project) as daemon:
        await daemon.wait_leading()
        say(f"leading; {daemon.resident_mb():.1f} MB")
        await CLOCK.sleep(SETTLE_SECONDS)
        before = daemon.cpu_seconds()
        await CLOCK.sleep(IDLE_SECONDS)
        result["cpu_idle_s_per_90s"] = daemon.cpu_seconds() - before
        result["rss_large_mb"] = daemon.resident_mb()
        say(
            f"large: {daemon.resident_mb():.1f} MB, {result['cpu_idle_s_per_90s']:.2f} s in 90 s,"
            f" {before:.1f} s before"
        )
        if options.nodes + options.scale_ups < MOST_WORKERS:
            await scale_ups(standing, project, daemon, "large", options)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale-ups", type=int, default=50, help="pods, a server each (50)")
    parser.add_argument("--pause", type=float, default=1.5, help="seconds between them (1.5)")
    parser.add_argument("--nodes", type=int, default=300, help="of the large cluster (300)")
    parser.add_argument("--pods", type=int, default=10_000, help="of the large cluster (10000)")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory(prefix="hk3s-bench-") as temporary:
        result = asyncio.run(measure(Path(temporary), options))
    print(json.dumps({name: round(value, 1) for name, value in result.items()}))


if __name__ == "__main__":
    main()
