"""The whole story on booted machines, in a process of its own: `story.py DIRECTORY`.

Runs hk3s's own commands from the lab's Internet. Ends with status 0 when every promise held.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import yaml

from hk3s_lab.clock import RealClock
from hk3s_lab.cloud import LabCloud, LabOptions
from hk3s_lab.demo import product
from hk3s_lab.demo.world import World
from hk3s_lab.errors import LabError
from hk3s_lab.kubernetes.build import ensure_binary
from hk3s_lab.linux.internet import LAPTOP
from hk3s_lab.machines.site import Options

CLUSTER = {
    "cluster": "story",
    "location": "fsn1",
    "bastion": {"serverType": "cpx12", "allowedCidrs": [f"{LAPTOP}/32"], "image": "debian-13"},
    "master": {"serverType": "cpx22", "image": "debian-12"},
    "ssh": {
        "publicKeys": [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM4gnOZs0AgVfI1Me8UHux9niRuI6fMNQ0aYMzxzENfi story"
        ]
    },
    "autoscaler": {"maxServers": 6, "maxEuroPerHour": 1},
    "nodePools": [
        {
            "name": name,
            "image": image,
            "maxNodes": 1,
            "serverTypes": ["cx23"],
            "locations": ["fsn1"],
            "disruption": {"consolidateAfter": "10s", "keepUntilHourEnd": False},
        }
        for name, image in (("old", "debian-12"), ("new", "debian-13"))
    ],
}
WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "nginx",
                        "resources": {"requests": {"cpu": "1200m", "memory": "1Gi"}},
                    }
                ]
            },
        },
    },
}
EGRESS = "import urllib.request as u; u.urlopen('https://github.com/k3s', timeout=5)"
SECONDS = 240.0


class Story:
    """One telling; each act raises when a promise does not hold."""

    def __init__(self, cloud: LabCloud, directory: Path, kubectl: tuple[str, ...]) -> None:
        self.cloud = cloud
        self.world = World(cloud)
        self.clock = RealClock()
        self.directory = directory
        self.kubectl = (*kubectl, f"--kubeconfig={directory / 'kubeconfig'}")
        self.environment = {**os.environ, **cloud.environment, "NO_COLOR": "1"}

    async def bootstrap(self, command: str, *options: str) -> None:
        """Run a command of hk3s-bootstrap."""
        self.tell(f"hk3s-bootstrap {command}")
        await product.run(
            [
                *(product.installed("hk3s-bootstrap"), command),
                *("-f", str(self.directory / "cluster.yaml")),
                *("--state-dir", str(self.directory / "state"), *options),
            ],
            environment=self.environment,
            timeout_seconds=SECONDS,
        )

    async def create(self) -> None:
        """Create the cluster, or what is missing of it."""
        await self.bootstrap("create", "--kubeconfig", str(self.directory / "kubeconfig"))

    async def kube(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl."""
        return await product.run(
            [*self.kubectl, *arguments],
            environment=self.environment,
            timeout_seconds=60,
            stdin=stdin,
        )

    async def until(self, what: str, ask: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds."""
        self.tell(f"waiting: {what}")
        deadline = self.clock.monotonic() + SECONDS
        while not await ask():
            if self.clock.monotonic() > deadline:
                views = [(v.name, v.step, v.state, v.error) for v in self.cloud.machines]
                raise AssertionError(f"not within {SECONDS:.0f} s: {what}; {views}")
            await self.clock.sleep(1.0)

    def tell(self, line: str) -> None:
        """Say where the story is."""
        sys.stdout.write(f"[{self.clock.monotonic():.0f}] {line}\n")
        sys.stdout.flush()

    async def grow(self) -> None:
        """Two pods, one server each, from pools of both releases."""
        await self.kube("apply", "-f", "-", stdin=yaml.safe_dump(WORKLOAD))

        async def run() -> bool:
            try:
                answer = await self.kube(
                    "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase}"
                )
            except LabError:
                return False  # a busy API is asked again
            return answer.split() == ["Running", "Running"]

        await self.until("two pods run", run)
        assert len(self.world.live("worker")) == 2
        for facts in self.cloud.servers:
            assert facts.ssh_keys, f"{facts.name} was created without a key"
            bastion = facts.name == "story-bastion"
            assert (facts.public_ipv4 is not None) == bastion, facts.name

    async def lose_the_bastion(self) -> None:
        """Kill and rebuild it: nodes and the API inside stay up, egress comes back by itself."""
        bastion = next(f for f in self.cloud.servers if f.name == "story-bastion")
        worker = next(f for f in self.cloud.servers if f.name == self.world.live("worker")[0].name)
        assert self.cloud.linux is not None
        inside = self.cloud.linux.container_of(worker.name)
        master = self.cloud.linux.container_of("story-master-1")
        before = (inside.leader, master.leader)
        await self.delete(bastion.server_id)

        async def has_egress() -> bool:
            status, _ = await inside.execute("python3", "-c", EGRESS)
            return status == 0

        async def has_none() -> bool:
            return not await has_egress()

        await self.until("no egress without a bastion", has_none)
        status, said = await master.execute("/usr/local/bin/k3s", "kubectl", "get", "nodes")
        assert status == 0, said
        await self.create()
        rebuilt = next(f for f in self.cloud.servers if f.name == "story-bastion")
        assert rebuilt.public_ipv4 == bastion.public_ipv4
        await self.until("egress is back", has_egress)
        assert (inside.leader, master.leader) == before

    async def delete(self, server_id: int) -> None:
        """Delete a server behind everybody's back."""
        headers = {"Authorization": f"Bearer {self.cloud.token}"}
        url = f"{self.cloud.endpoint}/servers/{server_id}"
        async with (
            aiohttp.ClientSession(headers=headers, raise_for_status=True) as session,
            session.delete(url),
        ):
            pass

    async def shrink(self) -> None:
        """One pod less to run: its worker is drained and given back."""
        await self.kube("scale", "deployment/web", "--replicas=1")

        async def gone() -> bool:
            return len(self.world.live("worker")) == 1

        await self.until("a worker goes", gone)

    async def destroy(self) -> None:
        """Leave nothing that is billed."""
        await self.bootstrap("destroy", "--yes")
        assert await self.world.leftovers() == []


async def main(directory: Path) -> None:
    """Tell it."""
    (directory / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    kubectl = (str(await ensure_binary(print_line)), "kubectl")
    options = LabOptions(kind="linux", speed=10, machines=Options(node_monitor_grace_seconds=40))
    async with LabCloud(options, directory=directory / "lab") as cloud:
        story = Story(cloud, directory, kubectl)
        await story.world.load()
        await story.create()
        await story.grow()
        await story.shrink()
        await story.lose_the_bastion()
        await story.destroy()


def print_line(line: str) -> None:
    """Tell what takes long."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
