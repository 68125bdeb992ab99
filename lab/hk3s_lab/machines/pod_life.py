"""One pod on a hollow kubelet, from its binding to its removal."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable, KubernetesClient
from hk3s_lab.machines import pod_command, pod_status
from hk3s_lab.machines.containers import AnyContainer, HollowContainer, ProcessContainer
from hk3s_lab.machines.pod_command import NodeFacts
from hk3s_lab.machines.pod_fields import CannotStart
from hk3s_lab.machines.pod_files import PodFiles
from hk3s_lab.machines.pod_status import Container, Ended, Pod, Running, View, Waiting
from hk3s_lab.machines.site import Site
from hk3s_lab.machines.writer import Writer

log = structlog.get_logger()

RUN_SECONDS = "lab.hk3s.dev/run-seconds"
"""Annotation: how long the containers of a pod that is meant to end run."""
EXIT_CODE = "lab.hk3s.dev/exit-code"
"""Annotation: how they end; 0 unless given."""

_SYNC_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a node gives to its pods."""

    site: Site
    client: KubernetesClient
    writer: Writer
    facts: NodeFacts
    directory: Path
    node_ip: str


@dataclass(slots=True)
class Binding:
    """A pod that is bound to the node, as last seen; `deleting` is set with its deletion."""

    pod: Pod
    deleting: asyncio.Event


class PodLife:
    """The containers of one pod and what is reported about them."""

    def __init__(self, host: Host, binding: Binding, address: str, delay: float) -> None:
        self._host = host
        self._binding = binding
        self._address = address
        self._delay = delay
        self._changed = asyncio.Event()
        self._containers: dict[str, AnyContainer] = {}
        metadata = binding.pod["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._uid: str = metadata["uid"]
        self._files = PodFiles(
            host.client, binding.pod, host.directory / self._uid, host.site.clock
        )

    async def run(self) -> None:
        """Live until deleted; then stop and remove the object. Cancelled, what runs is killed."""
        living = asyncio.create_task(self._run_containers())
        living.add_done_callback(self._tell_failure)
        try:
            await self._binding.deleting.wait()
            await self._terminate()
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            self._files.remove()

    def _tell_failure(self, living: asyncio.Task[None]) -> None:
        if not living.cancelled() and (error := living.exception()) is not None:
            log.error("kubelet.pod_failed", path=self._path, exc_info=error)

    async def _run_containers(self) -> None:
        pod = self._binding.pod
        if pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            return
        await self._host.site.pause(self._delay)
        started = self._host.site.clock.now()
        for spec in pod["spec"]["containers"]:
            self._containers[spec["name"]] = self._container(spec)
        self._changed.set()
        reporting = asyncio.create_task(self._report(started))
        syncing = asyncio.create_task(self._sync())
        try:
            await asyncio.gather(*(one.run() for one in self._containers.values()))
            await self._patch(started)
        finally:
            for task in (reporting, syncing):
                task.cancel()
            await asyncio.gather(reporting, syncing, return_exceptions=True)

    def _container(self, spec: Mapping[str, Any]) -> AnyContainer:
        pod, site = self._binding.pod, self._host.site
        policy = pod["spec"].get("restartPolicy", "Always")
        restarts = restarts_before(pod, spec["name"])
        if pod_command.image_name(spec["image"]) in self._host.facts.images:
            return ProcessContainer(
                site.clock,
                self._changed.set,
                spec,
                prepare=lambda: self._prepare(spec),
                address=self._host.facts.address,
                log_file=self._host.directory / f"{self._uid}.{spec['name']}.log",
                restart_policy=policy,
                restarts=restarts,
                speed=site.options.speed,
            )
        notes = pod["metadata"].get("annotations") or {}
        seconds = float(notes.get(RUN_SECONDS, site.options.job_seconds)) / site.options.speed
        return HollowContainer(
            site.clock,
            self._changed.set,
            restarts=restarts,
            seconds=None if policy == "Always" else seconds,
            exit_code=int(notes.get(EXIT_CODE, "0")),
        )

    async def _prepare(self, spec: Mapping[str, Any]) -> pod_command.Command:
        await self._files.write()
        return await pod_command.build(
            self._host.client, self._binding.pod, spec, self._files, self._host.facts
        )

    async def _sync(self) -> None:
        """Keep the volumes of processes fresh, tokens included, as a kubelet does each minute."""
        if not any(isinstance(one, ProcessContainer) for one in self._containers.values()):
            return
        while True:
            await self._host.site.clock.sleep(_SYNC_SECONDS)
            with contextlib.suppress(CannotStart, ApiError, ApiUnreachable):
                await self._files.write()

    async def _report(self, started: datetime) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._patch(started)

    async def _patch(self, started: datetime) -> None:
        pod = self._binding.pod
        containers = {name: one.current for name, one in self._containers.items()}
        view = View(
            containers=containers,
            phase=phase(containers),
            host_ip=self._host.node_ip,
            pod_ip=self._address,
            started=started,
            init=finished_init(pod, started),
        )
        status = pod_status.describe(pod, view, self._host.site.clock.now())
        body = {"metadata": {"uid": self._uid}, "status": status}
        await self._host.writer.write(lambda: self._host.client.patch(f"{self._path}/status", body))

    async def _terminate(self) -> None:
        """Stop what runs within the pod's grace period and remove the object."""
        grace = float(self._binding.pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        processes = [one for one in self._containers.values() if isinstance(one, ProcessContainer)]
        if processes:
            await asyncio.gather(*(one.stop(grace) for one in processes))
        else:
            await self._host.site.pause(min(grace, self._host.site.options.pod_stop_seconds))
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self._uid},
        }
        await self._host.writer.write(lambda: self._host.client.delete(self._path, body))


Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


def phase(containers: Mapping[str, Container]) -> Phase:
    """Return a pod's phase as its containers decide it."""
    states = [one.state for one in containers.values()]
    if all(isinstance(state, Ended) for state in states):
        good = all(isinstance(state, Ended) and state.exit_code == 0 for state in states)
        return "Succeeded" if good else "Failed"
    created = any(
        isinstance(one.state, Waiting) and one.last is None and one.restarts == 0
        for one in containers.values()
    )
    return "Pending" if created else "Running"


def finished_init(pod: Pod, now: datetime) -> dict[str, Container]:
    """Return init containers, which end well at once; sidecars among them run on."""
    return {
        spec["name"]: Container(
            state=Running(since=now)
            if spec.get("restartPolicy") == "Always"
            else Ended(exit_code=0, since=now, until=now)
        )
        for spec in pod["spec"].get("initContainers") or ()
    }


def restarts_before(pod: Pod, name: str) -> int:
    """Return the restarts to count from: one more for what ran when the machine last stopped."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] == name:
            again = "running" in (status.get("state") or {})
            return int(status.get("restartCount", 0)) + int(again)
    return 0
