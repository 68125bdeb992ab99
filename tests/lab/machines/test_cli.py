"""`hk3s-lab up` as a user runs it."""

import asyncio
import shlex
import signal
import sys
from pathlib import Path

import aiohttp

PROGRAM = Path(sys.executable).parent / "hk3s-lab"


async def test_up_prints_an_environment_that_works_and_ends_without_a_trace(
    tmp_path: Path,
) -> None:
    child = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        "up",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(Path.home()),
            "TMPDIR": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        },
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(90):
            lines = [(await child.stdout.readline()).decode() for _ in range(4)]
        words = [shlex.split(line) for line in lines]
        env = dict(word.split("=", 1) for _, word in words)
        headers = {"Authorization": f"Bearer {env['HCLOUD_TOKEN']}"}
        url = f"{env['HCLOUD_ENDPOINT']}/servers"
        async with aiohttp.ClientSession() as http:
            async with http.get(url, headers=headers) as answer:
                assert (await answer.json())["servers"] == []
            async with http.get("http://10.4.0.3/", proxy=env["HTTP_PROXY"]) as answer:
                assert answer.status == 403
    finally:
        child.send_signal(signal.SIGINT)
        status = await child.wait()
    assert status == 0
    assert left_in(tmp_path) == []


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.glob("hk3s-lab-*")]
