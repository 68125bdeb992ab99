"""Planners that overlook one rule each: what they plan, kube-scheduler must object to."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from autoscaler.differential.case import Case

Json = dict[str, Any]
Blindness = Callable[[Case], None]
"""Takes out of a case what is overlooked; changes the case in place."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def blinded(case: Case, how: Blindness) -> Case:
    """A case as a planner sees it that overlooks something."""
    seen = copy.deepcopy(case)
    how(seen)
    return seen


def _all_pods(case: Case) -> Iterator[Json]:
    yield from case.running
    yield from case.pending
    yield from (pod for pod, _ in case.nominated)


def _without(*path: str) -> Blindness:
    """Overlook a field of pods."""

    def forget(case: Case) -> None:
        for pod in _all_pods(case):
            place = pod["spec"]
            for part in path[:-1]:
                place = place.get(part, {})
            place.pop(path[-1], None)

    return forget


def _without_in_terms(kind: str, *fields: str) -> Blindness:
    """Overlook fields of required pod (anti-)affinity terms."""

    def forget(case: Case) -> None:
        for pod in _all_pods(case):
            for term in pod["spec"].get("affinity", {}).get(kind, {}).get(_REQUIRED, ()):
                for field in fields:
                    term.pop(field, None)

    return forget


def _without_in_spreads(*fields: str) -> Blindness:
    def forget(case: Case) -> None:
        for pod in _all_pods(case):
            for spread in pod["spec"].get("topologySpreadConstraints", ()):
                for field in fields:
                    spread.pop(field, None)

    return forget


def _allow_any_skew(case: Case) -> None:
    for pod in case.pending:
        for spread in pod["spec"].get("topologySpreadConstraints", ()):
            spread["maxSkew"] = 9


def _in_containers(part: str, field: str) -> Blindness:
    def forget(case: Case) -> None:
        for pod in _all_pods(case):
            for container in pod["spec"].get(part, ()):
                container.pop(field, None)

    return forget


def _forget_devices(case: Case) -> None:
    for pod in case.pending:
        (container,) = pod["spec"]["containers"]
        container["resources"].get("limits", {}).pop("test.dev/gpu", None)


def _tolerate_everything(case: Case) -> None:
    for pod in case.pending:
        pod["spec"]["tolerations"] = [{"operator": "Exists"}]


def _compare_wrongly(case: Case) -> None:
    swapped = {"Lt": "Gt", "Gt": "Lt"}
    for pod in case.pending:
        for toleration in pod["spec"].get("tolerations", ()):
            toleration["operator"] = swapped.get(toleration["operator"], toleration["operator"])


def _forget_running_anti_affinity(case: Case) -> None:
    for pod in case.running:
        pod["spec"].pop("affinity", None)


def _forget_node_volumes(case: Case) -> None:
    case.csi_nodes.clear()


def _forget_locations(case: Case) -> None:
    for volume in case.volumes:
        if "claimRef" in volume["spec"]:
            volume["spec"].pop("nodeAffinity", None)


def _forget_zones(case: Case) -> None:
    for volume in case.volumes:
        volume["metadata"]["labels"] = {}


def _forget_disks(case: Case) -> None:
    for volume in case.volumes:
        if "claimRef" not in volume["spec"]:
            volume["spec"].pop("nodeAffinity", None)


def _forget_topologies(case: Case) -> None:
    for kind in case.classes:
        kind.pop("allowedTopologies", None)


def _share_everything(case: Case) -> None:
    for claim in case.claims:
        claim["spec"]["accessModes"] = ["ReadWriteOnce"]


def _forget_daemonsets(case: Case) -> None:
    case.daemonsets.clear()


def _forget_nominated(case: Case) -> None:
    case.nominated.clear()


def _open_gates(case: Case) -> None:
    _without("schedulingGates")(case)


def _keep_expendable(case: Case) -> None:
    for pod in case.running:
        if pod["spec"]["priority"] < -10:
            pod["spec"]["priority"] = 0


MUTATIONS: dict[str, Blindness] = {
    "init containers": _without("initContainers"),
    "overhead": _without("overhead"),
    "pod-level resources": _without("resources"),
    "requests of containers": _in_containers("containers", "resources"),
    "extended resources": _forget_devices,
    "host ports": _in_containers("containers", "ports"),
    "taints": _tolerate_everything,
    "comparisons of tolerations": _compare_wrongly,
    "nodeSelector": _without("nodeSelector"),
    "node affinity": _without("affinity", "nodeAffinity"),
    "pod affinity": _without("affinity", "podAffinity"),
    "pod anti-affinity": _without("affinity", "podAntiAffinity"),
    "anti-affinity of running pods": _forget_running_anti_affinity,
    "namespaces of affinity": _without_in_terms("podAffinity", "namespaces", "namespaceSelector"),
    "namespaces of anti-affinity": _without_in_terms(
        "podAntiAffinity", "namespaces", "namespaceSelector"
    ),
    "label keys of affinity": _without_in_terms(
        "podAffinity", "matchLabelKeys", "mismatchLabelKeys"
    ),
    "label keys of anti-affinity": _without_in_terms(
        "podAntiAffinity", "matchLabelKeys", "mismatchLabelKeys"
    ),
    "topology spread": _without("topologySpreadConstraints"),
    "maxSkew": _allow_any_skew,
    "minDomains": _without_in_spreads("minDomains"),
    "nodeAffinityPolicy": _without_in_spreads("nodeAffinityPolicy"),
    "nodeTaintsPolicy": _without_in_spreads("nodeTaintsPolicy"),
    "label keys of spread": _without_in_spreads("matchLabelKeys"),
    "volumes": _without("volumes"),
    "volumes a node takes": _forget_node_volumes,
    "locations of volumes": _forget_locations,
    "zones of volumes": _forget_zones,
    "disks of nodes": _forget_disks,
    "allowedTopologies": _forget_topologies,
    "ReadWriteOncePod": _share_everything,
    "DaemonSets": _forget_daemonsets,
    "nominated pods": _forget_nominated,
    "scheduling gates": _open_gates,
    "expendable pods": _keep_expendable,
}
"""What may be overlooked."""
