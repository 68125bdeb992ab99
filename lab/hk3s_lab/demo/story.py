"""The story, act by act: create, grow, shrink, destroy; each with what must hold at its end."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hk3s_lab.clock import Clock
from hk3s_lab.demo import product, report
from hk3s_lab.demo.observer import Observer
from hk3s_lab.demo.view import NodeLine, Scene, View
from hk3s_lab.demo.world import World
from hk3s_lab.errors import LabError
from hk3s_lab.kubernetes_client import Access, access_from_kubeconfig

CREATE_SECONDS = 180.0
GROW_SECONDS = 180.0
SHRINK_SECONDS = 180.0
DESTROY_SECONDS = 120.0
QUICK_SECONDS = 30.0
SCENE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is played: the cluster's file, the workload, where things are put."""

    cluster_file: Path
    workload_file: Path
    directory: Path
    sold_out: str
    """An offering that is refused although it is listed, such as `cx33/fsn1`."""
    patience: float = 1.0
    """Factor on the time that each act may take."""

    @property
    def kubeconfig(self) -> Path:
        """Where bootstrap writes the kubeconfig."""
        return self.directory / "kubeconfig"

    def access(self) -> Access:
        """Read that kubeconfig."""
        return access_from_kubeconfig(self.kubeconfig.read_text(encoding="utf-8"))

    @property
    def autoscaler_log(self) -> Path:
        """Where the daemon's log is kept beyond its pod."""
        return self.directory / "autoscaler.log"


