"""Random clusters as Kubernetes has them: nodes, pods that run, pods that wait, and what is sold.

Everything of a case carries its number: labels, namespaces and node names of different cases never
meet, so that many can live on one control plane.
"""

import copy
import random
from typing import Any

from autoscaler import builders
from autoscaler.differential import storage
from autoscaler.differential.case import HOST, LOCATIONS, ZONE, Case
from autoscaler.differential.pods import PodDrawer, required
from hk3s_autoscaler.model.pod import Effect, Taint

Json = dict[str, Any]

SLA = "5"


class Generator:
    """Draws one case from a seed; its name must have no hyphen."""

    def __init__(self, seed: int, name: str = "") -> None:
        self._random = random.Random(seed)  # noqa: S311 - cases are to be repeatable
        self._case = Case(name=name or f"c{seed}")
        self._pods = PodDrawer(self._random, self._case)

    def case(self) -> Case:
        case, rng = self._case, self._random
        case.namespaces = {f"{case.name}-a": {self._pods.key("team"): "a"}, f"{case.name}-b": {}}
        self._locations = rng.sample(LOCATIONS, rng.choice((1, 2, 2, 3, 3)))
        case.expendable = self._pods.chance(0.1)
        self._sell()
        self._drawer = storage.Drawer(rng, case) if self._pods.chance(0.55) else None
        for number in range(rng.choice((0, 0, 1, 2, 3, 4))):
            self._add_node(number)
        serial = 0
        for number in range(rng.choice((1, 2, 2, 3, 3, 4, 5))):
            workload = self._pods.workload(number)
            wishes = self._drawer.wishes() if self._drawer and self._pods.chance(0.65) else []
            rolling = self._pods.chance(0.3)
            for _ in range(rng.choice((1, 2, 3, 4, 5))):
                serial += 1
                if rolling:
                    version = rng.choice(("1", "2"))
                    workload["metadata"]["labels"][self._pods.key("ver")] = version
                self._add_pod(workload, serial, wishes)
        if self._pods.chance(0.25):
            self._add_daemonset()
        return case

    def _sell(self) -> None:
        rng, case = self._random, self._case
        own = (("hk3s.test/case", case.name),)
        labels = [*own]
        if self._pods.chance(0.45):
            labels.append((self._pods.key("rack"), "r1"))
        if self._pods.chance(0.3):
            labels.append((self._pods.key("size"), rng.choice(("3", "7"))))
        case.pools.append(builders.pool("workers", labels=tuple(labels), max_nodes=50))
        if self._pods.chance(0.4):
            strict: tuple[Effect, ...] = ("NoSchedule", "NoSchedule", "NoExecute")
            effect = rng.choice(strict)
            taint = Taint(key=self._pods.key("dedicated"), value="batch", effect=effect)
            if self._pods.chance(0.3):
                taint = Taint(key=self._pods.key("sla"), value=SLA, effect="NoSchedule")
            case.pools.append(
                builders.pool(
                    "batch",
                    labels=(
                        *own,
                        (self._pods.key("tier"), "batch"),
                        (self._pods.key("rack"), "r2"),
                    ),
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
        cordoned = self._pods.chance(0.1)
        room = {"cpu": rng.choice(("2", "4")), "memory": "4Gi", "pods": "20"}
        room["ephemeral-storage"] = "40Gi"
        if self._pods.chance(0.6):
            room["test.dev/gpu"] = rng.choice(("1", "4"))
        case.nodes.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": self._node_labels(name)},
                "spec": {"taints": self._taints(cordoned=cordoned), "unschedulable": cordoned},
                "status": {"capacity": room, "allocatable": room},
            }
        )
        if self._drawer is not None:
            self._drawer.add_node(name)
        if self._pods.chance(0.12) and not cordoned and not case.expendable:
            self._add_nominated(name, number)
        if case.expendable:
            self._add_expendable(name, number)
        for running in range(rng.choice((0, 1, 2))):
            self._add_running(name, f"r{number}-{running}")

    def _node_labels(self, name: str) -> dict[str, str]:
        rng = self._random
        labels = {
            HOST: name,
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "hk3s.test/case": self._case.name,
            "topology.kubernetes.io/region": "eu",
        }
        if self._pods.chance(0.9):
            labels[ZONE] = labels[storage.LOCATION] = rng.choice(LOCATIONS)
        if self._pods.chance(0.65):
            labels[self._pods.key("rack")] = rng.choice(("r1", "r2"))
        if self._pods.chance(0.4):
            labels[self._pods.key("size")] = rng.choice(("3", "7"))
        return labels

    def _taints(self, *, cordoned: bool) -> list[Json]:
        taints: list[Json] = []
        if self._pods.chance(0.3):
            effect = self._random.choice(("NoSchedule", "PreferNoSchedule", "NoExecute"))
            taints.append({"key": self._pods.key("dedicated"), "value": "batch", "effect": effect})
        if self._pods.chance(0.15):
            taints.append({"key": self._pods.key("sla"), "value": SLA, "effect": "NoSchedule"})
        if cordoned:
            # The node lifecycle controller adds it; the lab runs without that one.
            taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
        return taints

    def _add_running(self, node: str, name: str) -> None:
        pod = self._pods.pod(name, self._random.choice(("x", "y", "z")))
        pod["spec"]["nodeName"] = node
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "200m"}}
        pod["spec"].pop("nodeSelector")
        if self._pods.chance(0.3):
            term = self._pods.pod_term()
            pod["spec"]["affinity"] = {"podAntiAffinity": required(term)}
        if self._drawer is not None and self._pods.chance(0.4):
            self._drawer.use(pod)
        self._case.running.append(pod)

    def _add_nominated(self, node: str, number: int) -> None:
        """A pod that has preempted another one, which takes its time to end."""
        port = {"containerPort": 90, "hostPort": 9090}
        victim = self._pods.pod(f"v{number}", self._random.choice(("x", "y", "z")))
        self._pods.prioritize(victim["spec"], "p-10")
        victim["spec"] |= {"nodeName": node, "terminationGracePeriodSeconds": 3600}
        waiting = self._pods.pod(f"u{number}", "none")
        waiting["metadata"]["labels"] = {}
        self._pods.prioritize(waiting["spec"], "urgent")
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
        pod = self._pods.pod(f"e{number}", "none")
        pod["metadata"]["labels"] = {}
        self._pods.prioritize(pod["spec"], "expendable")
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "900m"}}
        if self._pods.chance(0.7):
            pod["spec"]["nodeName"] = node
            self._case.running.append(pod)
        else:
            self._case.pending.append(pod)

    def _add_daemonset(self) -> None:
        """A pod on each node, or on those of a kind."""
        rng, case = self._random, self._case
        labels = {self._pods.key("daemon"): "agent"}
        selector = {"hk3s.test/case": case.name}
        if self._pods.chance(0.3):
            selector[self._pods.key("tier")] = "batch"
        if self._pods.chance(0.2):
            selector["node.kubernetes.io/instance-type"] = "cx33"
        requests = {"cpu": rng.choice(("100m", "150m", "500m")), "memory": "128Mi"}
        container: Json = {"name": "c", "image": "x", "resources": {"requests": requests}}
        if self._pods.chance(0.3):
            container["ports"] = [{"containerPort": 80, "hostPort": 8080}]
        tolerated = {"tolerations": [{"operator": "Exists"}]} if self._pods.chance(0.4) else {}
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
                            "priorityClassName": "normal" if case.expendable else "p-0",
                            "nodeSelector": selector,
                            "containers": [container],
                            **tolerated,
                        },
                    },
                },
            }
        )

    def _add_pod(self, workload: Json, serial: int, wishes: list[str]) -> None:
        pod = copy.deepcopy(workload)
        name = workload["metadata"]["name"]
        pod["metadata"]["name"] = f"p{serial:02}-{name}"
        if self._drawer is not None and wishes:
            self._drawer.furnish(pod, name, wishes)
        self._case.pending.append(pod)
