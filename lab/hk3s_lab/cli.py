"""`hk3s-lab`: the lab's command line."""

import asyncio
import importlib
import importlib.util
import os
import shlex
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer

from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.errors import LabError
from hk3s_lab.hetzner.main import hetzner_command, log_to_stderr
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.machines.site import Options

app = typer.Typer(
    help="A Hetzner Cloud on this machine: the API, the servers, real Kubernetes control planes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
kube = typer.Typer(help="The Kubernetes control plane of the lab.", no_args_is_help=True)
app.add_typer(kube, name="kube")
app.command("hetzner")(hetzner_command)


@app.command("up")
def up(
    *,
    seed: Annotated[int, typer.Option(help="Seed of everything that is left to chance.")] = 0,
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")] = 0,
    speed: Annotated[float, typer.Option(help="Divides durations of actions and boots.")] = 1.0,
    grace: Annotated[
        int | None, typer.Option(help="Seconds after which a silent node is NotReady.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Keep the machines' disks and logs here.")
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log more.")] = False,
) -> None:
    """Run a cloud with machines until interrupted; prints the environment to use it."""
    if speed <= 0:
        raise typer.BadParameter("must be positive", param_hint="--speed")
    log_to_stderr(verbose=verbose)
    machines = Options(seed=seed, speed=speed, node_monitor_grace_seconds=grace)
    options = LabOptions(seed=seed, speed=speed, port=port, machines=machines)
    _run(_serve(LabCloud(options, directory=directory)))


@kube.command("build")
def build() -> None:
    """Build the control plane, or find it built, and print the program's path."""
    _run(_build())


async def _serve(cloud: LabCloud) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with cloud:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in cloud.environment.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await stop.wait()


async def _build() -> None:
    path = await ensure_binary(lambda line: typer.echo(line, err=True))
    typer.echo(path)


def _run(work: Coroutine[object, object, None]) -> None:
    try:
        asyncio.run(work)
    except LabError as error:
        typer.echo(f"hk3s-lab: {error}", err=True)
        raise typer.Exit(1) from error


def _add_demo() -> None:
    """The demo brings its own command; a lab without it still works."""
    name = "hk3s_lab.demo.command"
    if importlib.util.find_spec(name) is not None:
        app.command("demo")(importlib.import_module(name).demo_command)


def main() -> None:
    """Run the command line."""
    os.umask(0o077)
    _add_demo()
    app()
