"""`hk3s-bootstrap`: the commands. Exit codes: 0 done, 1 failed at run time, 2 bad input."""

import asyncio
import json
import os
import secrets
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from hk3s_bootstrap import create as creation
from hk3s_bootstrap import kubeconfig as kubeconfigs
from hk3s_bootstrap import removal, report, state
from hk3s_bootstrap import ssh as ways_in
from hk3s_bootstrap import why as reasons
from hk3s_bootstrap.checks import offline
from hk3s_bootstrap.checks.finding import Report
from hk3s_bootstrap.checks.finding import report as report_of
from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.observed import Observed, observe
from hk3s_bootstrap.progress import JsonReporter, PlainReporter, Reporter, TerminalReporter
from hk3s_bootstrap.session import Session, endpoint_of, token_of
from hk3s_bootstrap.status import status as look
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import AccessDenied, HetznerError
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_kube.errors import KubeError

Output = Literal["text", "json"]
FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
LOG_WIDTH = 160
PATIENCE = (5.0, 30.0)
"""Seconds to connect to Hetzner and to wait for its answer: people wait rather than start over."""

app = typer.Typer(
    name="hk3s-bootstrap",
    help="Private k3s clusters on Hetzner Cloud: one command up, one command down.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

File = Annotated[
    Path, typer.Option("--file", "-f", help="The cluster's description.", dir_okay=False)
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="`text` for people, `json` for programs.")
]
StateDir = Annotated[
    Path | None,
    typer.Option(help="Where CAs and tokens are kept [~/.local/state/hk3s/CLUSTER]."),
]
KubeconfigPath = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Where to write it [./kubeconfig-CLUSTER].")
]
TrySoldOut = Annotated[
    bool, typer.Option("--try-sold-out", help="Order types that are reported sold out.")
]
ReplaceMaster = Annotated[
    bool, typer.Option("--replace-master", help="Make an empty master in place of a lost one.")
]
ReplacePools = Annotated[
    bool, typer.Option("--replace-pools", help="Bring existing NodePools to what the file says.")
]

Why = Annotated[
    str | None,
    typer.Option(metavar="SERVER", help="Ask this server what keeps it from being a Node."),
]
Forget = Annotated[bool, typer.Option("--forget", help="Remove the local CAs and tokens as well.")]


@app.command()
def validate(*, file: File = Path("cluster.yaml"), output: OutputOption = "text") -> None:
    """Check the file, without a token and without a call. All problems in one report."""
    _config, found = offline.validate(file)
    _print_report(found, output)
    raise typer.Exit(BAD_INPUT if found.errors else 0)


@app.command()
def plan(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    kubeconfig: KubeconfigPath = None,
    try_sold_out: TrySoldOut = False,
    replace_master: ReplaceMaster = False,
) -> None:
    """Say what `create` would do. Changes nothing."""
    options = creation.Options(try_sold_out=try_sold_out, replace_master=replace_master)

    async def run(session: Session) -> None:
        situation = await creation.assess(session, options)
        _print_findings(file, situation, output)
        if situation.refusals:
            raise BootstrapError(situation.refusals[0], fix="see above", code="refused")
        planned = await creation.plan(session, situation)
        _print(output, report.plan_json(planned), report.plan_text(planned))

    _run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig, quiet=True)


@app.command()
def create(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    kubeconfig: KubeconfigPath = None,
    try_sold_out: TrySoldOut = False,
    replace_master: ReplaceMaster = False,
    replace_pools: ReplacePools = False,
) -> None:
    """Make the cluster, or continue making it. On a finished cluster nothing is written."""
    options = creation.Options(
        try_sold_out=try_sold_out, replace_master=replace_master, replace_pools=replace_pools
    )

    async def run(session: Session) -> None:
        situation = await creation.assess(session, options)
        _print_findings(file, situation, output)
        created = await creation.create(session, situation, options)
        _print(
            output,
            report.created_json(session.config, created),
            report.created_text(session.config, created),
        )

    _run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig)


@app.command()
def status(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    why: Why = None,
) -> None:
    """Show what is there, what it costs and what is wrong with it."""

    async def run(session: Session) -> None:
        if why is not None:
            config_file, world = await _ssh_config(session)
            name = ways_in.find(world, session.config.cluster, why)
            answer = await reasons.ask(config_file, world, name)
            _print(output, answer.json(), answer.text())
            return
        found = await look(session)
        if output == "json":
            _print_json(found.values)
            return
        console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
        for table in found.tables():
            console.print(table)

    _run(file, output, run, state_dir=state_dir, quiet=True)


