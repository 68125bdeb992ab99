"""The Node object of a machine, as its kubelet would register it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.machines import quantities
from hk3s_lab.machines.k3s_config import AgentConfig, forbidden_labels
from hk3s_lab.machines.progress import StepError

ARCHITECTURES: Mapping[str, str] = {"x86": "amd64", "arm": "arm64"}
"""Hetzner's word -> Kubernetes's."""

_MIB = 1 << 20
_KERNEL_SHIFT, _KERNEL_BYTES = 6, 64 * _MIB
_DEFAULT_EVICTION = "imagefs.available<5%,nodefs.available<5%"
"""k3s's own default: it has no memory threshold."""
_MAX_PODS = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """CPU in thousandths of a core, the rest in bytes."""

    cpu_milli: int
    memory: int
    disk: int
    pods: int

    def resources(self) -> dict[str, str]:
        """Return them as a Node's capacity or allocatable."""
        return {
            "cpu": f"{self.cpu_milli}m" if self.cpu_milli % 1000 else str(self.cpu_milli // 1000),
            "memory": f"{self.memory // 1024}Ki",
            "ephemeral-storage": f"{self.disk // 1024}Ki",
            "pods": str(self.pods),
            "hugepages-1Gi": "0",
            "hugepages-2Mi": "0",
        }


def capacity(facts: MachineFacts, kubelet: Mapping[str, str]) -> Sizes:
    """Return what the kubelet sees: memory is MemTotal, less than what was sold.

    A kernel keeps a 64th for its page structures and some for itself.
    """
    return Sizes(
        cpu_milli=facts.cores * 1000,
        memory=facts.memory_bytes - (facts.memory_bytes >> _KERNEL_SHIFT) - _KERNEL_BYTES,
        disk=facts.disk_bytes,
        pods=int(kubelet.get("max-pods", _MAX_PODS)),
    )


def allocatable(whole: Sizes, kubelet: Mapping[str, str]) -> Sizes:
    """Return capacity minus kube-reserved, system-reserved and the hard eviction thresholds.

    Raises:
        StepError: `bad-config`: an argument is not readable.
    """
    cpu, memory, disk = whole.cpu_milli, whole.memory, whole.disk
    try:
        for name in ("kube-reserved", "system-reserved"):
            kept = quantities.pairs(kubelet.get(name, ""), "=")
            cpu -= int(quantities.parse(kept.get("cpu", "0")) * 1000)
            memory -= int(quantities.parse(kept.get("memory", "0")))
            disk -= int(quantities.parse(kept.get("ephemeral-storage", "0")))
        hard = quantities.pairs(kubelet.get("eviction-hard", _DEFAULT_EVICTION), "<")
        memory -= quantities.share(hard.get("memory.available", "0"), whole.memory)
        disk -= quantities.share(hard.get("nodefs.available", "0"), whole.disk)
    except ValueError as error:
        raise StepError("bad-config", f"kubelet-arg: {error}") from error
    if cpu <= 0 or memory <= 0:
        raise StepError("bad-config", "kubelet-arg: more is reserved than the machine has")
    return Sizes(cpu_milli=cpu, memory=memory, disk=disk, pods=whole.pods)


def node(facts: MachineFacts, config: AgentConfig) -> dict[str, Any]:
    """Return the Node to register.

    Raises:
        StepError: `label-forbidden` or `bad-config`.
    """
    if forbidden := forbidden_labels(config.labels):
        raise StepError(
            "label-forbidden", f"a kubelet must not set its own {', '.join(sorted(forbidden))}"
        )
    architecture = ARCHITECTURES[facts.architecture]
    labels = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": config.name,
        **config.labels,
    }
    taints: list[dict[str, str]] = [dict(taint) for taint in config.taints]
    metadata: dict[str, Any] = {"name": config.name, "labels": labels}
    if config.kubelet.get("cloud-provider") == "external":
        # A cloud controller is expected to look at the node before any pod runs on it.
        metadata["annotations"] = {"alpha.kubernetes.io/provided-node-ip": config.node_ip}
        taints.append(
            {
                "key": "node.cloudprovider.kubernetes.io/uninitialized",
                "value": "true",
                "effect": "NoSchedule",
            }
        )
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    if provider := config.kubelet.get("provider-id"):
        spec["providerID"] = provider
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def status(
    facts: MachineFacts, config: AgentConfig, version: str, *, ready: bool, now: datetime
) -> dict[str, Any]:
    """Return the Node's status but its addresses; not ready means that the CNI has no pod range."""
    whole = capacity(facts, config.kubelet)
    architecture = ARCHITECTURES[facts.architecture]
    return {
        "capacity": whole.resources(),
        "allocatable": allocatable(whole, config.kubelet).resources(),
        "conditions": conditions(ready=ready, now=now),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "architecture": architecture,
            "operatingSystem": "linux",
            "osImage": facts.image,
            "kernelVersion": "lab",
            "kubeletVersion": version,
            "kubeProxyVersion": version,
            "containerRuntimeVersion": "hk3s-lab://1",
            "machineID": str(facts.server_id),
            "systemUUID": str(facts.server_id),
            "bootID": f"{facts.server_id}-{now:%Y%m%d%H%M%S}",
        },
    }


def addresses(config: AgentConfig) -> list[dict[str, str]]:
    """Return the addresses that a kubelet with `node-ip` sets before any cloud controller did."""
    return [
        {"type": "InternalIP", "address": config.node_ip},
        {"type": "Hostname", "address": config.name},
    ]


def conditions(*, ready: bool, now: datetime) -> list[dict[str, str]]:
    """Return the kubelet's conditions, all of them as heard now."""
    stamp = timestamp(now)
    pressures = (
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    )
    reason, message = (
        ("KubeletReady", "kubelet is posting ready status")
        if ready
        else ("KubeletNotReady", "cni plugin not initialized: no pod range yet")
    )
    rows = [(kind, "False", why, text) for kind, why, text in pressures]
    rows.append(("Ready", "True" if ready else "False", reason, message))
    return [
        {
            "type": kind,
            "status": state,
            "reason": why,
            "message": text,
            "lastHeartbeatTime": stamp,
            "lastTransitionTime": stamp,
        }
        for kind, state, why, text in rows
    ]


def timestamp(moment: datetime) -> str:
    """Return a moment as Kubernetes writes it, in whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
