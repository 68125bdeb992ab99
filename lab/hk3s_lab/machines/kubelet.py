"""A hollow kubelet: it drives the pods of one node through their phases with the node's own rights.

Why not kwok: docs/decisions/0003-a-hollow-kubelet-in-the-lab.md.
"""

import asyncio
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from hk3s_lab.machines.pod_life import Binding, Host, PodLife
from hk3s_lab.machines.pod_status import Pod

log = structlog.get_logger()

_FIRST_POD = 2
"""The first address of a node's range is its bridge's."""


@dataclass(slots=True)
class _Slot:
    binding: Binding
    task: asyncio.Task[None]


class Kubelet:
    """All pods of one node; `run` until cancelled, which kills what runs, as a power cut does."""

    def __init__(self, host: Host, name: str, pod_cidr: str) -> None:
        self._host = host
        self._name = name
        self._addresses = pod_addresses(pod_cidr)
        self._chance = host.site.chance(name, "pods")
        self._slots: dict[str, _Slot] = {}

    async def run(self) -> None:
        """Follow the node's pods for ever."""
        params = {"fieldSelector": f"spec.nodeName={self._name}"}
        clock = self._host.site.clock
        try:
            async for kind, pod in self._host.client.follow("/api/v1/pods", params, clock):
                if kind == "DELETED":
                    await self._forget(pod["metadata"]["uid"])
                elif kind != "SYNCED":
                    self._notice(pod)
        finally:
            await asyncio.gather(*(self._forget(uid) for uid in list(self._slots)))

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods bound to the node, as last seen."""
        return tuple(slot.binding.pod for slot in self._slots.values())

    def _notice(self, pod: Pod) -> None:
        uid = pod["metadata"]["uid"]
        slot = self._slots.get(uid)
        if slot is None:
            binding = Binding(pod, asyncio.Event())
            slot = _Slot(binding, asyncio.create_task(self._live(binding)))
            self._slots[uid] = slot
        slot.binding.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            slot.binding.deleting.set()

    async def _forget(self, uid: str) -> None:
        slot = self._slots.pop(uid, None)
        if slot is not None:
            slot.task.cancel()
            # Not awaited itself: our own cancellation, when it comes now, is not to be swallowed.
            await asyncio.wait({slot.task})

    async def _live(self, binding: Binding) -> None:
        """A whole life; its failures are this pod's alone."""
        host, pod = self._host, binding.pod
        address = host.node_ip if pod["spec"].get("hostNetwork") else str(next(self._addresses))
        delay = self._chance.uniform(*host.site.options.pod_start_seconds)
        try:
            await PodLife(host, binding, address, delay).run()
        except Exception:
            log.exception("kubelet.pod_failed", pod=pod["metadata"]["name"])


def pod_addresses(pod_cidr: str) -> Iterator[ipaddress.IPv4Address]:
    """Yield a node's pod addresses, round and round."""
    network = ipaddress.IPv4Network(pod_cidr)
    while True:
        for index in range(_FIRST_POD, network.num_addresses - 1):
            yield network[index]
