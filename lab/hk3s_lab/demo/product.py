"""Running the product's commands as a user would, and kubectl."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hk3s_lab.errors import LabError

LAST_LINES = 15


def installed(command: str) -> str:
    """Find a command of the product beside the running interpreter.

    Raises:
        LabError: hk3s is not installed here.
    """
    path = Path(sys.executable).with_name(command)
    if not path.exists():
        raise LabError(f"{command} is not installed", "install hk3s: pip install --editable .")
    return str(path)


async def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    timeout_seconds: float,
    on_line: Callable[[str], None] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Each line of its output, both streams together when `on_line` is given, goes to that function.

    Raises:
        LabError: it failed or took too long; the message holds its last lines.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if on_line is not None else asyncio.subprocess.PIPE,
    )
    lines: list[str] = []

    async def follow(stream: asyncio.StreamReader, keep: list[str]) -> None:
        while raw := await stream.readline():
            line = raw.decode(errors="replace").rstrip("\n")
            keep.append(line)
            if on_line is not None:
                on_line(line)

    errors: list[str] = []
    name = Path(argv[0]).name
    try:
        async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as tasks:
            if process.stdout is not None:
                tasks.create_task(follow(process.stdout, lines))
            if process.stderr is not None:
                tasks.create_task(follow(process.stderr, errors))
            if process.stdin is not None and stdin is not None:
                process.stdin.write(stdin.encode())
                process.stdin.close()
            tasks.create_task(process.wait())
    except TimeoutError as error:
        raise LabError(
            f"{name} {argv[1]} did not end within {timeout_seconds:.0f} s",
            "its last lines: " + " | ".join((lines + errors)[-LAST_LINES:]),
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise LabError(
            f"{name} {argv[1]} failed with exit code {process.returncode}",
            "its last lines:\n" + "\n".join((lines + errors)[-LAST_LINES:]),
        )
    return "\n".join(lines)


async def run_json(
    argv: Sequence[str], *, environment: Mapping[str, str], timeout_seconds: float
) -> Any:  # noqa: ANN401 - JSON of any shape
    """Run a command whose standard output is JSON."""
    text = await run(argv, environment=environment, timeout_seconds=timeout_seconds)
    return json.loads(text)
