"""Random clusters as Kubernetes has them: nodes, pods that run, pods that wait, and what is sold.

Everything of a case carries its number: labels, namespaces and node names of different cases never
meet, so that many can live on one control plane.
"""

import copy
import random
from dataclasses import dataclass, field
from typing import Any

from autoscaler import builders
from autoscaler.differential import storage
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.offering import Offering
from hk3s_autoscaler.model.pod import Taint

Json = dict[str, Any]

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
LOCATIONS = ("fsn1", "nbg1", "hel1")
SLA = "5"
PRIORITIES = {
    "p-10": (-10, "Never"),
    "p-0": (0, "Never"),
    "p-100": (100, "Never"),
    "normal": (0, "PreemptLowerPriority"),
    "urgent": (100, "PreemptLowerPriority"),
    "expendable": (-20, "Never"),
}
"""Name, value and preemption policy of the priority classes."""


@dataclass(kw_only=True)
class Case:
    """One cluster. `alone`: it must not share the control plane with another case.

    `made_claims` are those that a controller makes for ephemeral volumes. `nominated` are pods with
    the node that they wait for, on which a victim of theirs (`victims`) takes long to end.
    `expendable`: some pods may be preempted by any other, so pods are allowed to.
    """

    name: str
    alone: bool = False
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    nodes: list[Json] = field(default_factory=list)
    running: list[Json] = field(default_factory=list)
    pending: list[Json] = field(default_factory=list)
    nominated: list[tuple[Json, str]] = field(default_factory=list)
    victims: list[str] = field(default_factory=list)
    expendable: bool = False
    daemonsets: list[Json] = field(default_factory=list)
    pools: list[NodePool] = field(default_factory=list)
    offerings: list[Offering] = field(default_factory=list)
    claims: list[Json] = field(default_factory=list)
    made_claims: list[Json] = field(default_factory=list)
    volumes: list[Json] = field(default_factory=list)
    classes: list[Json] = field(default_factory=list)
    csi_nodes: list[Json] = field(default_factory=list)


