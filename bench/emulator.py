"""How much the Hetzner emulator can take: throughput, latency and memory, as one JSON line.

1,000 servers, then 50 clients at once that read servers, lists, actions and types and change
labels, as controllers do. Memory is watched over 100,000 requests after a warm-up. The clients
speak HTTP by hand, for a library would cost more than the emulator that shares its cores.
It ends after at most `--seconds`, with what was measured until then.

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

TOKEN = "b" * 64
PRIVATE = {"enable_ipv4": False, "enable_ipv6": False}
WARM_UP = 25_000
"""More than the request log keeps, so that it is full before memory is watched."""
CHECKPOINTS = 20
BAD = 400
Call = tuple[str, str, Any]


@dataclass
class Bench:
    """A running emulator and what was measured."""

    host: str
    port: int
    deadline: float
    """Of the performance counter: no request starts after it."""
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    async def ask(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Call once, and return the answer."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        status, content = await exchange(reader, writer, (method, path, body))
        writer.close()
        if status >= BAD:
            raise RuntimeError(f"{method} {path}: {status}")
        return json.loads(content)

    async def many(self, calls: Iterator[Call], clients: int) -> float:
        """Share calls among clients that each wait for their answer; returns the seconds."""

        async def client() -> None:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            for call in calls:
                started = time.perf_counter()
                if started > self.deadline:
                    break
                status, _ = await exchange(reader, writer, call)
                self.failures += status >= BAD
                self.seconds.append(time.perf_counter() - started)
            writer.close()

        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return time.perf_counter() - started


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: Call
) -> tuple[int, bytes]:
    """Send a request over a connection that stays open; returns status and content."""
    method, path, body = call
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(answer[9:12]), await reader.readexactly(length)


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


def pages(servers: int) -> Iterator[Call]:
    """The whole list, in pages as large as they come."""
    for number in range(1, -(-servers // 50) + 1):
        yield "GET", f"/v1/servers?page={number}&per_page=50", None


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has taken, which a busy machine hardly changes."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of all lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


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
    try:
        endpoint = (await process.stdout.readline()).decode().strip()
        host, _, port = endpoint.removeprefix("http://").removesuffix("/v1").partition(":")
        bench = Bench(host, int(port), time.perf_counter() + options.seconds)
        return await run(bench, process.pid, options)
    finally:
        process.terminate()
        await process.wait()


async def run(bench: Bench, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fill the project, warm up, measure."""
    limits = {"servers": options.servers, "requests_per_hour": 1_000_000_000}
    await bench.ask("PUT", "/_lab/limits", limits)
    filling = await bench.many((order(n) for n in range(options.servers)), options.clients)
    made = percentile(bench.seconds, 0.99)
    print(f"{options.servers} servers in {filling:.1f} s", file=sys.stderr)
    history = await bench.ask("GET", "/_lab/servers")
    ids = [server["id"] for server in history["servers"]]
    actions = []
    for server in ids[:200]:
        found = await bench.ask("GET", f"/v1/servers/{server}/actions")
        actions += [action["id"] for action in found["actions"]]
    listing = await bench.many(pages(len(ids)), 1)
    calls = mix(ids, actions)
    await bench.many(islice(calls, min(WARM_UP, options.requests)), options.clients)
    print(f"warm: {resident(pid) / 1e6:.1f} MB", file=sys.stderr)
    bench.seconds.clear()
    memory, seconds, processor = [resident(pid)], 0.0, processor_seconds(pid)
    for _ in range(CHECKPOINTS):
        seconds += await bench.many(islice(calls, options.requests // CHECKPOINTS), options.clients)
        memory.append(resident(pid))
        rate = len(bench.seconds) / seconds
        progress = f"{len(bench.seconds)} requests, {rate:.0f}/s, {memory[-1] / 1e6:.1f} MB"
        print(progress, file=sys.stderr)
    processor = processor_seconds(pid) - processor
    return {
        "servers": len(ids),
        "clients": options.clients,
        "create_per_second": round(options.servers / filling, 1),
        "create_p99_ms": round(1000 * made, 1),
        "list_all_ms": round(1000 * listing, 1),
        "requests": len(bench.seconds),
        "complete": len(bench.seconds) >= options.requests - CHECKPOINTS,
        "requests_per_second": round(len(bench.seconds) / seconds, 1),
        "processor_ms_per_request": round(1000 * processor / max(1, len(bench.seconds)), 3),
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
    parser.add_argument("--seconds", type=float, default=900.0, help="end after so long")
    print(json.dumps(asyncio.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
