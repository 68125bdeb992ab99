"""From nothing to workers and back, with hk3s's own commands on booted machines."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.linux, pytest.mark.timeout(1200)]

TESTS = Path(__file__).parents[1]


async def test_bootstrap_growth_trouble_shrinking_a_lost_bastion_and_destroy() -> None:
    with tempfile.TemporaryDirectory(prefix="hk3s-story-", ignore_cleanup_errors=True) as directory:
        child = await asyncio.create_subprocess_exec(
            *("ssh-agent", sys.executable, "-m", "linux.story", directory),
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()

    assert child.returncode == 0, output.decode()[-6000:]