class Generator:
    """Draws one case from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - cases are to be repeatable
        self._case = Case(name=f"c{seed}")
        self._seed = seed

    def case(self) -> Case:
        case, rng = self._case, self._random
        case.namespaces = {f"{case.name}-a": {self._key("team"): "a"}, f"{case.name}-b": {}}
        self._locations = rng.sample(LOCATIONS, rng.choice((1, 2, 2, 3, 3)))
        case.expendable = self._chance(0.1)
        self._sell()
        self._drawer = storage.Drawer(rng, case) if self._chance(0.45) else None
        for number in range(rng.choice((0, 0, 1, 2, 3, 4))):
            self._add_node(number)
        serial = 0
        for number in range(rng.choice((1, 2, 2, 3, 3, 4, 5))):
            workload = self._workload(number)
            wishes = self._drawer.wishes() if self._drawer and self._chance(0.6) else []
            for _ in range(rng.choice((1, 2, 3, 4, 5))):
                serial += 1
                self._add_pod(workload, serial, wishes)
        if self._chance(0.25):
            self._add_daemonset()
        return case

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _key(self, word: str) -> str:
        return f"{self._case.name}.test/{word}"

    def _sell(self) -> None:
        rng, case = self._random, self._case
        own = (("hk3s.test/case", case.name),)
        racks = self._chance(0.3)
        labels = (*own, (self._key("rack"), "r1")) if racks else own
        case.pools.append(builders.pool("workers", labels=labels, max_nodes=50))
        if self._chance(0.4):
            effect = rng.choice(("NoSchedule", "NoSchedule", "NoExecute"))
            taint = Taint(key=self._key("dedicated"), value="batch", effect=effect)
            if self._chance(0.3):
                taint = Taint(key=self._key("sla"), value=SLA, effect="NoSchedule")
            case.pools.append(
                builders.pool(
                    "batch",
                    labels=(*own, (self._key("tier"), "batch"), (self._key("rack"), "r2")),
                    taints=(taint,),
                    max_nodes=50,
                )
            )
        sizes = rng.sample(builders.CX[:3], rng.choice((1, 2, 2)))
        case.offerings = [
            builders.elsewhere(size, location) for size in sizes for location in self._locations
        ]

    def _add_node(self, number: int) -> None:
        rng, case = self._random, self._case
        name = f"{case.name}-n{number}"
        labels = {
            HOST: name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "hk3s.test/case": case.name,
            "topology.kubernetes.io/region": "eu",
        }
        if self._chance(0.9):
            labels[ZONE] = labels[storage.LOCATION] = rng.choice(LOCATIONS)
        if self._chance(0.5):
            labels[self._key("rack")] = rng.choice(("r1", "r2"))
        if self._chance(0.4):
            labels[self._key("size")] = rng.choice(("3", "7"))
        taints = []
        if self._chance(0.25):
            taints.append(
                {
                    "key": self._key("dedicated"),
                    "value": "batch",
                    "effect": rng.choice(("NoSchedule", "PreferNoSchedule", "NoExecute")),
                }
            )
        if self._chance(0.15):
            sla = {"key": self._key("sla"), "value": SLA, "effect": "NoSchedule"}
            taints.append(sla)
        cordoned = self._chance(0.1)
        if cordoned:
            # The node lifecycle controller adds it; the lab runs without that one.
            cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
            taints.append(cordon)
        room = {"cpu": rng.choice(("2", "4")), "memory": "4Gi", "pods": "20"}
        room["ephemeral-storage"] = "40Gi"
        if self._chance(0.2):
            room["test.dev/gpu"] = "1"
        case.nodes.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "spec": {"taints": taints, "unschedulable": cordoned},
                "status": {"capacity": room, "allocatable": room},
            }
        )
        if self._drawer is not None:
            self._drawer.add_node(name)
        if self._chance(0.12) and not cordoned and not case.expendable:
            self._add_nominated(name, number)
        if case.expendable:
            self._add_expendable(name, number)
        for running in range(rng.choice((0, 1, 2))):
            pod = self._pod(f"r{number}-{running}", rng.choice(("x", "y", "z")))
            pod["spec"]["nodeName"] = name
            pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "200m"}}
            pod["spec"].pop("nodeSelector")
            if self._chance(0.3):
                term = self._pod_term()
                pod["spec"]["affinity"] = {"podAntiAffinity": _required(term)}
            if self._drawer is not None and self._chance(0.4):
                self._drawer.use(pod)
            case.running.append(pod)

    def _add_nominated(self, node: str, number: int) -> None:
        """A pod that has preempted another one, which takes its time to end."""
        port = {"containerPort": 90, "hostPort": 9090}
        victim = self._pod(f"v{number}", self._random.choice(("x", "y", "z")))
        self._prioritize(victim["spec"], "p-10")
        victim["spec"] |= {"nodeName": node, "terminationGracePeriodSeconds": 3600}
        waiting = self._pod(f"u{number}", "none")
        waiting["metadata"]["labels"] = {}
        self._prioritize(waiting["spec"], "urgent")
        waiting["spec"]["tolerations"] = [{"operator": "Exists"}]
        for pod, cpu in ((victim, "300m"), (waiting, "700m")):
            resources = {"requests": {"cpu": cpu}}
            pod["spec"]["containers"][0] |= {"resources": resources, "ports": [port]}
        named = {"key": "metadata.name", "operator": "In", "values": [node]}
        terms = {"nodeSelectorTerms": [{"matchFields": [named]}]}
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
        waiting["spec"]["affinity"] = {"nodeAffinity": rule}
        self._case.running.append(victim)
        self._case.victims.append(victim["metadata"]["name"])
        self._case.nominated.append((waiting, node))

    def _add_expendable(self, node: str, number: int) -> None:
        """A pod that makes way for any other."""
        pod = self._pod(f"e{number}", "none")
        pod["metadata"]["labels"] = {}
        self._prioritize(pod["spec"], "expendable")
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "900m"}}
        if self._chance(0.7):
            pod["spec"]["nodeName"] = node
            self._case.running.append(pod)
        else:
            self._case.pending.append(pod)

    def _add_daemonset(self) -> None:
        """A pod on each node, or on those of a kind."""
        rng, case = self._random, self._case
        labels = {self._key("daemon"): "agent"}
        selector = {"hk3s.test/case": case.name}
        if self._chance(0.3):
            selector[self._key("tier")] = "batch"
        if self._chance(0.2):
            selector["node.kubernetes.io/instance-type"] = "cx33"
        requests = {"cpu": rng.choice(("100m", "150m", "500m")), "memory": "128Mi"}
        container: Json = {"name": "c", "image": "x", "resources": {"requests": requests}}
        if self._chance(0.3):
            container["ports"] = [{"containerPort": 80, "hostPort": 8080}]
        tolerated = {"tolerations": [{"operator": "Exists"}]} if self._chance(0.4) else {}
        case.daemonsets.append(
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": "agent", "namespace": f"{case.name}-a"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "terminationGracePeriodSeconds": 0,
                            "priorityClassName": "p-0",
                            "nodeSelector": selector,
                            "containers": [container],
                            **tolerated,
                        },
                    },
                },
            }
        )

    def _prioritize(self, spec: Json, name: str) -> None:
        value, policy = PRIORITIES[name]
        spec |= {"priorityClassName": name, "priority": value, "preemptionPolicy": policy}

    def _pod(self, name: str, app: str) -> Json:
        labels = {self._key("app"): app, self._key("ver"): self._random.choice(("1", "2"))}
        made = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self._random.choice(tuple(self._case.namespaces)),
                "labels": labels,
            },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "nodeSelector": {"hk3s.test/case": self._case.name},
                "containers": [{"name": "c", "image": "x", "resources": {"requests": {}}}],
            },
        }
        self._prioritize(made["spec"], "normal" if self._case.expendable else "p-0")
        return made

    def _workload(self, number: int) -> Json:
        rng = self._random
        pod = self._pod(f"w{number}", rng.choice(("x", "y", "z")))
        spec = pod["spec"]
        requests = {
            "cpu": rng.choice(("100m", "300m", "500m", "500m", "900m", "1500m", "1900m")),
            "memory": rng.choice(("64Mi", "256Mi", "1Gi", "2Gi")),
        }
        if self._chance(0.03):
            requests["cpu"] = "9"
        spec["containers"][0]["resources"]["requests"] = requests
        if self._chance(0.15):
            spec["containers"][0]["resources"]["limits"] = {"ephemeral-storage": "1Gi"}
        self._add_containers(spec)
        self._add_node_rules(spec)
        if self._chance(0.2) and not self._case.expendable:
            self._prioritize(spec, rng.choice(("p-10", "p-0", "p-100")))
        if self._chance(0.05):
            spec["schedulingGates"] = [{"name": "hk3s.test/gate"}]
        affinity = self._affinity()
        if affinity:
            spec["affinity"] = affinity
        if self._chance(0.4):
            spec["topologySpreadConstraints"] = self._spreads()
        return pod

    def _add_node_rules(self, spec: Json) -> None:
        rng = self._random
        if self._chance(0.25):
            toleration = {"key": self._key("dedicated"), "operator": "Exists"}
            if self._chance(0.5):
                values = ("batch", "batch", "other")
                toleration |= {"operator": "Equal", "value": rng.choice(values)}
            if self._chance(0.5):
                toleration["effect"] = "NoSchedule"
            spec["tolerations"] = [toleration]
        if self._chance(0.25):
            compared: Json = {"key": self._key("sla"), "effect": "NoSchedule"}
            operator = rng.choice(("Lt", "Gt", "Lt", "Gt", "Exists"))
            bound = {} if operator == "Exists" else {"value": rng.choice(("3", "7"))}
            compared |= {"operator": operator, **bound}
            spec.setdefault("tolerations", []).append(compared)
        elif self._chance(0.05):
            spec["tolerations"] = [{"operator": "Exists"}]
        if self._chance(0.08):
            resources = spec["containers"][0]["resources"]
            resources.setdefault("limits", {})["test.dev/gpu"] = "1"
        if self._chance(0.06):
            spec["nodeSelector"][self._key("tier")] = "batch"

    def _affinity(self) -> Json:
        rng = self._random
        affinity: Json = {}
        if self._chance(0.2):
            affinity["nodeAffinity"] = self._node_affinity()
        if self._chance(0.25):
            terms = [self._pod_term() for _ in range(rng.choice((1, 1, 1, 2)))]
            affinity["podAffinity"] = _required(*terms)
        if self._chance(0.35):
            terms = [self._pod_term() for _ in range(rng.choice((1, 1, 2)))]
            affinity["podAntiAffinity"] = _required(*terms)
        if self._chance(0.3):
            wish = {"weight": 10, "podAffinityTerm": self._pod_term()}
            kind = affinity.setdefault(rng.choice(("podAffinity", "podAntiAffinity")), {})
            kind["preferredDuringSchedulingIgnoredDuringExecution"] = [wish]
        return affinity

    def _add_containers(self, spec: Json) -> None:
        rng = self._random
        if self._chance(0.15):
            spec["initContainers"] = [
                {
                    "name": "i",
                    "image": "x",
                    "resources": {"requests": {"cpu": rng.choice(("100m", "1800m"))}},
                    **({"restartPolicy": "Always"} if self._chance(0.5) else {}),
                }
            ]
        if self._chance(0.1):
            small = {"requests": {"cpu": "300m", "memory": "256Mi"}}
            spec["containers"][0]["resources"] |= small
            spec["resources"] = {"requests": {"cpu": rng.choice(("2300m", "3500m"))}}
        if self._chance(0.1):
            spec["overhead"] = {"cpu": "250m", "memory": "120Mi"}
        if self._chance(0.12):
            port: Json = {"containerPort": 80, "hostPort": rng.choice((8080, 8080, 8081))}
            if self._chance(0.2):
                port["protocol"] = "UDP"
            if self._chance(0.3):
                port["hostIP"] = rng.choice(("127.0.0.1", "10.0.0.1"))
            spec["containers"][0]["ports"] = [port]

    def _node_affinity(self) -> Json:
        rng = self._random
        choices: list[Json] = [
            {"key": ZONE, "operator": "In", "values": rng.sample(LOCATIONS, 2)},
            {"key": ZONE, "operator": "NotIn", "values": [rng.choice(LOCATIONS)]},
            {"key": self._key("rack"), "operator": rng.choice(("Exists", "DoesNotExist"))},
            {"key": self._key("size"), "operator": rng.choice(("Gt", "Lt")), "values": ["5"]},
            {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["cx33"]},
        ]
        terms: list[Json] = [
            {"matchExpressions": rng.sample(choices, rng.choice((1, 1, 2)))}
            for _ in range(rng.choice((1, 1, 2)))
        ]
        if self._chance(0.1) and self._case.nodes:
            named = rng.choice(self._case.nodes)["metadata"]["name"]
            field = {"key": "metadata.name", "operator": rng.choice(("In", "NotIn"))}
            terms[0]["matchFields"] = [{**field, "values": [named]}]
        wish = {"weight": 5, "preference": {"matchExpressions": [rng.choice(choices)]}}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}
        return rng.choice((required, required, {**required, **preferred}, preferred))

    def _topology_key(self) -> str:
        return self._random.choices((HOST, ZONE, self._key("rack")), (5, 5, 2))[0]

    def _selector(self) -> Json:
        rng = self._random
        app = self._key("app")
        return rng.choice(
            (
                {"matchLabels": {app: rng.choice(("x", "y", "z"))}},
                {"matchLabels": {app: rng.choice(("x", "y"))}},
                {"matchExpressions": [{"key": app, "operator": "In", "values": ["x", "y"]}]},
                {"matchExpressions": [{"key": app, "operator": "Exists"}]},
                {
                    "matchExpressions": [
                        {"key": app, "operator": "NotIn", "values": ["x"]},
                        {"key": app, "operator": "Exists"},
                    ]
                },
                {"matchLabels": {app: rng.choice(("x", "y")), self._key("ver"): "1"}},
            )
        )

    def _pod_term(self) -> Json:
        rng = self._random
        term: Json = {"topologyKey": self._topology_key(), "labelSelector": self._selector()}
        if self._chance(0.15):
            term["namespaces"] = [rng.choice(tuple(self._case.namespaces))]
        elif self._chance(0.2):
            term["namespaceSelector"] = rng.choice(
                ({"matchLabels": {self._key("team"): "a"}}, {}),
            )
        if self._chance(0.15):
            used = str(term["labelSelector"])
            if self._key("ver") not in used:
                term[rng.choice(("matchLabelKeys", "mismatchLabelKeys"))] = [self._key("ver")]
        return term

    def _spreads(self) -> list[Json]:
        rng = self._random
        keys = rng.sample((HOST, ZONE, self._key("rack")), rng.choice((1, 1, 1, 2)))
        found = []
        for key in keys:
            strict = self._chance(0.8)
            spread: Json = {
                "topologyKey": key,
                "maxSkew": rng.choice((1, 1, 2)),
                "whenUnsatisfiable": "DoNotSchedule" if strict else "ScheduleAnyway",
                "labelSelector": self._selector(),
            }
            if strict and self._chance(0.2):
                spread["minDomains"] = rng.choice((2, 3))
            if self._chance(0.12):
                spread["nodeAffinityPolicy"] = "Ignore"
                if self._chance(0.75):
                    spread["topologyKey"] = self._key("rack")
                self._case.alone |= spread["topologyKey"] != self._key("rack")
            if self._chance(0.2):
                spread["nodeTaintsPolicy"] = "Honor"
            if self._chance(0.15) and self._key("ver") not in str(spread["labelSelector"]):
                spread["matchLabelKeys"] = [self._key("ver")]
            found.append(spread)
        return found

    def _add_pod(self, workload: Json, serial: int, wishes: list[str]) -> None:
        pod = copy.deepcopy(workload)
        name = workload["metadata"]["name"]
        pod["metadata"]["name"] = f"p{serial:02}-{name}"
        if self._drawer is not None and wishes:
            self._drawer.furnish(pod, name, wishes)
        self._case.pending.append(pod)


def _required(*terms: Json) -> Json:
    return {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}
