"""What the commands print: for people or, with `--output json`, one JSON document."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

import typer
from rich.console import Console

from hk3s_bootstrap.failures import StepFailed
from hk3s_bootstrap.progress import JsonReporter, PlainReporter, Reporter, TerminalReporter
from hk3s_findings.finding import Report, as_text

Output = Literal["text", "json"]


def reporter(output: Output, *, quiet: bool) -> Reporter:
    """Return who tells of progress: live in a terminal, else line by line."""
    if output == "json":
        return JsonReporter(sys.stderr)
    console = Console(stderr=True)
    if console.is_terminal and not quiet:
        return TerminalReporter(console)
    return PlainReporter(sys.stderr)


def print_report(found: Report, output: Output) -> None:
    """Print findings."""
    if output == "json":
        print_json(found.as_json())
    else:
        typer.echo(as_text((found,)))


def print_error(message: str, fix: str, code: str, output: Output) -> None:
    """Print why a command did not do its work, for people to stderr."""
    if output == "json":
        print_json({"ok": False, "code": code, "message": message, "fix": fix})
    else:
        typer.echo(f"failed: {message}\n  code: {code}\n  fix: {fix}", err=True)


def print_failure(error: StepFailed, exists: Sequence[str], again: str, output: Output) -> None:
    """Print the step that failed, why, what exists now and the command that continues."""
    if output == "json":
        print_json(
            {
                "ok": False,
                "step": error.step,
                "code": error.code,
                "message": error.message,
                "fix": error.fix,
                "exists": list(exists),
                "continue": again,
            }
        )
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"failed: {error.message}", style="red", markup=False)
    console.print(f"  code: {error.code}", markup=False)
    console.print(f"  fix: {error.fix}", markup=False)
    console.print(f"  exists now: {', '.join(exists) or 'nothing'}", markup=False)
    console.print(f"  continue with: {again}", markup=False)


def print_answer(output: Output, values: dict[str, Any], text: str) -> None:
    """Print what a command was asked for."""
    if output == "json":
        print_json(values)
    else:
        typer.echo(text)


def print_json(values: dict[str, Any]) -> None:
    """Print a document."""
    typer.echo(json.dumps(values, indent=2))
