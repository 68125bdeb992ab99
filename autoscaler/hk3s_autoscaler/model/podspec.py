"""A pod's `spec` in Kubernetes' JSON form, reduced to what decides where it may run.

The arithmetic is that of k8s.io/component-helpers/resource.PodRequests. A rule or a value that the
planner cannot judge is named in `PodSpec.unsupported`, so that the pod is reported, not guessed at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, cast, get_args

from hk3s_autoscaler.model import quantity
from hk3s_autoscaler.model.pod import Effect, PodSpec, Toleration
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm, Operator, Requirement

Json = Mapping[str, Any]

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, never bound
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_POD_LEVEL = ("cpu", "memory")
TolerationOperator = Literal["Exists", "Equal", "Lt", "Gt"]


class PodSpecError(ValueError):
    """The value does not have the shape of a pod's spec; the message names the field."""


def pod_spec(spec: Json) -> PodSpec:
    """Reduce a pod's `spec`, given as plain JSON values.

    Raises:
        PodSpecError: a field holds the wrong kind of value (a text where a list belongs).
    """
    problems: list[str] = []
    affinity = _mapping(spec, "affinity")
    requests = _requests(spec, problems)
    terms = _affinity_terms(_mapping(affinity, "nodeAffinity"), problems)
    tolerations = tuple(_tolerations(spec, problems))
    problems += _unjudged(spec, affinity)
    return PodSpec(
        requests=requests,
        node_selector=tuple(sorted(_texts(_mapping(spec, "nodeSelector")))),
        affinity_terms=terms,
        tolerations=tolerations,
        host_ports=tuple(sorted(set(_host_ports(spec)))),
        priority=_number(spec, "priority"),
        unsupported=tuple(problems),
    )


def _requests(spec: Json, problems: list[str]) -> Resources:
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in _objects(spec, "initContainers"):
        wanted = _amounts(_mapping(container, "resources"), problems)
        if container.get("restartPolicy") == "Always":
            sidecars = _combine(sidecars, wanted, int.__add__)
            wanted = {}
        # An init container runs beside the sidecars that were started before it.
        peak = _combine(peak, _combine(wanted, sidecars, int.__add__), max)
    running = sidecars
    for container in _objects(spec, "containers"):
        wanted = _amounts(_mapping(container, "resources"), problems)
        running = _combine(running, wanted, int.__add__)
    effective = _combine(running, peak, max)
    pod_level = _amounts(_mapping(spec, "resources"), problems)
    effective |= {name: pod_level[name] for name in _POD_LEVEL if name in pod_level}
    overhead = _amounts({"requests": _mapping(spec, "overhead")}, problems)
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
    wanted = {**_mapping(resources, "limits"), **_mapping(resources, "requests")}
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


def _affinity_terms(node_affinity: Json, problems: list[str]) -> tuple[NodeTerm, ...] | None:
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return None
    if not isinstance(required, Mapping):
        raise PodSpecError("nodeAffinity: the required rule must be an object")
    return tuple(
        NodeTerm(
            expressions=tuple(_requirements(term, "matchExpressions", problems)),
            fields=tuple(_requirements(term, "matchFields", problems)),
        )
        for term in _objects(required, "nodeSelectorTerms")
    )


def _requirements(term: Json, field: str, problems: list[str]) -> Iterator[Requirement]:
    for expression in _objects(term, field):
        operator = expression.get("operator")
        if operator not in get_args(Operator):
            problems.append(f"node affinity operator {operator}")
            continue
        yield Requirement(
            key=str(expression.get("key", "")),
            operator=cast("Operator", operator),
            values=tuple(str(value) for value in _items(expression, "values")),
        )


def _tolerations(spec: Json, problems: list[str]) -> Iterator[Toleration]:
    for item in _objects(spec, "tolerations"):
        operator = item.get("operator") or "Equal"
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


def _host_ports(spec: Json) -> Iterator[tuple[str, str, int]]:
    """Host ports as (address, protocol, port); with `hostNetwork` every port is one."""
    host_network = bool(spec.get("hostNetwork"))
    sidecars = (c for c in _objects(spec, "initContainers") if c.get("restartPolicy") == "Always")
    for container in (*_objects(spec, "containers"), *sidecars):
        for port in _objects(container, "ports"):
            number = _number(port, "hostPort")
            if not number and host_network:
                number = _number(port, "containerPort")
            if number:
                address = str(port.get("hostIP") or ANY_ADDRESS)
                yield (address, str(port.get("protocol") or "TCP"), number)


def _unjudged(spec: Json, affinity: Json) -> Iterator[str]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    for kind in ("podAffinity", "podAntiAffinity"):
        if _items(_mapping(affinity, kind), required):
            yield kind
    spreads = _objects(spec, "topologySpreadConstraints")
    if any(s.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule" for s in spreads):
        yield "topologySpreadConstraints"
    volumes = _objects(spec, "volumes")
    if any("persistentVolumeClaim" in v or "ephemeral" in v for v in volumes):
        yield "persistentVolumeClaim"
    if _items(spec, "resourceClaims"):
        yield "resourceClaims"


def _mapping(parent: Json, field: str) -> Json:
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PodSpecError(f"{field}: must be an object")
    return value


def _items(parent: Json, field: str) -> tuple[Any, ...]:
    value = parent.get(field)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise PodSpecError(f"{field}: must be a list")
    return tuple(value)


def _objects(parent: Json, field: str) -> tuple[Json, ...]:
    items = _items(parent, field)
    if not all(isinstance(item, Mapping) for item in items):
        raise PodSpecError(f"{field}: must be a list of objects")
    return items


def _number(parent: Json, field: str) -> int:
    value = parent.get(field)
    if value is None:
        return 0
    if not isinstance(value, int):
        raise PodSpecError(f"{field}: must be a number")
    return value


def _texts(values: Json) -> Iterable[tuple[str, str]]:
    return ((str(key), str(value)) for key, value in values.items())
