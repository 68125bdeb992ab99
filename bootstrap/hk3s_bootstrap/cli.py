"""`hk3s-bootstrap`: the commands. Exit codes: 0 done, 1 failed at run time, 2 bad input."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hk3s_bootstrap import create as creation
from hk3s_bootstrap import kubeconfig as kubeconfigs
from hk3s_bootstrap import printing, recovery, removal, report, runs, state
from hk3s_bootstrap import ssh as ways_in
from hk3s_bootstrap import why as reasons
from hk3s_bootstrap.arguments import (
    File,
    Forget,
    KubeconfigPath,
    OutputOption,
    ReplaceMaster,
    ReplacePools,
    StateDir,
    TrySoldOut,
    TunnelPort,
    ViaSsh,
    Why,
)
from hk3s_bootstrap.checks import offline
from hk3s_bootstrap.failures import BootstrapError
from hk3s_bootstrap.observed import Observed, observe
from hk3s_bootstrap.runs import BAD_INPUT, FAILED
from hk3s_bootstrap.session import Session
from hk3s_bootstrap.status import status as look

LOG_WIDTH = 160

app = typer.Typer(
    name="hk3s-bootstrap",
    help="Private k3s clusters on Hetzner Cloud: one command up, one command down.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


@app.command()
def validate(*, file: File = Path("cluster.yaml"), output: OutputOption = "text") -> None:
    """Check the file, without a token and without a call. All problems in one report."""
    _config, found = offline.validate(file)
    printing.print_report(found, output)
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
        runs.print_findings(file, situation, output)
        if situation.refusals:
            raise BootstrapError(situation.refusals[0], fix="see above", code="refused")
        planned = await creation.plan(session, situation)
        printing.print_answer(output, report.plan_json(planned), report.plan_text(planned))

    runs.run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig, quiet=True)


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
        runs.print_findings(file, situation, output)
        created = await creation.create(session, situation, options)
        printing.print_answer(
            output,
            report.created_json(session.config, created),
            report.created_text(session.config, created),
        )

    runs.run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig)


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
            printing.print_answer(output, answer.json(), answer.text())
            return
        found = await look(session)
        if output == "json":
            printing.print_json(found.values)
            return
        console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
        for table in found.tables():
            console.print(table)

    runs.run(file, output, run, state_dir=state_dir, quiet=True)


@app.command()
def kubeconfig(
    *,
    file: File = Path("cluster.yaml"),
    output: OutputOption = "text",
    state_dir: StateDir = None,
    kubeconfig: KubeconfigPath = None,
    via_ssh: ViaSsh = False,
    tunnel_port: TunnelPort = None,
) -> None:
    """Write a kubeconfig with a new administrator's certificate of 30 days."""
    if via_ssh and tunnel_port is not None:
        raise typer.BadParameter("--via-ssh and --tunnel exclude each other")

    async def run(session: Session) -> None:
        found = await observe(session.hetzner, session.config.cluster)
        if via_ssh:
            text = await recovery.kubeconfig(session, found)
        else:
            known = session.load_state()
            if known is None:
                raise BootstrapError(
                    f"there is no state in {session.state_directory}",
                    fix="name the right --state-dir; if it is lost: kubeconfig --via-ssh",
                )
            if found.primary_ip is None:
                raise BootstrapError("the cluster has no public address yet", fix="run `create`")
            text = kubeconfigs.render(
                session.config.cluster,
                known,
                found.primary_ip.ip,
                session.clock.now(),
                tunnel=tunnel_port,
            )
        try:
            written = kubeconfigs.write(session.kubeconfig_path, text)
        except OSError as error:
            raise BootstrapError(
                f"cannot be written to {session.kubeconfig_path}: {error.strerror}",
                fix="name another place with --kubeconfig",
            ) from error
        backup = None if written.backup is None else str(written.backup)
        kept = "" if backup is None else f"\nwhat stood there is kept as {backup}"
        printing.print_answer(
            output,
            {"kubeconfig": str(written.path), "backup": backup},
            f"export KUBECONFIG={written.path}{kept}",
        )

    runs.run(file, output, run, state_dir=state_dir, kubeconfig=kubeconfig, quiet=True)


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

    runs.run(file, "text", run, state_dir=state_dir, quiet=True)
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

    runs.run(file, "text", run, state_dir=state_dir, quiet=True)
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
        printing.print_answer(
            output,
            {"destroyed": list(found.descriptions), "left": list(left.descriptions)},
            report.destroyed_text(found, left),
        )

    runs.run(file, output, run, state_dir=state_dir)


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
        printing.print_error("there is no ssh program", "install an OpenSSH client", "ssh", "text")
        raise typer.Exit(FAILED)
    os.execvp(arguments[0], arguments)  # noqa: S606 - no shell: arguments are a list


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


def main() -> None:
    """Run the command line."""
    app()
