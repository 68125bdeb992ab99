"""Which constraints bear on a pod of a case, read off its manifests, not off how it was drawn."""

from collections.abc import Iterable, Iterator
from typing import Any

from autoscaler.differential import storage
from autoscaler.differential.case import Case

Json = dict[str, Any]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_POD_RULES = (("podAffinity", "affinity"), ("podAntiAffinity", "anti-affinity"))


def of_pod(case: Case, pod: Json) -> set[str]:
    """The names of all constraints."""
    spec = pod["spec"]
    return {
        *_of_requests(spec),
        *_of_nodes(spec),
        *_of_pods(spec),
        *_of_spreads(spec.get("topologySpreadConstraints", ())),
        *_of_volumes(case, pod),
        *_of_case(case),
    }


def _of_requests(spec: Json) -> Iterator[str]:
    for container in spec.get("initContainers", ()):
        yield "sidecar" if container.get("restartPolicy") == "Always" else "init container"
    if "overhead" in spec:
        yield "overhead"
    if "resources" in spec:
        yield "pod-level resources"
    (container,) = spec["containers"]
    if "test.dev/gpu" in container["resources"].get("limits", {}):
        yield "extended resource"
    if container.get("ports"):
        yield "host port"
    if spec["priority"]:
        yield "priority"
    if spec.get("schedulingGates"):
        yield "scheduling gate"


def _of_nodes(spec: Json) -> Iterator[str]:
    if len(spec["nodeSelector"]) > 1:
        yield "nodeSelector"
    for toleration in spec.get("tolerations", ()):
        yield f"toleration {toleration['operator']}"
        yield f"toleration of {toleration.get('effect', 'every effect')}"
    rules = spec.get("affinity", {}).get("nodeAffinity", {})
    if _PREFERRED in rules:
        yield "preferred node affinity"
    for term in rules.get(_REQUIRED, {}).get("nodeSelectorTerms", ()):
        for expression in term.get("matchExpressions", ()):
            yield f"node affinity {expression['operator']}"
        if "matchFields" in term:
            yield "node affinity matchFields"


def _of_pods(spec: Json) -> Iterator[str]:
    for field, name in _POD_RULES:
        rules = spec.get("affinity", {}).get(field, {})
        for term in rules.get(_REQUIRED, ()):
            yield f"pod {name}"
            for part in ("namespaces", "namespaceSelector", "matchLabelKeys", "mismatchLabelKeys"):
                if part in term:
                    yield f"pod {name} {part}"
        if _PREFERRED in rules:
            yield f"preferred pod {name}"


def _of_spreads(spreads: Iterable[Json]) -> Iterator[str]:
    for spread in spreads:
        yield f"spread {spread['whenUnsatisfiable']}"
        for part in ("minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy", "matchLabelKeys"):
            if part in spread:
                yield f"spread {part}"
        if spread["maxSkew"] > 1:
            yield "spread maxSkew > 1"


def _of_volumes(case: Case, pod: Json) -> Iterator[str]:
    namespace = pod["metadata"]["namespace"]
    claims = {(c["metadata"]["namespace"], c["metadata"]["name"]): c for c in case.claims}
    volumes = {v["metadata"]["name"]: v for v in case.volumes}
    used = pod["spec"].get("volumes", ())
    if len(used) > 5:
        yield "volume limit"
    for volume in used:
        if "ephemeral" in volume:
            yield "ephemeral volume"
            continue
        name = volume["persistentVolumeClaim"]["claimName"]
        claim = claims.get((namespace, name))
        if claim is None:
            yield "claim that is not there"
            continue
        spec = claim["spec"]
        if "ReadWriteOncePod" in spec["accessModes"]:
            yield "ReadWriteOncePod"
        if _users(case, namespace, name) > 1:
            yield "claim of several pods"
        held = volumes.get(spec.get("volumeName", ""))
        if held is not None:
            zoned = storage.ZONE in held["metadata"]["labels"]
            yield "bound volume with zone labels" if zoned else "bound volume with a location"
        elif "volumeName" in spec:
            yield "claim that lost its volume"
        else:
            yield f"unbound claim, class {spec['storageClassName'].split('-', 1)[1]}"


def _users(case: Case, namespace: str, claim: str) -> int:
    return sum(
        volume.get("persistentVolumeClaim", {}).get("claimName") == claim
        for pod in (*case.running, *case.pending)
        if pod["metadata"]["namespace"] == namespace
        for volume in pod["spec"].get("volumes", ())
    )


def _of_case(case: Case) -> Iterator[str]:
    if case.daemonsets:
        yield "DaemonSet"
    if case.nominated:
        yield "nominated pod"
    if case.expendable:
        yield "expendable pods"
    if any(_REQUIRED in _anti(pod) for pod in case.running):
        yield "anti-affinity of running pods"
    for node in case.nodes:
        for taint in node["spec"]["taints"]:
            yield f"taint {taint['effect']}"


def _anti(pod: Json) -> Json:
    found: Json = pod["spec"].get("affinity", {}).get("podAntiAffinity", {})
    return found
