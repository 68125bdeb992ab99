"""`hk3s-lab hetzner`: the emulator as a process of its own."""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
import typer
import yaml

from hk3s_lab.clock import MANUAL_EPOCH, Clock, ManualClock, RealClock
from hk3s_lab.hetzner.emulator import Emulator
from hk3s_lab.hetzner.errors import ApiError
from hk3s_lab.hetzner.model.catalog import StockBase, Supply
from hk3s_lab.hetzner.state import State, StateError, load, write

log = structlog.get_logger("hetzner")

READONLY_SUFFIX = ":ro"
_SUPPLIES: dict[str, Supply] = {"true": True, "false": False, "refused": "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens of the command line: token to project, and which may only read."""

    projects: dict[str, str] = field(default_factory=dict)
    readonly: frozenset[str] = frozenset()


def hetzner_command(
    *,
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
    scenario: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of stock, limits, faults and a timeline of these.", exists=True
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Continue from this file if it is there, and write it at the end."),
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log reads as well.")] = False,
) -> None:
    """Run a Hetzner Cloud on this machine and print its endpoint.

    Point clients at it, with any token of 64 characters:

        export HCLOUD_ENDPOINT=http://127.0.0.1:PORT/v1 HCLOUD_TOKEN=$(printf 't%.0s' {1..64})

    `hcloud server-type list` then answers, as do Terraform and Hetzner's controllers.
    Most cheap types are sold out in the bundled catalogue: --stock all sells everything.
    The lab's own controls are below http://127.0.0.1:PORT/_lab/ (stock, faults, cost, clock);
    servers read their metadata at /hetzner/v1/metadata with the header X-Hk3s-Server: ID.

    Example: hk3s-lab hetzner --port 8080 --stock all --seed 7 --speed 10 --state cloud.json
    """
    if speed <= 0:
        raise typer.BadParameter("must be positive", param_hint="--speed")
    tokens = read_tokens(token or [])
    script = read_scenario(scenario)
    saved = read_state(state)
    start = saved.now if saved else MANUAL_EPOCH
    emulator_clock: Clock = ManualClock(start) if clock == "manual" else RealClock()
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
    log_to_stderr(verbose=verbose, clock=emulator_clock)
    try:
        asyncio.run(serve(emulator, host, port, script=script, saved=saved, state=state))
    except ApiError as error:
        raise typer.BadParameter(error.message, param_hint="--scenario") from error
    except OSError as error:
        typer.echo(f"hk3s-lab: {error}", err=True)
        raise typer.Exit(1) from error


async def serve(
    emulator: Emulator,
    host: str,
    port: int,
    *,
    script: Mapping[str, Any] | None = None,
    saved: State | None = None,
    state: Path | None = None,
) -> None:
    """Run until SIGINT or SIGTERM; prints the endpoint once connections are accepted."""
    if saved is not None:
        emulator.restore(saved)
    if script is not None:
        emulator.play(script)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    endpoint = await emulator.start(host, port)
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
    await stop.wait()
    await emulator.stop()
    if state is not None:
        write(state, emulator.save())
        log.info("state.saved", file=str(state))


def read_scenario(path: Path | None) -> dict[str, Any] | None:
    """Read a scenario file; None without one."""
    if path is None:
        return None
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"cannot be read: {error}", param_hint="--scenario") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a mapping", param_hint="--scenario")
    return value


def read_state(path: Path | None) -> State | None:
    """Read a state file; None when there is none yet."""
    if path is None or not path.exists():
        return None
    try:
        return load(path.read_bytes())
    except (OSError, StateError) as error:
        raise typer.BadParameter(str(error), param_hint="--state") from error


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


@dataclass(frozen=True, slots=True)
class _Stamp:
    """Adds the time of the lab's clock to a log entry."""

    clock: Clock

    def __call__(
        self, _logger: object, _method: str, entry: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        entry["timestamp"] = self.clock.now().isoformat().replace("+00:00", "Z")
        return entry


def log_to_stderr(*, verbose: bool, clock: Clock | None = None) -> None:
    """Log JSON lines on stderr; stdout belongs to the endpoint.

    With a clock, lines have its time: on a manual one, a seed then gives the same lines.
    """
    stamp: structlog.typing.Processor = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if clock is not None:
        stamp = _Stamp(clock)
    level = logging.DEBUG if verbose else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


if __name__ == "__main__":
    typer.run(hetzner_command)
