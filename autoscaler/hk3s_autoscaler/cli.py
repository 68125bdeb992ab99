"""`hk3s-autoscaler`: run the daemon, price a workload, explain a decision."""

import asyncio
import os
import socket
import uuid
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from hk3s_autoscaler import config as config_file
from hk3s_autoscaler.adapters.clock import SystemClock
from hk3s_autoscaler.adapters.cluster import REPORT_NAME
from hk3s_autoscaler.daemon import log
from hk3s_autoscaler.daemon.explain import explain as look_up
from hk3s_autoscaler.daemon.http import Binding
from hk3s_autoscaler.daemon.run import run_until_signal
from hk3s_autoscaler.daemon.wiring import Settings, assemble, connect
from hk3s_autoscaler.exact.packer import ExactUnavailable
from hk3s_autoscaler.offline import plan as pricing
from hk3s_autoscaler.offline import simulate as playing
from hk3s_autoscaler.offline.question import OfflineError, Question
from hk3s_autoscaler.ports import PortError
from hk3s_autoscaler.simulation.picture import draw
from hk3s_kube.client import ConfigurationInvalid
from hk3s_kube.errors import KubeError, NotFound

FAILED, BAD_INPUT = 1, 2

_LIST = "separated by commas, or repeated."
ArchOption = Annotated[list[str] | None, typer.Option(help=f"amd64, arm64; {_LIST}")]
LocationOption = Annotated[
    list[str] | None, typer.Option("--location", "--locations", help=f"fsn1, nbg1 ...; {_LIST}")
]
TypesOption = Annotated[
    list[str] | None,
    typer.Option("--server-types", "--server-type", help=f"cx23, cx33 ...; {_LIST}"),
]

app = typer.Typer(
    name="hk3s-autoscaler",
    help="Buys Hetzner servers for pending pods and gives idle ones back.",
    no_args_is_help=True,
    # Tracebacks with local variables would show the API token.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    app()


@app.command(
    epilog="Example: hk3s-autoscaler run --config config.yaml --token-file token"
    " --ssh-host-ca-file ssh-ca --dry-run",
)
def run(
    *,
    config: Annotated[Path, typer.Option(help="The settings that bootstrap wrote.")],
    token_file: Annotated[Path, typer.Option(help="Holds the Hetzner API token.")],
    ssh_host_ca_file: Annotated[
        Path, typer.Option(help="Holds the private key that certifies SSH host keys.")
    ],
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Default: $KUBECONFIG, else the pod's own identity."
        ),
    ] = None,
    bind_address: Annotated[
        str, typer.Option(envvar="HK3S_BIND_ADDRESS", help="Where metrics and probes listen.")
    ] = "0.0.0.0",  # noqa: S104 - inside a pod
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="/metrics")] = 8080,
    health_port: Annotated[int, typer.Option(min=0, max=65535, help="/healthz, /readyz")] = 8081,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log turns that do nothing, too.")] = False,
) -> None:
    """Run the daemon until SIGTERM.

    Exit codes: 0 after SIGTERM, 1 when the Lease was lost or something broke, 2 for bad input.
    """
    problems: list[str] = []
    parsed = _read_config(config, problems)
    token = _read_secret(token_file, problems)
    ssh_host_ca = _read_secret(ssh_host_ca_file, problems)
    if parsed is None or problems:
        _fail("\n".join(problems), BAD_INPUT)
    settings = Settings(
        config=parsed,
        token=token,
        ssh_host_ca=f"{ssh_host_ca}\n",
        kubeconfig=kubeconfig,
        binding=Binding(address=bind_address, metrics_port=metrics_port, health_port=health_port),
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        version=metadata.version("hk3s"),
        dry_run=dry_run,
    )
    secrets = log.Secrets()
    secrets.add("api-token", token)
    log.configure(secrets, debug=debug)
    try:
        code = asyncio.run(_run(settings, secrets))
    except ConfigurationInvalid as error:
        _fail(str(error), BAD_INPUT)
    except PortError as error:
        _fail(secrets.text(str(error)), FAILED)
    raise typer.Exit(code)


async def _run(settings: Settings, secrets: log.Secrets) -> int:
    async with assemble(settings, secrets) as daemon:
        return await run_until_signal(daemon)


def _names(given: list[str] | None) -> tuple[str, ...]:
    """Read what may be repeated, and may hold several names between commas."""
    return tuple(name for part in given or () for name in part.split(",") if name)


