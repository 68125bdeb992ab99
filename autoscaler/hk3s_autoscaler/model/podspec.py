"""A pod's `spec` in Kubernetes' JSON form, reduced to what decides where it may run.

The arithmetic is that of k8s.io/component-helpers/resource.PodRequests. A rule or a value that the
planner cannot judge is named in `PodSpec.unsupported`, so that the pod is reported, not guessed at.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, cast, get_args

from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.node import STARTING_TAINT
from hk3s_autoscaler.model.pod import Effect, PodSpec, Toleration
from hk3s_autoscaler.model.podrules import RuleReader
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.shapes import Json, items, mapping, number, objects, texts

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, never bound
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_POD_LEVEL = ("cpu", "memory")
TolerationOperator = Literal["Exists", "Equal", "Lt", "Gt"]


def pod_spec(
    spec: Json, *, namespace: str = "default", labels: Mapping[str, str] | None = None
) -> PodSpec:
    """Reduce a pod's `spec`, given as plain JSON values; its rules may mean its own labels.

    Raises:
        PodSpecError: a field holds the wrong kind of value (a text where a list belongs).
    """
    problems: list[str] = []
    rules = RuleReader(spec, namespace, labels or {}, problems)
    requests = _requests(spec, problems)
    tolerations = tuple(_tolerations(spec, problems))
    terms, relations = rules.node_terms(), rules.relations()
    if items(spec, "resourceClaims"):
        problems.append("resourceClaims")
    return PodSpec(
        requests=requests,
        node_selector=tuple(sorted(texts(mapping(spec, "nodeSelector")))),
        affinity_terms=terms,
        tolerations=tolerations,
        host_ports=tuple(sorted(set(_host_ports(spec)))),
        priority=number(spec, "priority"),
        relations=relations,
        preferences=rules.preferences(),
        claims=tuple(_claims(spec)),
        unsupported=tuple(problems),
    )


def _requests(spec: Json, problems: list[str]) -> Resources:
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in objects(spec, "initContainers"):
        wanted = _amounts(mapping(container, "resources"), problems)
        if container.get("restartPolicy") == "Always":
            sidecars = _combine(sidecars, wanted, int.__add__)
            wanted = {}
        # An init container runs beside the sidecars that were started before it.
        peak = _combine(peak, _combine(wanted, sidecars, int.__add__), max)
    running = sidecars
    for container in objects(spec, "containers"):
        wanted = _amounts(mapping(container, "resources"), problems)
        running = _combine(running, wanted, int.__add__)
    effective = _combine(running, peak, max)
    pod_level = _amounts(mapping(spec, "resources"), problems)
    effective |= {name: pod_level[name] for name in _POD_LEVEL if name in pod_level}
    overhead = _amounts({"requests": mapping(spec, "overhead")}, problems)
    effective = _combine(effective, overhead, int.__add__)
    return Resources(
        cpu_milli=effective.get("cpu", 0),
        memory_bytes=effective.get("memory", 0),
        ephemeral_bytes=effective.get("ephemeral-storage", 0),
        pods=1,
        extended=tuple(
            sorted((name, n) for name, n in effective.items() if name not in _COMPUTE and n > 0)
        ),
    )


def _amounts(resources: Json, problems: list[str]) -> dict[str, int]:
    """Requests, each defaulting to its limit as the apiserver has it."""
    wanted = {**mapping(resources, "limits"), **mapping(resources, "requests")}
    amounts = {}
    for name, text in wanted.items():
        unit = quantity.milli if name == "cpu" else quantity.whole
        try:
            amounts[name] = unit(str(text))
        except quantity.QuantityError as error:
            problems.append(f"{name}: {error}")
    return amounts


def _combine(
    left: dict[str, int], right: dict[str, int], how: Callable[[int, int], int]
) -> dict[str, int]:
    return {name: how(left.get(name, 0), right.get(name, 0)) for name in left | right}


def _tolerations(spec: Json, problems: list[str]) -> Iterator[Toleration]:
    for item in objects(spec, "tolerations"):
        operator = item.get("operator") or "Equal"
        if is_invitation(str(item.get("key") or ""), operator):
            continue  # ours, and of one pod: its equals are still equal to the planner
        effect = item.get("effect") or ""
        if operator not in get_args(TolerationOperator) or effect not in ("", *get_args(Effect)):
            problems.append(f"toleration {operator} {effect}".rstrip())
            continue
        yield Toleration(
            key=str(item.get("key") or ""),
            operator=cast("TolerationOperator", operator),
            value=str(item.get("value") or ""),
            effect=cast("Effect", effect),
        )


def is_invitation(key: str, operator: str) -> bool:
    """Whether a toleration lets a pod onto one new node before that is open."""
    return key == STARTING_TAINT and operator == "Equal"


def _host_ports(spec: Json) -> Iterator[tuple[str, str, int]]:
    """Host ports as (address, protocol, port); with `hostNetwork` every port is one."""
    host_network = bool(spec.get("hostNetwork"))
    sidecars = (c for c in objects(spec, "initContainers") if c.get("restartPolicy") == "Always")
    for container in (*objects(spec, "containers"), *sidecars):
        for port in objects(container, "ports"):
            taken = number(port, "hostPort")
            if not taken and host_network:
                taken = number(port, "containerPort")
            if taken:
                address = str(port.get("hostIP") or ANY_ADDRESS)
                yield (address, str(port.get("protocol") or "TCP"), taken)


def _claims(spec: Json) -> Iterator[tuple[str, str]]:
    """Volumes that are claimed: the volume's name, and the claim's or none for an ephemeral one."""
    for volume in objects(spec, "volumes"):
        if volume.get("persistentVolumeClaim"):
            claim = mapping(volume, "persistentVolumeClaim").get("claimName")
            yield str(volume.get("name", "")), str(claim or "")
        elif volume.get("ephemeral"):
            yield str(volume.get("name", "")), ""
