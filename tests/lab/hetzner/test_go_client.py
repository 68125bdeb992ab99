"""The official Go library, on which controllers, CLI and Terraform are built, as a guest."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

import pytest

from hk3s_lab.clock import RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.http import Exchange
from hk3s_lab.kubernetes.build import ensure_go
from lab.hetzner import contract

SOURCES = Path(__file__).parent / "go"
WRITER, READER = "w" * 64, "r" * 64
FASTER = 100


async def build() -> Path:
    """Build the walk, once for each state of its sources."""
    files = [SOURCES / "go.mod", SOURCES / "go.sum", *sorted(SOURCES.glob("*.go"))]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hk3s-lab"
    target = cache / f"hcloud-walk-{digest[:16]}"
    if not target.exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        go = await ensure_go(print)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        environment = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        await run(go, "build", "-o", str(part), ".", **environment, GOWORK="off")
        for older in cache.glob("hcloud-walk-*"):
            if older.suffix != ".part":  # which another process may be building
                older.unlink()
        part.rename(target)
    return target


async def run(*command: str, **environment: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=SOURCES,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out


@pytest.mark.timeout(600)  # the first build compiles a hundred packages
async def test_the_official_go_library_leads_every_resource_through_its_life() -> None:
    program = await build()
    emulator = Emulator(
        clock=RealClock(),
        stock="all",
        speed=FASTER,
        tokens={WRITER: "walk", READER: "walk"},
        readonly_tokens={READER},
    )
    problems: list[str] = []
    used: set[str] = set()

    def watch(exchange: Exchange) -> None:
        try:
            operation = contract.judge(exchange)
            if operation is not None and exchange.status < 300:
                contract.check_request(operation, exchange)
                used.add(operation.name)
        except AssertionError as problem:
            problems.append(str(problem))

    emulator.observe(watch)
    endpoint = await emulator.start()
    try:
        tokens = {"HCLOUD_TOKEN": WRITER, "HCLOUD_READ_TOKEN": READER}
        out = await run(str(program), HCLOUD_ENDPOINT=endpoint, **tokens)
    finally:
        await emulator.stop()
    assert not problems, "\n".join(problems)
    assert json.loads(out)["parts"] == 17
    assert len(used) >= 110, f"operations used: {len(used)}"
