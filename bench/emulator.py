"""How much the Hetzner emulator can take: throughput, latency and memory, as one JSON line.

1,000 servers, then 50 clients at once that read servers, lists, actions and types and change
labels, as controllers do. Memory is watched over 100,000 requests after a warm-up.

    .venv/bin/python bench/emulator.py [--requests 100000] [--servers 1000] [--clients 50]
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp

TOKEN = "b" * 64
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PRIVATE = {"enable_ipv4": False, "enable_ipv6": False}
WARM_UP = 25_000
"""More than the request log keeps, so that it is full before memory is watched."""
CHECKPOINTS = 10
Call = tuple[str, str, Any]


@dataclass
class Bench:
    """A running emulator and what was measured."""

    session: aiohttp.ClientSession
    base: str
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    async def call(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Call, take the time and return the answer."""
        started = time.perf_counter()
        async with self.session.request(
            method, self.base + path, json=body, headers=HEADERS
        ) as response:
            answer = await response.json()
            self.failures += response.status >= 400
        self.seconds.append(time.perf_counter() - started)
        return answer

    async def many(self, calls: Iterator[Call], clients: int) -> float:
        """Share calls among clients that each wait for their answer; returns the seconds."""

        async def client() -> None:
            for call in calls:
                await self.call(*call)

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return time.perf_counter() - started


def order(number: int) -> Call:
    """Return the creation of a server that takes no address."""
    body = {"name": f"s{number}", "server_type": "cx23", "image": "ubuntu-24.04"}
    labels = {"pool": f"p{number % 10}"}
    bare = {"public_net": PRIVATE, "start_after_create": False, "location": "fsn1"}
    return "POST", "/v1/servers", {**body, **bare, "labels": labels}


def mix(ids: list[int], actions: list[int]) -> Iterator[Call]:
    """What controllers ask: mostly single objects and waits, now and then a list or a change."""
    for number, server in enumerate(cycle(ids)):
        wait = "&".join(f"id={actions[(number + i) % len(actions)]}" for i in range(5))
        yield "GET", f"/v1/servers/{server}", None
        yield "GET", f"/v1/actions?{wait}", None
        yield "GET", f"/v1/servers?label_selector=pool%3Dp{number % 10}&per_page=25", None
        yield "GET", f"/v1/servers/{ids[(number * 7) % len(ids)]}", None
        yield "PUT", f"/v1/servers/{server}", {"labels": {"pool": f"p{number % 10}"}}


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of all lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run an emulator of its own process and return what was measured."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hk3s_lab.hetzner.main",
        *("--stock", "all", "--speed", "100"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ,
    )
    if process.stdout is None:
        raise RuntimeError("the emulator has no stdout")
    endpoint = (await process.stdout.readline()).decode().strip()
    connector = aiohttp.TCPConnector(limit=options.clients)
    async with aiohttp.ClientSession(connector=connector) as session:
        bench = Bench(session, endpoint.removesuffix("/v1"))
        try:
            return await run(bench, process.pid, options)
        finally:
            process.terminate()
            await process.wait()


async def run(bench: Bench, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fill the project, warm up, measure."""
    limits = {"servers": options.servers, "requests_per_hour": 1_000_000_000}
    await bench.call("PUT", "/_lab/limits", limits)
    bench.seconds.clear()
    filling = await bench.many((order(n) for n in range(options.servers)), options.clients)
    made = percentile(bench.seconds, 0.99)
    history = await bench.call("GET", "/_lab/servers")
    ids = [server["id"] for server in history["servers"]]
    actions = []
    for server in ids[:200]:
        found = await bench.call("GET", f"/v1/servers/{server}/actions")
        actions += [action["id"] for action in found["actions"]]
    calls = mix(ids, actions)
    await bench.many(islice(calls, WARM_UP), options.clients)
    bench.seconds.clear()
    memory, seconds = [resident(pid)], 0.0
    for _ in range(CHECKPOINTS):
        seconds += await bench.many(islice(calls, options.requests // CHECKPOINTS), options.clients)
        memory.append(resident(pid))
        print(f"{len(bench.seconds)} requests, {memory[-1] / 1e6:.1f} MB", file=sys.stderr)
    return {
        "servers": len(ids),
        "clients": options.clients,
        "create_per_second": round(options.servers / filling, 1),
        "create_p99_ms": round(1000 * made, 1),
        "requests": len(bench.seconds),
        "requests_per_second": round(len(bench.seconds) / seconds, 1),
        "p50_ms": round(1000 * percentile(bench.seconds, 0.5), 1),
        "p99_ms": round(1000 * percentile(bench.seconds, 0.99), 1),
        "failures": bench.failures,
        "memory_mb": [round(value / 1e6, 1) for value in memory],
        "memory_growth_mb": round((memory[-1] - memory[0]) / 1e6, 1),
    }


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--servers", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
