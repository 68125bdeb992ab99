"""One command from a valid file to an exit code: 0 done, 1 failed at run time, 2 bad input."""

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import typer

from hk3s_bootstrap import create as creation
from hk3s_bootstrap import kubeconfig as kubeconfigs
from hk3s_bootstrap import printing, report, state
from hk3s_bootstrap.checks import offline
from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.failures import BootstrapError, StepFailed
from hk3s_bootstrap.observed import observe
from hk3s_bootstrap.printing import Output
from hk3s_bootstrap.session import Session, endpoint_of, token_of
from hk3s_findings.finding import as_text
from hk3s_findings.finding import report as report_of
from hk3s_hetzner.client import Hetzner
from hk3s_hetzner.errors import AccessDenied, HetznerError
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_kube.errors import KubeError

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
PATIENCE = (5.0, 30.0)
"""Seconds to connect to Hetzner and to wait for its answer: people wait rather than start over."""


def run(
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
        printing.print_report(found, output)
        raise typer.Exit(BAD_INPUT)
    token, missing = token_of(config, os.environ)
    if missing is not None:
        printing.print_report(report_of(str(file), found.document, (missing,)), output)
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
                    reporter=printing.reporter(output, quiet=quiet),
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
        printing.print_error(error.message, error.fix, error.code, output)
        raise typer.Exit(FAILED) from None
    except AccessDenied as error:
        fix = "check the token: it is unknown, revoked, or of another project"
        printing.print_error(f"Hetzner does not take the token: {error}", fix, "HK3S-E062", output)
        raise typer.Exit(BAD_INPUT) from None
    except (HetznerError, KubeError) as error:
        code = error.code if isinstance(error, HetznerError) else error.reason
        printing.print_error(str(error), f"run the command again: {_again(file)}", code, output)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        printing.print_error("interrupted", f"continue with: {_again(file)}", "interrupted", output)
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
    printing.print_failure(error, exists, _again(file), output)


def print_findings(file: Path, situation: creation.Situation, output: Output) -> None:
    """Print what Hetzner's side says about the file; errors end the run before it begins."""
    if not situation.findings:
        return
    _, found = offline.validate(file)
    online_report = report_of(str(file), found.document, situation.findings)
    if online_report.errors:
        printing.print_report(online_report, output)
        raise typer.Exit(BAD_INPUT)
    if output == "text":
        typer.echo(as_text((online_report,)), err=True)


def _again(file: Path) -> str:
    arguments = [word for word in sys.argv[1:] if word]
    return " ".join(["hk3s-bootstrap", *arguments]) if arguments else f"hk3s-bootstrap -f {file}"
