"""`hk3s-lab hetzner`: the emulator as a process of its own."""

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import structlog
import typer

from hk3s_lab.clock import Clock, ManualClock, RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.model.catalog import StockBase, Supply

READONLY_SUFFIX = ":ro"
_SUPPLIES: dict[str, Supply] = {"true": True, "false": False, "refused": "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of the command line: token to project, and which may only read."""

    projects: dict[str, str] = field(default_factory=dict)
    readonly: frozenset[str] = frozenset()


def hetzner_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything that is left to chance.")] = 0,
    speed: Annotated[
        float, typer.Option(help="Divides the durations of actions; timestamps stay real.")
    ] = 1.0,
    clock: Annotated[
        Literal["real", "manual"],
        typer.Option(help="`manual` stands still until POST /_lab/clock advances it."),
    ] = "real",
    stock: Annotated[
        list[str] | None,
        typer.Option(
            help="`catalog` (default), `all`, or TYPE/LOCATION=true|false|refused; repeat, "
            "the last wins, * matches any."
        ),
    ] = None,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:ro]=TOKEN",
            help="A token of project NAME, :ro may only read; repeat. "
            "Without any, every token of 64 characters is a project of its own.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log reads as well.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Run a Hetzner Cloud on this machine and print its endpoint.

    Point clients at it: HCLOUD_ENDPOINT=http://127.0.0.1:PORT/v1, any token of 64 characters.
    The lab's own controls are below http://127.0.0.1:PORT/_lab/.
    """
    if speed <= 0:
        raise typer.BadParameter("must be positive", param_hint="--speed")
    tokens = read_tokens(token or [])
    emulator_clock: Clock = ManualClock() if clock == "manual" else RealClock()
    base, overrides = read_stock(stock or [])
    emulator = Emulator(
        clock=emulator_clock,
        seed=seed,
        speed=speed,
        stock=base,
        stock_overrides=overrides,
        tokens=tokens.projects if token else None,
        readonly_tokens=tokens.readonly,
    )
    log_to_stderr(verbose=verbose)
    asyncio.run(serve(emulator, host, port))


async def serve(emulator: Emulator, host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM; prints the endpoint once connections are accepted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    endpoint = await emulator.start(host, port)
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
    await stop.wait()
    await emulator.stop()


def read_tokens(options: list[str]) -> Tokens:
    """Read NAME[:ro]=TOKEN options."""
    projects: dict[str, str] = {}
    readonly = set()
    for option in options:
        name, _, secret = option.partition("=")
        project = name.removesuffix(READONLY_SUFFIX)
        if not project or not secret:
            # Not the option itself: it may hold a secret.
            raise typer.BadParameter("must be NAME[:ro]=TOKEN", param_hint="--token")
        projects[secret] = project
        if name != project:
            readonly.add(secret)
    return Tokens(projects=projects, readonly=frozenset(readonly))


def read_stock(options: list[str]) -> tuple[StockBase, dict[str, Supply]]:
    """Read --stock options: a base, and overrides."""
    base: StockBase = "catalog"
    overrides: dict[str, Supply] = {}
    for option in options:
        pattern, _, value = option.partition("=")
        if option in ("all", "catalog"):
            base = "all" if option == "all" else "catalog"
        elif value in _SUPPLIES and "/" in pattern:
            overrides[pattern] = _SUPPLIES[value]
        else:
            message = "must be catalog, all or TYPE/LOCATION=true|false|refused"
            raise typer.BadParameter(message, param_hint="--stock")
    return base, overrides


def log_to_stderr(*, verbose: bool) -> None:
    """Log JSON lines on stderr; stdout belongs to the endpoint."""
    level = logging.DEBUG if verbose else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


if __name__ == "__main__":
    typer.run(hetzner_command)