@app.command()
def kubeconfig(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    kubeconfig: KubeconfigPath = None,
) -> None:
    """Write a kubeconfig with a new administrator's certificate of 30 days."""

    async def run(session: Session) -> None:
        known = session.load_state()
        found = await observe(session.hetzner, session.config.cluster)
        if known is None or found.primary_ip is None:
            what = "the cluster has no public address yet"
            if known is None:
                what = f"there is no state in {session.state_directory}"
            raise BootstrapError(what, fix="run `create`, or name the right --state-dir")
        address, now = found.primary_ip.ip, session.clock.now()
        text = kubeconfigs.render(session.config.cluster, known, address, now)
        try:
            written = kubeconfigs.write(session.kubeconfig_path, text, known)
        except OSError as error:
            raise BootstrapError(
                f"cannot be written to {session.kubeconfig_path}: {error.strerror}",
                fix="name another place with --kubeconfig",
            ) from error
        backup = None if written.backup is None else str(written.backup)
        kept = "" if backup is None else f"\nwhat stood there is kept as {backup}"
        _print(
            output,
            {"kubeconfig": str(written.path), "backup": backup},
            f"export KUBECONFIG={written.path}{kept}",
        )

    _run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig, quiet=True)


@app.command()
def ssh(
    *,
    server: Annotated[str, typer.Argument(help="A server's name, `bastion` or `master`.")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run there.")] = None,
    file: File = Path("cluster.yaml"),
    state_dir: StateDir = None,
) -> None:
    """Open a shell on a server, through the bastion, with the system's ssh."""
    arguments: list[str] = []

    async def run(session: Session) -> None:
        config_file, world = await _ssh_config(session)
        name = ways_in.find(world, session.config.cluster, server)
        arguments.extend(ways_in.shell(config_file, name, command or ()))

    _run(file, "text", run, state_dir=state_dir, quiet=True)
    _become(arguments)


@app.command()
def tunnel(
    *,
    port: Annotated[int, typer.Option(help="Where to listen, on 127.0.0.1.")] = 6443,
    file: File = Path("cluster.yaml"),
    state_dir: StateDir = None,
) -> None:
    """Forward a local port to the Kubernetes API, through SSH on the bastion, until interrupted."""
    arguments: list[str] = []

    async def run(session: Session) -> None:
        config_file, world = await _ssh_config(session)
        bastion = ways_in.find(world, session.config.cluster, "bastion")
        address = str(session.config.network.master_address)
        arguments.extend(ways_in.tunnel(config_file, bastion, address, port))

    _run(file, "text", run, state_dir=state_dir, quiet=True)
    typer.echo(f"kubectl --server https://127.0.0.1:{port} ...", err=True)
    _become(arguments)


@app.command()
def destroy(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    with_volumes: Annotated[
        bool | None,
        typer.Option("--with-volumes/--keep-volumes", help="Delete volumes with their data."),
    ] = None,
    forget: Forget = False,
) -> None:
    """Delete everything of the cluster, and leave nothing that is billed."""

    async def run(session: Session) -> None:
        found = await removal.find(session)
        keep = confirm_removal(found, yes=yes, with_volumes=with_volumes)
        left = await removal.destroy(session, keep_volumes=keep)
        if forget:
            state.forget(session.state_directory)
        else:
            state.forget_cluster_uid(session.state_directory)
        _print(
            output,
            {"destroyed": list(found.descriptions), "left": list(left.descriptions)},
            report.destroyed_text(found, left),
        )

    _run(file, output, run, state_dir=state_dir)


async def _ssh_config(session: Session) -> tuple[Path, Observed]:
    """Write what ssh needs to know into the state directory; return it and what exists."""
    known = session.load_state()
    if known is None:
        raise BootstrapError(
            f"there is no state in {session.state_directory}", fix="name the right --state-dir"
        )
    world = await observe(session.hetzner, session.config.cluster)
    return ways_in.write(session.state_directory, session.config.cluster, known, world), world


def _become(arguments: list[str]) -> None:
    """Go on as that program, with this terminal."""
    if shutil.which(arguments[0]) is None:
        _print_error("there is no ssh program", "install an OpenSSH client", "ssh", "text")
        raise typer.Exit(FAILED)
    os.execvp(arguments[0], arguments)  # noqa: S606 - no shell: arguments are a list


def main() -> None:
    """Run the command line."""
    app()


def _run(
    file: Path,
    output: Output,
    work: Callable[[Session], Awaitable[None]],
    *,
    state_dir: Path | None = None,
    kubeconfig: Path | None = None,
    quiet: bool = False,
) -> None:
    """Open a session on a valid file, do the work, and turn what goes wrong into an exit code."""
    config, found = offline.validate(file)
    if config is None or found.errors:
        _print_report(found, output)
        raise typer.Exit(BAD_INPUT)
    token, missing = token_of(config, os.environ)
    if missing is not None:
        _print_report(report_of(str(file), found.document, (missing,)), output)
        raise typer.Exit(BAD_INPUT)
    environment = dict(os.environ)
    place = state_dir or state.default_directory(config.cluster, environment)
    target = kubeconfig or kubeconfigs.default_path(config.cluster)
    endpoint = endpoint_of(config, environment)

    async def session() -> None:
        hetzner = Hetzner(token, endpoint=endpoint, application="hk3s-bootstrap", timeout=PATIENCE)
        try:
            await work(
                Session(
                    config=config,
                    hetzner=hetzner,
                    endpoint=endpoint,
                    token=token,
                    state_directory=place,
                    kubeconfig_path=target,
                    clock=SystemClock(),
                    random_bytes=secrets.token_bytes,
                    connect=Kube.from_kubeconfig,
                    reporter=_reporter(output, quiet=quiet),
                )
            )
        except StepFailed as error:
            await _print_failure(hetzner, config, file, error, output)
            raise typer.Exit(FAILED) from None
        finally:
            await hetzner.close()

    _guard(session(), file, output)


def _guard(work: Coroutine[Any, Any, None], file: Path, output: Output) -> None:
    try:
        asyncio.run(work)
    except BootstrapError as error:
        _print_error(error.message, error.fix, error.code, output)
        raise typer.Exit(FAILED) from None
    except AccessDenied as error:
        fix = "check the token: it is unknown, revoked, or of another project"
        _print_error(f"Hetzner does not take the token: {error}", fix, "HK3S-E062", output)
        raise typer.Exit(BAD_INPUT) from None
    except (HetznerError, KubeError) as error:
        code = error.code if isinstance(error, HetznerError) else error.reason
        _print_error(str(error), f"run the command again: {_again(file)}", code, output)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        _print_error("interrupted", f"continue with: {_again(file)}", "interrupted", output)
        raise typer.Exit(INTERRUPTED) from None


async def _print_failure(
    hetzner: Hetzner, config: ClusterConfig, file: Path, error: StepFailed, output: Output
) -> None:
    """Print the step, the reason, what exists now and the command that continues."""
    try:
        world = await observe(hetzner, config.cluster)
        exists = report.existing(world)
    except HetznerError:
        exists = ("unknown: Hetzner does not answer",)
    if output == "json":
        _print_json(
            {
                "ok": False,
                "step": error.step,
                "code": error.code,
                "message": error.message,
                "fix": error.fix,
                "exists": list(exists),
                "continue": _again(file),
            }
        )
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"failed: {error.message}", style="red", markup=False)
    console.print(f"  code: {error.code}", markup=False)
    console.print(f"  fix: {error.fix}", markup=False)
    console.print(f"  exists now: {', '.join(exists) or 'nothing'}", markup=False)
    console.print(f"  continue with: {_again(file)}", markup=False)


