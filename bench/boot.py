"""From power-on to a Ready node, by step, for booted Debians of every shape.

    python bench/boot.py

Needs root. Runs `hk3s-bootstrap create` against the emulated API; the autoscaler then buys one
worker of each image. Seconds since power-on at which each step was first seen; `registered` is
when the join was done. Four workers boot at the same time, as after a burst of pods.
The last line says all of it as JSON.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from hk3s_lab.clock import RealClock
from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.linux.internet import LAPTOP
from hk3s_lab.linux.provider import Provider
from hk3s_lab.machines.site import Options

IMAGES = ("debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04")
COLUMNS = ("boot", "network", "ssh", "egress", "install", "join", "registered", "Ready")
SECONDS = 420.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4gnOZs0AgVfI1Me8UHux9niRuI6fMNQ0aYMzxzENfi bench"


def cluster() -> str:
    """Return the cluster.yaml: a pool of one worker for each image."""
    pools = [
        {
            "name": image.replace(".", "-"),
            "minNodes": 1,
            "maxNodes": 1,
            "image": image,
            "serverTypes": ["cx23"],
            "locations": ["fsn1"],
        }
        for image in IMAGES
    ]
    return yaml.safe_dump(
        {
            "cluster": "bench",
            "location": "fsn1",
            "bastion": {"serverType": "cpx12", "allowedCidrs": [f"{LAPTOP}/32"]},
            "master": {"serverType": "cpx22"},
            "ssh": {"publicKeys": [KEY]},
            "autoscaler": {"maxServers": 10, "maxEuroPerHour": 1},
            "nodePools": pools,
        }
    )


async def create(cloud: LabCloud, directory: Path) -> None:
    """Run the product's command."""
    file = directory / "cluster.yaml"
    file.write_text(cluster())
    program = Path(sys.executable).with_name("hk3s-bootstrap")
    child = await asyncio.create_subprocess_exec(
        *(str(program), "create", "-f", str(file)),
        *("--state-dir", str(directory / "state"), "--kubeconfig", str(directory / "kubeconfig")),
        env={**os.environ, **cloud.environment},
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await child.wait() != 0:
        raise SystemExit("hk3s-bootstrap create failed")


async def measure(directory: Path) -> None:
    """Print a row for each machine."""
    clock = RealClock()
    options = LabOptions(kind="linux", machines=Options())
    async with LabCloud(options, directory=directory / "lab", progress=print) as cloud:
        began = clock.monotonic()
        await create(cloud, directory)
        created = clock.monotonic() - began
        print(f"hk3s-bootstrap create: {created:.1f} s")
        linux = cloud.linux
        while linux is not None:
            machines = list(linux.machines.values())
            if len(machines) == len(IMAGES) + 2 and all(m.progress.ready_at for m in machines):
                break
            if clock.monotonic() - began > SECONDS:
                states = [(m.progress.name, m.progress.step, m.progress.error) for m in machines]
                raise SystemExit(f"not all machines got Ready: {states}")
            await clock.sleep(1.0)
        rows = [row(server, linux) for server in cloud.servers] if linux else []
    print(f"{'machine':26}{'image':14}" + "".join(f"{name:>11}" for name in COLUMNS))
    for one in rows:
        times = [one["seconds"].get(column) for column in COLUMNS]
        cells = "".join("          -" if time is None else f"{time:11.1f}" for time in times)
        print(f"{one['machine']:26}{one['image']:14}{cells}")
    print(json.dumps({"create_seconds": round(created, 1), "machines": rows}))


def row(server: MachineFacts, linux: Provider) -> dict[str, Any]:
    """Return a machine's name, image and seconds from power-on by step."""
    reached = linux.machines[server.name].reached
    steps = {"registered" if step == "ready" else step: at for step, at in reached.items()}
    seconds = {step: round(steps[step], 2) for step in COLUMNS if step in steps}
    return {"machine": server.name, "image": server.image, "seconds": seconds}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="hk3s-bench-") as temporary:
        asyncio.run(measure(Path(temporary)))