class Story:
    """One telling. `tell` never raises for a promise that did not hold: the report says it."""

    def __init__(
        self, *, script: Script, world: World, view: View, clock: Clock, kubectl: tuple[str, ...]
    ) -> None:
        self._script = script
        self._world = world
        self._view = view
        self._clock = clock
        self._kubectl = (*kubectl, f"--kubeconfig={script.kubeconfig}")
        self._began = clock.monotonic()
        self._report = report.Report()
        self._workload = list(yaml.safe_load_all(script.workload_file.read_text(encoding="utf-8")))
        self._namespace = next(d["metadata"]["name"] for d in self._workload if is_namespace(d))
        self._observer = Observer(self._namespace)
        self._phase = "starting"
        self._asked_at = self._served_at = 0.0

    async def tell(self) -> report.Report:
        """Play all acts; what was made is destroyed even when an act failed."""
        try:
            await self._create()
            async with self._observer.follow(self._script.access(), self._clock):
                try:
                    await self._grow()
                    await self._shrink()
                finally:
                    await self._look_back()
        except LabError as error:
            self._fail(str(error))
        try:
            await self._destroy()
        except LabError as error:
            self._fail(str(error))
        await self._measure()
        return self._report

    async def _create(self) -> None:
        self._enter("create: network, bastion, master, autoscaler")
        await self._world.set_stock({self._script.sold_out: "refused"})
        self._mark(f"{self._script.sold_out} is sold out, though listed as available")
        async with self._showing():
            await self._bootstrap("validate")
            await self._bootstrap("create", "--kubeconfig", str(self._script.kubeconfig))
        self._mark("cluster created")

    async def _grow(self) -> None:
        self._enter("grow: pending pods become servers")
        wanted = sum(d["spec"]["replicas"] for d in self._workload if is_scalable(d))
        self._report.pods_requested = wanted
        self._asked_at = self._clock.monotonic()
        await self._kube("apply", "-f", str(self._script.workload_file))
        self._mark(f"{wanted} pods asked for")
        await self._until(f"{wanted} pods to run", lambda: self._running() >= wanted, GROW_SECONDS)
        self._served_at = self._clock.monotonic()
        self._mark(f"all {wanted} pods run")
        await self._price_the_peak()

    async def _shrink(self) -> None:
        self._enter("shrink: idle nodes are drained and deleted")
        for document in self._workload:
            if is_scalable(document):
                name = f"{document['kind'].lower()}/{document['metadata']['name']}"
                await self._kube("scale", "-n", self._namespace, name, "--replicas=0")
        self._mark("workload scaled to zero")
        await self._until(
            "the workers to go",
            lambda: not self._world.live("worker") and not self._observer.worker_nodes(),
            SHRINK_SECONDS,
        )
        self._mark("all workers are gone")

    async def _look_back(self) -> None:
        """Keep the daemon's log, and show what a person sees afterwards with kubectl."""
        text = await self._kube(
            *("logs", "-n", "hk3s-system", "--tail=-1", "--prefix=false"),
            *("-l", "app.kubernetes.io/name=hk3s-autoscaler"),
        )
        self._script.autoscaler_log.write_text(text, encoding="utf-8")
        for arguments in (
            ("get", "nodepools"),
            ("describe", "nodepool"),
            ("get", "events", "-A", "--field-selector=source=hk3s-autoscaler"),
        ):
            text = await self._kube(*arguments)
            self._view.say(f"$ kubectl {' '.join(arguments)}")
            for line in text.splitlines():
                self._view.say(f"  {line}")

    async def _destroy(self) -> None:
        self._enter("destroy: nothing is left")
        async with self._showing():
            await self._bootstrap("destroy", "--yes")
        self._mark("cluster destroyed")
        self._report.left_after_destroy = await self._world.leftovers()
        if self._report.left_after_destroy:
            self._fail("left after destroy: " + ", ".join(self._report.left_after_destroy))

    async def _price_the_peak(self) -> None:
        """Compare what the workers cost with the lower bound over what can be ordered now."""
        catalog = self._script.directory / "catalog.json"
        catalog.write_text(json.dumps(await self._world.orderable_catalog()), encoding="utf-8")
        pools = self._script.directory / "nodepools.yaml"
        pools.write_text(await self._kube("get", "nodepools", "-o", "yaml"), encoding="utf-8")
        argv = [product.installed("hk3s-autoscaler"), "plan", "--output", "json"]
        argv += ["-f", str(self._script.workload_file)]
        argv += ["--nodepools", str(pools), "--catalog", str(catalog)]
        plan = await product.run_json(
            argv, environment=self._environment(), timeout_seconds=QUICK_SECONDS
        )
        self._report.cost = report.Cost(
            eur_per_hour_bought=round(self._world.euro_per_hour("worker"), 6),
            lower_bound_eur_per_hour=plan["lower_bound_eur_per_hour"],
        )
        self._mark(f"cost at the peak: {self._report.cost.ratio} times the lower bound")

    async def _measure(self) -> None:
        """Read the numbers out of the emulator's records and the autoscaler's log."""
        result = self._report
        requests = await self._world.requests()
        events = report.parse_log(self._autoscaler_lines())
        result.servers = report.describe_servers(await self._world.history())
        result.api_calls = report.count_calls(requests)
        result.api_calls_per_server = report.calls_per_server(
            requests, since=self._asked_at, until=self._served_at
        )
        result.reaction_samples = report.reactions(events, requests)
        result.join_samples = report.joins(events)
        result.fallbacks = report.fallbacks(events)
        result.creates_refused = report.count_refused(requests)
        for server in result.servers:
            public = server["public_ipv4"] or server["public_ipv6"]
            if server["role"] != "bastion" and public:
                self._fail(f"{server['name']} has a public address")
        for missing, what in (
            (not result.reaction_samples, "no reaction was measured"),
            (not result.join_samples, "no join was measured"),
            (not result.fallbacks, "no fallback was seen"),
            (result.cost is None, "the peak was not priced"),
        ):
            if missing:
                self._fail(what)

    def _autoscaler_lines(self) -> list[str]:
        path = self._script.autoscaler_log
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def _running(self) -> int:
        running = self._observer.phases()["Running"]
        self._report.pods_running_peak = max(self._report.pods_running_peak, running)
        return running

    async def _until(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition on the world, showing it meanwhile."""
        seconds *= self._script.patience
        deadline = self._clock.monotonic() + seconds
        async with self._showing():
            while not holds():
                if self._clock.monotonic() > deadline:
                    raise LabError(
                        f"waited {seconds:.0f} s for {what} in vain: {self._totals()}",
                        f"the logs are in {self._script.directory}",
                    )
                await self._clock.sleep(0.1)

    @asynccontextmanager
    async def _showing(self) -> AsyncIterator[None]:
        """Show scenes for as long as the context is open."""

        async def show() -> None:
            while True:
                self._view.show(self._scene())
                while not self._observer.decisions.empty():
                    self._mark(self._observer.decisions.get_nowait())
                await self._clock.sleep(SCENE_SECONDS)

        task = asyncio.create_task(show())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._view.show(self._scene())

    def _scene(self) -> Scene:
        ready, pods = self._observer.ready_nodes(), self._observer.pods_by_node()
        phases = self._observer.phases()
        machines = tuple(
            NodeLine(
                name=machine.name,
                role=machine.role,
                server_type=machine.server_type,
                location=machine.location,
                state="Ready" if machine.name in ready else machine.state,
                pods=pods[machine.name],
            )
            for machine in self._world.machines()
        )
        return Scene(
            seconds=self._elapsed(),
            phase=self._phase,
            machines=machines,
            pods_running=phases["Running"],
            pods_pending=phases["Pending"],
            euro_per_hour=self._world.euro_per_hour(),
        )

    def _totals(self) -> str:
        phases = ", ".join(f"{n} {phase}" for phase, n in sorted(self._observer.phases().items()))
        return f"pods: {phases or 'none'}; workers: {len(self._world.live('worker'))}"

    async def _bootstrap(self, command: str, *options: str) -> None:
        argv = [product.installed("hk3s-bootstrap"), command, "-f", str(self._script.cluster_file)]
        if command != "validate":
            argv += ["--state-dir", str(self._script.directory / "state")]
        seconds = DESTROY_SECONDS if command == "destroy" else CREATE_SECONDS
        await product.run(
            [*argv, *options],
            environment=self._environment(),
            timeout_seconds=seconds * self._script.patience,
            on_line=lambda line: self._view.say(f"  {line}"),
        )

    async def _kube(self, *arguments: str) -> str:
        return await product.run(
            [*self._kubectl, *arguments],
            environment=self._environment(),
            timeout_seconds=QUICK_SECONDS,
        )

    def _environment(self) -> Mapping[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "TERM"}}
        return {**kept, **self._world.environment(), "NO_COLOR": "1"}

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._mark(phase)

    def _mark(self, event: str) -> None:
        self._report.timeline.append(report.Moment(t=round(self._elapsed(), 3), event=event))
        self._view.say(f"[{self._elapsed():6.1f}s] {event}")

    def _fail(self, message: str) -> None:
        self._report.failures.append(message)
        self._mark(f"FAILED: {message}")

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began


def is_namespace(document: Mapping[str, Any]) -> bool:
    """Whether a document is a Namespace."""
    return bool(document["kind"] == "Namespace")


def is_scalable(document: Mapping[str, Any]) -> bool:
    """Whether a document is something with replicas."""
    return document["kind"] in {"Deployment", "StatefulSet"}