def confirm_removal(found: removal.Leftovers, *, yes: bool, with_volumes: bool | None) -> bool:
    """Return whether volumes are to be kept; data is never deleted, or left billed, unasked."""
    if found.volumes and with_volumes is None:
        listed = ", ".join(f"{each.name} ({each.size_gb} GB)" for each in found.volumes)
        if yes:
            raise BootstrapError(
                f"workloads left volumes: {listed}",
                fix="say --with-volumes to delete their data, or --keep-volumes to go on paying",
                code="volumes",
            )
        with_volumes = typer.confirm(f"delete the volumes with their data? {listed}")
    if not yes:
        for each in found.descriptions:
            typer.echo(f"  {each}")
        typer.confirm("delete all of this?", abort=True)
    return not with_volumes if found.volumes else False


def _reporter(output: Output, *, quiet: bool) -> Reporter:
    if output == "json":
        return JsonReporter(sys.stderr)
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        return TerminalReporter(console)
    return PlainReporter(sys.stderr)


def _again(file: Path) -> str:
    arguments = [word for word in sys.argv[1:] if word]
    return " ".join(["hk3s-bootstrap", *arguments]) if arguments else f"hk3s-bootstrap -f {file}"


def _print_findings(file: Path, situation: creation.Situation, output: Output) -> None:
    """Print what Hetzner's side says about the file; errors end the run before it begins."""
    if not situation.findings:
        return
    _, found = offline.validate(file)
    online_report = report_of(str(file), found.document, situation.findings)
    if online_report.errors:
        _print_report(online_report, output)
        raise typer.Exit(BAD_INPUT)
    if output == "text":
        typer.echo(online_report.as_text(), err=True)


def _print_report(found: Report, output: Output) -> None:
    if output == "json":
        _print_json(found.as_json())
    else:
        typer.echo(found.as_text())


def _print_error(message: str, fix: str, code: str, output: Output) -> None:
    if output == "json":
        _print_json({"ok": False, "code": code, "message": message, "fix": fix})
    else:
        typer.echo(f"failed: {message}\n  code: {code}\n  fix: {fix}", err=True)


def _print(output: Output, values: dict[str, Any], text: str) -> None:
    if output == "json":
        _print_json(values)
    else:
        typer.echo(text)


def _print_json(values: dict[str, Any]) -> None:
    typer.echo(json.dumps(values, indent=2))
