"""The whole story on booted machines: `ssh-agent python -m linux.story DIRECTORY`.

Runs hk3s's own commands from the lab's Internet. Ends with status 0 when every promise held.
"""

import asyncio
import base64
import json
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
from hk3s_lab.linux.provider import Provider
from hk3s_lab.machines.site import Options
from linux.story_parts import RELEASES, cluster, deployment, new_key

WORKLOAD = [deployment("web", "500m"), deployment("ballast", "1000m")]
EGRESS = "import urllib.request as u; u.urlopen('https://github.com/k3s', timeout=5)"
SECONDS = 400.0


class Story:
    """One telling; each act raises when a promise does not hold."""

    def __init__(self, cloud: LabCloud, directory: Path, kubectl: tuple[str, ...]) -> None:
        self.cloud = cloud
        self.world = World(cloud)
        self.clock = RealClock()
        self.directory = directory
        self.kubectl = (*kubectl, f"--kubeconfig={directory / 'kubeconfig'}")
        self.environment = {**os.environ, **cloud.environment, "NO_COLOR": "1"}
        self.key = ""

    async def prepare(self) -> None:
        """Make the user's SSH key and read the price list."""
        self.key = await new_key(self.directory)
        await self.world.load()

    @property
    def linux(self) -> Provider:
        """What runs the machines."""
        assert self.cloud.linux is not None
        return self.cloud.linux

    async def bootstrap(self, command: str, *options: str) -> str:
        """Run a command of hk3s-bootstrap; return what it prints."""
        self.tell(f"hk3s-bootstrap {command}")
        return await product.run(
            [
                *(product.installed("hk3s-bootstrap"), command),
                *("-f", str(self.directory / "cluster.yaml")),
                *("--state-dir", str(self.directory / "state"), *options),
            ],
            environment=self.environment,
            timeout_seconds=SECONDS,
        )

    async def create(self, *, bastion: str) -> None:
        """Create the cluster, or what is missing of it."""
        text = yaml.safe_dump(cluster(bastion, self.key))
        (self.directory / "cluster.yaml").write_text(text)
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
        """Two servers of both releases; what keeps them from joining is told, then put right."""
        releases = self.linux.releases
        releases.published, releases.content = releases.content, b"not what was published"
        await self.kube("apply", "-f", "-", stdin=yaml.safe_dump_all(WORKLOAD))
        await self.until(
            "both workers say why they do not join", self.both_say("checksum-mismatch")
        )
        first = {worker.name for worker in self.world.live("worker")}
        victim = min(first)
        said = await self.bootstrap("status", "--why", victim)
        assert f"{victim}: step install, failed: checksum-mismatch" in said, said
        await self.kube("delete", "secret", "-n", "kube-system", await self.token_secret(victim))
        releases.content, releases.published = releases.published, None

        await self.until("four pods run", self.run_on(4, "app in (web, ballast)"))
        events = await self.kube("get", "events", "-A", "-o", "jsonpath={.items[*].message}")
        assert f"{victim} did not join: join/token-rejected" in events, events
        workers = {worker.name for worker in self.world.live("worker")}
        assert len(workers) == len(first) == 2
        assert first - workers == {victim}, (first, workers)

    def both_say(self, error: str) -> Callable[[], Awaitable[bool]]:
        """Return whether two workers report an error."""

        async def say() -> bool:
            views = [view.error for view in self.cloud.machines if view.role == "worker"]
            return views == [error, error]

        return say

    def run_on(self, pods: int, selector: str) -> Callable[[], Awaitable[bool]]:
        """Return whether that many pods run, and no other."""

        async def run() -> bool:
            try:
                answer = await self.kube(
                    *("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].status.phase}")
                )
            except LabError:
                return False  # a busy API is asked again
            return answer.split() == ["Running"] * pods

        return run

    async def token_secret(self, server: str) -> str:
        """Return the name of the Secret with a server's join token."""
        answer = json.loads(await self.kube("get", "secrets", "-n", "kube-system", "-o", "json"))
        names = [
            item["metadata"]["name"]
            for item in answer["items"]
            if item["type"] == "bootstrap.kubernetes.io/token"
            and server in base64.b64decode(item["data"]["description"]).decode()
        ]
        assert len(names) == 1, names
        return str(names[0])

    async def look_at_the_doors(self) -> None:
        """Keys get in everywhere; no server is without one, only the bastion has an address."""
        hashes = set()
        for facts in self.cloud.servers:
            assert facts.ssh_keys, f"{facts.name} was created without a key"
            assert (facts.public_ipv4 is not None) == (facts.name == "story-bastion"), facts.name
            said = await self.bootstrap("ssh", facts.name, "hostname")
            assert said.split() == [facts.name]
            _, shadow = await self.inside(facts.name, "getent", "shadow", "root")
            hashes.add(shadow.split(":")[1])
        assert len(hashes) == len(self.cloud.servers)
        assert all(one.startswith("$6$") for one in hashes)
        known = await self.everything_known()
        assert not [one for one in hashes if one in known], "a password's hash is kept"

    async def everything_known(self) -> str:
        """Return what the state directory, Secrets and ConfigMaps hold."""
        files = [path for path in (self.directory / "state").rglob("*") if path.is_file()]
        texts = [path.read_text(errors="replace") for path in files]
        kept = json.loads(await self.kube("get", "secrets,configmaps", "-A", "-o", "json"))
        for item in kept["items"]:
            values = item.get("data", {}).values()
            secret = item["kind"] == "Secret"
            texts += [base64.b64decode(v).decode(errors="replace") if secret else v for v in values]
        assert len(texts) > 5, "too little was looked at"
        return "\n".join(texts)

    async def inside(self, name: str, *argv: str) -> tuple[int, str]:
        """Run a command in a machine."""
        return await self.linux.container_of(name).execute(*argv)

    async def lose_the_bastion(self) -> None:
        """Kill and rebuild it: nodes and the API inside stay up, egress comes back by itself."""
        bastion = next(f for f in self.cloud.servers if f.name == "story-bastion")
        worker = next(f for f in self.cloud.servers if f.name == self.world.live("worker")[0].name)
        inside = self.linux.container_of(worker.name)
        master = self.linux.container_of("story-master-1")
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
        await self.create(bastion="debian-13")
        rebuilt = next(f for f in self.cloud.servers if f.name == "story-bastion")
        assert rebuilt.public_ipv4 == bastion.public_ipv4
        assert (bastion.image, rebuilt.image) == RELEASES
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
        """Half of the pods go: one worker is drained, its pod moves to the other."""
        before = await self.kube(
            "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"
        )
        await self.kube("scale", "deployment/ballast", "--replicas=0")

        async def gone() -> bool:
            return len(self.world.live("worker")) == 1

        await self.until("a worker goes", gone)
        await self.until("both pods run on the other", self.run_on(2, "app=web"))
        after = await self.kube(
            "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}"
        )
        assert len(set(before.split()) & set(after.split())) == 1, (before, after)

    async def destroy(self) -> None:
        """Leave nothing that is billed."""
        await self.bootstrap("destroy", "--yes")
        assert await self.world.leftovers() == []


async def main(directory: Path) -> None:
    """Tell it."""
    kubectl = (str(await ensure_binary(print_line)), "kubectl")
    options = LabOptions(kind="linux", speed=10, machines=Options(node_monitor_grace_seconds=40))
    async with LabCloud(options, directory=directory / "lab") as cloud:
        story = Story(cloud, directory, kubectl)
        await story.prepare()
        await story.create(bastion="debian-12")
        await story.grow()
        await story.look_at_the_doors()
        await story.shrink()
        await story.lose_the_bastion()
        await story.look_at_the_doors()
        await story.destroy()


def print_line(line: str) -> None:
    """Tell what takes long."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
