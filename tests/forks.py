"""Commands in processes of their own, forked from one that has already imported them."""

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn


@asynccontextmanager
async def zygote(script: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the script that forks for as long as its input is open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def dress(order: Mapping[str, Any], program: str, outputs: Mapping[int, int]) -> None:
    """Give this process the arguments and environment of an order, and nothing to read.

    `outputs` are open files by the number that they shall have.
    """
    os.environ.clear()
    os.environ.update(order["environment"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in {0: nothing, **outputs}.items():
        os.dup2(file, number)
    sys.argv = [program, *order["argv"]]


def end_with(main: Callable[[], object]) -> NoReturn:
    """Run a command and end the process as the interpreter would."""
    code = 70
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
