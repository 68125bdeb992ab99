"""`hk3s-lab demo`: the command line of the demo."""

import asyncio
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import structlog
import typer
import yaml
from rich.console import Console

from hk3s_lab.clock import RealClock
from hk3s_lab.cloud import LabCloud, LabOptions, MachineKind
from hk3s_lab.demo.story import Script, Story
from hk3s_lab.demo.view import open_view
from hk3s_lab.demo.world import World
from hk3s_lab.errors import LabError
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.linux.internet import LAPTOP
from hk3s_lab.machines.site import Options

NODE_GRACE_SECONDS: Mapping[MachineKind, int] = {"virtual": 8, "linux": 40}
LINUX_PATIENCE = 3.0
"""A dozen Debians that boot at once need all of a machine."""


def demo_command(
    cluster: Annotated[
        Path, typer.Option("--cluster", "-f", help="The cluster to create.", show_default=True)
    ] = Path("examples/demo.yaml"),
    workload: Annotated[
        Path, typer.Option(help="What to run in it: Deployments in one Namespace.")
    ] = Path("examples/workload.yaml"),
    report: Annotated[
        Path | None, typer.Option(help="Write the report, as JSON, to this file.")
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Where logs, state and kubeconfig go; emptied first.")
    ] = Path("build/demo"),
    seed: Annotated[int, typer.Option(help="One seed, one course of chance.")] = 7,
    machines: Annotated[
        MachineKind,
        typer.Option(help="`linux` boots every server as a real Debian; needs root."),
    ] = "virtual",
    sold_out: Annotated[
        str, typer.Option(help="TYPE/LOCATION that is refused although it is listed.")
    ] = "cx33/fsn1",
) -> None:
    """Create a private cluster in the lab, let it grow and shrink, destroy it.

    Runs hk3s's own commands against an emulated Hetzner Cloud on this machine; needs no root.
    Ctrl-C ends it and everything it started.

    Example: hk3s-lab demo --report build/demo-report.json
    """
    console = Console()
    script = Script(
        cluster_file=cluster.absolute(),
        workload_file=workload.absolute(),
        directory=directory.absolute(),
        sold_out=sold_out,
    )
    try:
        text, ok = asyncio.run(_play(script, seed, console, machines))
    except LabError as error:
        Console(stderr=True).print(f"hk3s-lab demo: {error.message}", markup=False)
        Console(stderr=True).print(f"fix: {error.fix}", markup=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(text, encoding="utf-8")
        console.print(f"report: {report}", markup=False)
    if not ok:
        raise typer.Exit(1)


async def _play(script: Script, seed: int, console: Console, kind: MachineKind) -> tuple[str, bool]:
    for path in (script.cluster_file, script.workload_file):
        if not path.exists():
            raise LabError(f"{path} does not exist", "run it where hk3s was cloned, or name files")
    if script.directory.exists():
        shutil.rmtree(script.directory)
    script.directory.mkdir(mode=0o700, parents=True)
    _log_to(script.directory / "lab.log")
    binary = await ensure_binary(lambda line: console.print(line, markup=False))
    machines = Options(seed=seed, node_monitor_grace_seconds=NODE_GRACE_SECONDS[kind])
    options = LabOptions(seed=seed, machines=machines, kind=kind)
    if kind == "linux":
        script = for_linux(script)
    async with LabCloud(options, directory=script.directory) as cloud:
        world = World(cloud)
        await world.load()
        with open_view(console) as view:
            story = Story(
                script=script,
                world=world,
                view=view,
                clock=RealClock(),
                kubectl=(str(binary), "kubectl"),
            )
            result = await story.tell()
    _summarise(console, result.summary())
    return result.to_json(), not result.failures


def for_linux(script: Script) -> Script:
    """Return the script with a cluster that admits callers from the lab's Internet.

    Virtual machines are reached over loopback, booted ones over a network.
    """
    cluster = yaml.safe_load(script.cluster_file.read_text(encoding="utf-8"))
    cluster["bastion"]["allowedCidrs"] = [f"{LAPTOP}/32"]
    path = script.directory / "cluster.yaml"
    path.write_text(yaml.safe_dump(cluster, sort_keys=False), encoding="utf-8")
    return replace(script, cluster_file=path, patience=LINUX_PATIENCE)


def _log_to(path: Path) -> None:
    """Send the lab's own log to a file: the terminal belongs to the story."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=path.open("a", encoding="utf-8")),
    )


def _summarise(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, markup=False)
    sys.stdout.flush()