@app.command(
    epilog="Examples: hk3s-autoscaler plan -f pods.yaml;"
    " kubectl get pods -A -o json | hk3s-autoscaler plan -f /dev/stdin --location fsn1 -o json",
)
def plan(
    *,
    workload: Annotated[
        Path,
        typer.Option(
            "--filename",
            "-f",
            help="Pods, Deployments, Jobs and the like; a CronJob counts as one run.",
        ),
    ],
    nodepools: Annotated[
        Path | None,
        typer.Option(help="NodePools or a cluster.yaml; default: one pool of every type."),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="An answer of GET /server_types; default: the bundled catalogue."),
    ] = None,
    stock: Annotated[
        Path | None, typer.Option(help="`type/location: true|false`, with wildcards.")
    ] = None,
    arch: ArchOption = None,
    location: LocationOption = None,
    server_types: TypesOption = None,
    ignore_stock: Annotated[
        bool, typer.Option("--ignore-stock", help="As if everything could be had.")
    ] = False,
    exact: Annotated[
        float, typer.Option(min=0, help="Seconds for the exact pass, which may find less costly.")
    ] = 0.0,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Say what the daemon would buy for a workload on an empty cluster, and what it costs.

    Exit codes: 0 with an answer, which names the pods that nothing can be bought for and the
    kinds that are not priced, 2 for bad input.
    """
    question = Question(
        workload=workload,
        nodepools=nodepools,
        catalog=catalog,
        stock=stock,
        architectures=_names(arch),
        locations=_names(location),
        server_types=_names(server_types),
        ignore_stock=ignore_stock,
    )
    clock = SystemClock()
    try:
        answer = pricing.plan_command_core(
            question, now=clock.now(), monotonic=clock.monotonic, exact=exact
        )
    except OfflineError as error:
        _fail(str(error), BAD_INPUT)
    except ExactUnavailable as error:
        _fail(str(error), BAD_INPUT)
    typer.echo(pricing.render_json(answer) if output == "json" else pricing.render_text(answer))


@app.command(
    epilog="Examples: hk3s-autoscaler simulate -f examples/trace-working-day.yaml;"
    " hk3s-autoscaler simulate -f trace.yaml --nodepools pools.yaml --seed 7 --svg day.svg -o json",
)
def simulate(
    *,
    trace: Annotated[Path, typer.Option("--filename", "-f", help="Workloads and stock over time.")],
    nodepools: Annotated[
        Path | None,
        typer.Option(help="NodePools or a cluster.yaml; default: one pool of every type."),
    ] = None,
    catalog: Annotated[
        Path | None,
        typer.Option(help="An answer of GET /server_types; default: the bundled catalogue."),
    ] = None,
    arch: ArchOption = None,
    location: LocationOption = None,
    server_types: TypesOption = None,
    ignore_stock: Annotated[
        bool, typer.Option("--ignore-stock", help="As if everything could be had at the start.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of join times, lifetimes and failures.")] = 0,
    svg: Annotated[Path | None, typer.Option(help="Where to draw waiting, nodes, price.")] = None,
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Play a trace in virtual time with the daemon's planner: what it costs, how long pods wait.

    The same files and seed give the same answer. Volumes are not simulated: a trace whose pods
    claim some is refused.

    Exit codes: 0 with an answer, 1 when the picture cannot be written, 2 for bad input.
    """
    question = Question(
        workload=trace,
        nodepools=nodepools,
        catalog=catalog,
        architectures=_names(arch),
        locations=_names(location),
        server_types=_names(server_types),
        ignore_stock=ignore_stock,
    )
    try:
        played = playing.simulate_command_core(question, seed=seed)
    except OfflineError as error:
        _fail(str(error), BAD_INPUT)
    if svg is not None:
        try:
            svg.write_text(draw(played.result), encoding="utf-8")
        except OSError as error:
            _fail(f"{svg}: cannot be written: {error.strerror}", FAILED)
    render = playing.render_json if output == "json" else playing.render_text
    typer.echo(render(played))


@app.command(epilog="Examples: hk3s-autoscaler explain pod shop/web-1; explain pool workers")
def explain(
    kind: Annotated[Literal["pod", "node", "pool"], typer.Argument(help="What to look up.")],
    name: Annotated[str, typer.Argument(help="A pod is namespace/name, or a name in `default`.")],
    kubeconfig: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Default: $KUBECONFIG.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="Where the daemon runs.")] = "hk3s-system",
    output: Annotated[Literal["text", "json"], typer.Option("--output", "-o")] = "text",
) -> None:
    """Say why a pod waits, why a node stays, what holds a pool back.

    Exit codes: 0 with an answer, 1 when nothing is known, 2 for bad input.
    """
    try:
        entries = asyncio.run(_read_report(kubeconfig, namespace))
    except ConfigurationInvalid as error:
        _fail(str(error), BAD_INPUT)
    except NotFound:
        _fail(f"there is no ConfigMap {namespace}/{REPORT_NAME}: does the daemon run?", FAILED)
    except KubeError as error:
        _fail(str(error), FAILED)
    found = look_up(entries, kind, name)
    if found is None:
        _fail(f"the last report does not mention {kind} {name}: it neither waits nor goes", FAILED)
    typer.echo(found.as_json() if output == "json" else found.as_text())


async def _read_report(kubeconfig: Path | None, namespace: str) -> dict[str, str]:
    kube = await connect(kubeconfig)
    try:
        found = await kube.get(f"/api/v1/namespaces/{namespace}/configmaps/{REPORT_NAME}")
    finally:
        await kube.close()
    return dict(found.get("data") or {})


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(metadata.version("hk3s"))


def _read_config(path: Path, problems: list[str]) -> config_file.Config | None:
    try:
        return config_file.parse(path)
    except config_file.ConfigError as error:
        problems.append(str(error))
        return None


def _read_secret(path: Path, problems: list[str]) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({type(error).__name__}); name a readable file")
        return ""
    if not text:
        problems.append(f"{path}: is empty; write the secret into it, and nothing else")
    return text


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
