"""From nothing to workers and back, with hk3s's own commands on booted machines."""

import asyncio
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.linux

SCRIPT = Path(__file__).with_name("story.py")


async def test_bootstrap_growth_a_lost_bastion_shrinking_and_destroy(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()

    assert child.returncode == 0, output.decode()[-6000:]
