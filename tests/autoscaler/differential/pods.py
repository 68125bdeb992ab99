"""Random pods: what they ask of a node, and of each other."""

import random
from typing import Any

from autoscaler.differential.case import HOST, LOCATIONS, PRIORITIES, ZONE, Case

Json = dict[str, Any]


class PodDrawer:
    """Draws pods of one case; its labels carry the case's name."""

    def __init__(self, rng: random.Random, case: Case) -> None:
        self._random = rng
        self._case = case

    def chance(self, share: float) -> bool:
        """Be true in a share of cases."""
        return self._random.random() < share

    def key(self, word: str) -> str:
        """A label of this case."""
        return f"{self._case.name}.test/{word}"

    def prioritize(self, spec: Json, name: str) -> None:
        """Give a pod a priority class."""
        value, policy = PRIORITIES[name]
        spec |= {"priorityClassName": name, "priority": value, "preemptionPolicy": policy}

    def pod(self, name: str, app: str) -> Json:
        """A plain pod of some namespace."""
        labels = {self.key("app"): app, self.key("ver"): self._random.choice(("1", "2"))}
        made: Json = {
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
        self.prioritize(made["spec"], "normal" if self._case.expendable else "p-0")
        return made

    def workload(self, number: int) -> Json:
        """The pod that all pods of a workload are like."""
        rng = self._random
        pod = self.pod(f"w{number}", rng.choice(("x", "y", "z")))
        spec = pod["spec"]
        requests = {
            "cpu": rng.choice(("100m", "300m", "500m", "500m", "900m", "1500m", "1900m")),
            "memory": rng.choice(("64Mi", "256Mi", "1Gi", "2Gi")),
        }
        if self.chance(0.03):
            requests["cpu"] = "9"
        spec["containers"][0]["resources"]["requests"] = requests
        if self.chance(0.15):
            spec["containers"][0]["resources"]["limits"] = {"ephemeral-storage": "1Gi"}
        parts = (self._add_containers, self._add_node_rules, self._add_affinity, self._add_spreads)
        # With rules of all sorts at once few pods are served, and others would hide the one.
        for part in [rng.choice(parts)] if self.chance(0.45) else parts:
            part(pod)
        if self.chance(0.2) and not self._case.expendable:
            self.prioritize(spec, rng.choice(("p-10", "p-0", "p-100")))
        if self.chance(0.05):
            spec["schedulingGates"] = [{"name": "hk3s.test/gate"}]
        return pod

    def _add_node_rules(self, pod: Json) -> None:
        rng, spec = self._random, pod["spec"]
        if self.chance(0.25):
            toleration = {"key": self.key("dedicated"), "operator": "Exists"}
            if self.chance(0.5):
                values = ("batch", "batch", "other")
                toleration |= {"operator": "Equal", "value": rng.choice(values)}
            if self.chance(0.5):
                toleration["effect"] = "NoSchedule"
            spec["tolerations"] = [toleration]
        if self.chance(0.25):
            compared: Json = {"key": self.key("sla"), "effect": "NoSchedule"}
            operator = rng.choice(("Lt", "Gt", "Lt", "Gt", "Exists"))
            bound = {} if operator == "Exists" else {"value": rng.choice(("3", "7"))}
            compared |= {"operator": operator, **bound}
            spec.setdefault("tolerations", []).append(compared)
        elif self.chance(0.05):
            spec["tolerations"] = [{"operator": "Exists"}]
        if self.chance(0.12):
            resources = spec["containers"][0]["resources"]
            resources.setdefault("limits", {})["test.dev/gpu"] = "1"
        if self.chance(0.12):
            wanted = (("tier", "batch"), ("rack", "r1"), ("rack", "r2"), ("size", "7"))
            word, value = rng.choice(wanted)
            spec["nodeSelector"][self.key(word)] = value

    def _add_affinity(self, pod: Json) -> None:
        rng, spec = self._random, pod["spec"]
        affinity: Json = {}
        if self.chance(0.25):
            affinity["nodeAffinity"] = self._node_affinity()
        if self.chance(0.25):
            terms = [self.pod_term() for _ in range(rng.choice((1, 1, 1, 2)))]
            affinity["podAffinity"] = required(*terms)
        if self.chance(0.35):
            terms = [self.pod_term() for _ in range(rng.choice((1, 1, 2)))]
            affinity["podAntiAffinity"] = required(*terms)
        if self.chance(0.3):
            wish = {"weight": 10, "podAffinityTerm": self.pod_term()}
            kind = affinity.setdefault(rng.choice(("podAffinity", "podAntiAffinity")), {})
            kind["preferredDuringSchedulingIgnoredDuringExecution"] = [wish]
        if affinity:
            spec["affinity"] = affinity

    def _add_containers(self, pod: Json) -> None:
        rng, spec = self._random, pod["spec"]
        if self.chance(0.15):
            spec["initContainers"] = [
                {
                    "name": "i",
                    "image": "x",
                    "resources": {"requests": {"cpu": rng.choice(("100m", "1800m"))}},
                    **({"restartPolicy": "Always"} if self.chance(0.5) else {}),
                }
            ]
        if self.chance(0.1):
            small = {"requests": {"cpu": "300m", "memory": "256Mi"}}
            spec["containers"][0]["resources"] |= small
            spec["resources"] = {"requests": {"cpu": rng.choice(("2300m", "3500m"))}}
        if self.chance(0.1):
            spec["overhead"] = {"cpu": "250m", "memory": "120Mi"}
        if self.chance(0.12):
            port: Json = {"containerPort": 80, "hostPort": rng.choice((8080, 8080, 8081))}
            if self.chance(0.2):
                port["protocol"] = "UDP"
            if self.chance(0.3):
                port["hostIP"] = rng.choice(("127.0.0.1", "10.0.0.1"))
            spec["containers"][0]["ports"] = [port]

    def _node_affinity(self) -> Json:
        rng = self._random
        choices: list[Json] = [
            {"key": ZONE, "operator": "In", "values": rng.sample(LOCATIONS, 2)},
            {"key": ZONE, "operator": "NotIn", "values": [rng.choice(LOCATIONS)]},
            {"key": self.key("rack"), "operator": rng.choice(("Exists", "DoesNotExist"))},
            {"key": self.key("size"), "operator": rng.choice(("Gt", "Lt")), "values": ["5"]},
            {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["cx33"]},
        ]
        terms: list[Json] = [
            {"matchExpressions": rng.sample(choices, rng.choice((1, 1, 2)))}
            for _ in range(rng.choice((1, 1, 2)))
        ]
        if self.chance(0.25) and self._case.nodes:
            named = rng.choice(self._case.nodes)["metadata"]["name"]
            field = {"key": "metadata.name", "operator": rng.choice(("In", "NotIn"))}
            terms[0]["matchFields"] = [{**field, "values": [named]}]
        wish = {"weight": 5, "preference": {"matchExpressions": [rng.choice(choices)]}}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}
        return rng.choice((required, required, {**required, **preferred}, preferred))

    def _topology_key(self) -> str:
        return self._random.choices((HOST, ZONE, self.key("rack")), (5, 5, 2))[0]

    def _selector(self) -> Json:
        rng = self._random
        app = self.key("app")
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
                {"matchLabels": {app: rng.choice(("x", "y")), self.key("ver"): "1"}},
            )
        )

    def pod_term(self) -> Json:
        """Pods to be near to, or far from."""
        rng = self._random
        term: Json = {"topologyKey": self._topology_key(), "labelSelector": self._selector()}
        if self.chance(0.15):
            term["namespaces"] = [rng.choice(tuple(self._case.namespaces))]
        elif self.chance(0.2):
            term["namespaceSelector"] = rng.choice(
                ({"matchLabels": {self.key("team"): "a"}}, {}),
            )
        if self.chance(0.25):
            used = str(term["labelSelector"])
            if self.key("ver") not in used:
                term[rng.choice(("matchLabelKeys", "mismatchLabelKeys"))] = [self.key("ver")]
        return term

    def _add_spreads(self, pod: Json) -> None:
        if self.chance(0.5):
            pod["spec"]["topologySpreadConstraints"] = self._spreads(pod)

    def _spreads(self, pod: Json) -> list[Json]:
        rng, app = self._random, self.key("app")
        keys = rng.sample((HOST, ZONE, self.key("rack")), rng.choice((1, 1, 1, 2)))
        found = []
        for key in tuple(keys):
            strict = self.chance(0.8)
            own = {"matchLabels": {app: pod["metadata"]["labels"][app]}}
            spread: Json = {
                "topologyKey": key,
                "maxSkew": rng.choice((1, 1, 2)),
                "whenUnsatisfiable": "DoNotSchedule" if strict else "ScheduleAnyway",
                "labelSelector": own if self.chance(0.65) else self._selector(),
            }
            if strict and self.chance(0.25):
                spread["minDomains"] = rng.choice((2, 3))
            if self.chance(0.12):
                spread["nodeAffinityPolicy"] = "Ignore"
                if self.chance(0.75) and self.key("rack") not in keys:
                    keys.append(self.key("rack"))
                    spread["topologyKey"] = self.key("rack")
                self._case.alone |= spread["topologyKey"] != self.key("rack")
                self._keep_away(pod["spec"], spread["topologyKey"])
            if self.chance(0.35):
                spread["nodeTaintsPolicy"] = "Honor"
            if self.chance(0.25) and self.key("ver") not in str(spread["labelSelector"]):
                spread["matchLabelKeys"] = [self.key("ver")]
            found.append(spread)
        return found

    def _keep_away(self, spec: Json, key: str) -> None:
        """Bar some domains, which count all the same if a spread ignores node affinity."""
        barred = {
            self.key("rack"): {"key": key, "operator": "NotIn", "values": ["r2"]},
            ZONE: {"key": ZONE, "operator": "In", "values": self._random.sample(LOCATIONS, 2)},
            HOST: {"key": ZONE, "operator": "NotIn", "values": [self._random.choice(LOCATIONS)]},
        }
        terms = [{"matchExpressions": [barred[key]]}]
        rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec.setdefault("affinity", {}).setdefault("nodeAffinity", rule)


def required(*terms: Json) -> Json:
    """A required rule of pod (anti-)affinity."""
    return {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}
