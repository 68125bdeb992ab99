"""What a kubelet reports about a pod at each of its turns. Pure: pods in, status patches out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hk3s_lab.machines.node_object import timestamp

Pod = Mapping[str, Any]
Status = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A container that does not run, and why."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A container that runs since `since`."""

    since: datetime
    ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A container that ended between two moments."""

    exit_code: int
    since: datetime
    until: datetime
    message: str = ""


ContainerState = Waiting | Running | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container's present and past; `last` is how it ended before."""

    state: ContainerState
    restarts: int = 0
    last: Ended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A whole pod as its kubelet sees it; containers by name."""

    containers: Mapping[str, Container]
    phase: Literal["Pending", "Running", "Succeeded", "Failed"]
    host_ip: str
    pod_ip: str
    started: datetime
    init: Mapping[str, Container] = field(default_factory=dict)


def describe(pod: Pod, view: View, now: datetime) -> Status:
    """Return the `status` to merge into a pod; conditions of others are kept as they are."""
    initialized = view.phase != "Pending" or not pod["spec"].get("initContainers")
    ready = view.phase == "Running" and all(_is_ready(one) for one in view.containers.values())
    complete = view.phase == "Succeeded"
    why = {"reason": "PodCompleted"} if complete else {}
    unready = why or {"reason": "ContainersNotReady"}
    conditions = {
        "PodReadyToStartContainers": (view.phase in {"Pending", "Running"}, {}),
        "Initialized": (initialized, why),
        "ContainersReady": (ready, {} if ready else unready),
        "Ready": (ready, {} if ready else unready),
    }
    return {
        "phase": view.phase,
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "podIP": view.pod_ip,
        "podIPs": [{"ip": view.pod_ip}],
        "startTime": timestamp(view.started),
        "conditions": _merge(pod.get("status", {}).get("conditions") or (), conditions, now),
        "containerStatuses": _containers(pod["spec"]["containers"], view.containers, pod),
        "initContainerStatuses": _containers(
            pod["spec"].get("initContainers") or (), view.init, pod
        ),
    }


def rejected(reason: str, message: str) -> Status:
    """Return the status of a pod that the kubelet does not take in."""
    return {"phase": "Failed", "reason": reason, "message": message}


def _is_ready(container: Container) -> bool:
    return isinstance(container.state, Running) and container.state.ready


def _merge(
    present: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, tuple[bool, Mapping[str, str]]],
    now: datetime,
) -> list[dict[str, Any]]:
    old = {condition["type"]: condition for condition in present}
    result = [dict(condition) for name, condition in old.items() if name not in wanted]
    for name, (state, why) in wanted.items():
        status = "True" if state else "False"
        before = old.get(name)
        since = (
            before["lastTransitionTime"]
            if before and before["status"] == status and before.get("lastTransitionTime")
            else timestamp(now)
        )
        result.append({"type": name, "status": status, "lastTransitionTime": since, **why})
    return result


def _containers(
    specs: Iterable[Mapping[str, Any]], known: Mapping[str, Container], pod: Pod
) -> list[dict[str, Any]]:
    return [
        _container(spec, known[spec["name"]], pod["metadata"]["uid"])
        for spec in specs
        if spec["name"] in known
    ]


def _container(spec: Mapping[str, Any], container: Container, uid: str) -> dict[str, Any]:
    identifier = f"hk3s-lab://{uid}/{spec['name']}/{container.restarts}"
    running = isinstance(container.state, Running)
    status: dict[str, Any] = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": spec["image"],
        "restartCount": container.restarts,
        "ready": _is_ready(container) or _is_done(container),
        "started": running,
        "state": _state(container.state, identifier),
        "lastState": _state(container.last, identifier) if container.last else {},
    }
    if not isinstance(container.state, Waiting):
        status["containerID"] = identifier
    return status


def _is_done(container: Container) -> bool:
    """A container that ended well: ready, as finished init containers are."""
    return isinstance(container.state, Ended) and container.state.exit_code == 0


def _state(state: ContainerState, identifier: str) -> dict[str, Any]:
    match state:
        case Waiting():
            return {"waiting": {"reason": state.reason, "message": state.message}}
        case Running():
            return {"running": {"startedAt": timestamp(state.since)}}
        case Ended():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": "Completed" if state.exit_code == 0 else "Error",
                    "message": state.message,
                    "startedAt": timestamp(state.since),
                    "finishedAt": timestamp(state.until),
                    "containerID": identifier,
                }
            }
