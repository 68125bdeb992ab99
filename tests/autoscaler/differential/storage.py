"""Random storage of a case: classes, volumes that are there, and the claims of pods.

As hcloud-csi and a cluster with local disks have it. Volumes are bound, made by hand, or made when
their first pod is placed.
"""

import random
from typing import Any

Json = dict[str, Any]

DRIVER = "csi.hetzner.cloud"
LOCATION = "csi.hetzner.cloud/location"
CASE = "hk3s.test/case"
ZONE = "topology.kubernetes.io/zone"
BY_HAND = "kubernetes.io/no-provisioner"
LOCATIONS = ("fsn1", "nbg1", "hel1")

KINDS = {
    "waiting": 8,
    "narrow": 6,
    "local": 6,
    "by-hand": 6,
    "bound": 7,
    "zoned": 4,
    "shared": 4,
    "shared-waiting": 4,
    "one-pod": 6,
    "taken": 3,
    "ephemeral": 4,
    "many": 5,
    "missing": 1,
    "immediate": 1,
    "lost": 1,
}
"""What a pod claims, and how often."""


class Drawer:
    """Draws the storage of one case into its lists."""

    def __init__(self, rng: random.Random, case: Any) -> None:  # noqa: ANN401 - generate.Case
        self._random = rng
        self._case = case
        self._taken: list[Json] = []
        only = {"key": LOCATION, "values": rng.sample(LOCATIONS, rng.choice((1, 2)))}
        topologies = [{"matchLabelExpressions": [only]}]
        for name, provisioner, more in (
            ("waiting", DRIVER, {}),
            ("narrow", DRIVER, {"allowedTopologies": topologies}),
            ("local", BY_HAND, {}),
            ("by-hand", BY_HAND, {}),
            ("immediate", DRIVER, {"volumeBindingMode": "Immediate"}),
        ):
            case.classes.append(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": f"{case.name}-{name}", "labels": {CASE: case.name}},
                    "provisioner": provisioner,
                    "reclaimPolicy": "Retain",
                    "volumeBindingMode": "WaitForFirstConsumer",
                    **more,
                }
            )
        for number in range(rng.choice((1, 2, 3, 4))):
            where = _within(LOCATION, rng.choice(LOCATIONS))
            self._volume(f"hand{number}", "by-hand", where, size=rng.choice(("1Gi", "5Gi")))

    def add_node(self, name: str) -> None:
        """A node with disks of its own, and with room for a few volumes of Hetzner's."""
        count = self._random.choice((1, 2, 3, 16))
        self._case.csi_nodes.append(csi_node(self._case.name, name, count))
        for disk in range(self._random.choice((0, 1, 2, 2))):
            here = _within("kubernetes.io/hostname", name)
            size = self._random.choice(("1Gi", "5Gi"))
            self._volume(f"{name}-disk{disk}", "local", here, size=size)

    def use(self, pod: Json) -> None:
        """Let a pod that runs have a volume, which only it may use or others, too."""
        mode = self._random.choice(("ReadWriteOnce", "ReadWriteOncePod"))
        claim = self._bound(pod, f"of-{pod['metadata']['name']}", mode)
        self._claim(pod, claim)
        if mode == "ReadWriteOncePod":
            self._taken.append(pod)

    def wishes(self) -> list[str]:
        """What the pods of a workload claim."""
        rng = self._random
        return rng.choices(tuple(KINDS), tuple(KINDS.values()), k=rng.choice((1, 1, 1, 2)))

    def furnish(self, pod: Json, workload: str, wishes: list[str]) -> None:
        """Give a pending pod its claims; what `shared` ones claim is the workload's."""
        pod["spec"]["volumes"] = []
        for wish in dict.fromkeys(wishes):
            self._grant(pod, wish, pod["metadata"]["name"], workload)

    def _grant(  # noqa: C901 - a table
        self, pod: Json, wish: str, own: str, workload: str
    ) -> None:
        match wish:
            case "many":
                for number in range(6):
                    self._claim(pod, self._unbound(pod, f"{own}-many{number}", "waiting"))
            case "bound" | "zoned":
                self._claim(pod, self._bound(pod, f"{own}-{wish}", zoned=wish == "zoned"))
            case "shared":
                self._claim(pod, self._bound(pod, f"{workload}-shared"))
            case "shared-waiting":
                self._claim(pod, self._unbound(pod, f"{workload}-waiting", "waiting"))
            case "one-pod":
                name, mode = f"{workload}-one", "ReadWriteOncePod"
                self._claim(pod, self._unbound(pod, name, "waiting", mode))
            case "taken":
                self._take(pod)
            case "ephemeral":
                self._add_ephemeral(pod)
            case "missing":
                self._claim(pod, f"{own}-missing")
            case "lost":
                self._lose(pod, f"{own}-lost")
            case _:
                self._claim(pod, self._unbound(pod, f"{own}-{wish}", wish))

    def _take(self, pod: Json) -> None:
        """Claim what a pod that runs has for itself alone."""
        namespace = pod["metadata"]["namespace"]
        running = [p for p in self._taken if p["metadata"]["namespace"] == namespace]
        if running:
            self._claim(pod, f"of-{self._random.choice(running)['metadata']['name']}")

    def _add_ephemeral(self, pod: Json) -> None:
        spec = self._spec("waiting", "ReadWriteOnce")
        pod["spec"]["volumes"].append(
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
        )
        made = self._claim_of(pod, f"{pod['metadata']['name']}-scratch", spec)
        self._case.made_claims.append(made)

    def _lose(self, pod: Json, name: str) -> None:
        spec = {**self._spec("waiting", "ReadWriteOnce"), "volumeName": f"{self._case.name}-gone"}
        lost = self._claim_of(pod, name, spec)
        lost["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
        self._case.claims.append(lost)
        self._claim(pod, name)

    def _claim(self, pod: Json, name: str) -> None:
        volumes = pod["spec"].setdefault("volumes", [])
        source = {"claimName": name}
        volumes.append({"name": f"v{len(volumes)}", "persistentVolumeClaim": source})

    def _bound(
        self, pod: Json, name: str, mode: str = "ReadWriteOnce", *, zoned: bool = False
    ) -> str:
        namespace = pod["metadata"]["namespace"]
        if self._known(namespace, name):
            return name
        location = self._random.choice(LOCATIONS)
        volume = self._volume(
            f"{namespace}-{name}",
            "waiting",
            None if zoned else _within(LOCATION, location),
            mode=mode,
        )
        volume["spec"]["csi"] = {"driver": DRIVER, "volumeHandle": volume["metadata"]["name"]}
        del volume["spec"]["local"]
        if zoned:
            others = self._random.sample(LOCATIONS, 1)
            zones = sorted({location, *others})
            volume["metadata"]["labels"][ZONE] = "__".join(zones)
        volume["spec"]["claimRef"] = {"namespace": namespace, "name": name}
        spec = {**self._spec("waiting", mode), "volumeName": volume["metadata"]["name"]}
        self._case.claims.append(self._claim_of(pod, name, spec))
        return name

    def _unbound(self, pod: Json, name: str, kind: str, mode: str = "ReadWriteOnce") -> str:
        if not self._known(pod["metadata"]["namespace"], name):
            spec = self._spec(kind, mode)
            if kind in ("local", "by-hand"):
                size = self._random.choice(("1Gi", "1Gi", "5Gi"))
                spec["resources"]["requests"]["storage"] = size
            self._case.claims.append(self._claim_of(pod, name, spec))
        return name

    def _known(self, namespace: str, name: str) -> bool:
        return any(
            (c["metadata"]["namespace"], c["metadata"]["name"]) == (namespace, name)
            for c in self._case.claims
        )

    def _spec(self, kind: str, mode: str) -> Json:
        return {
            "storageClassName": f"{self._case.name}-{kind}",
            "accessModes": [mode],
            "resources": {"requests": {"storage": "1Gi"}},
        }

    def _claim_of(self, pod: Json, name: str, spec: Json) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": pod["metadata"]["namespace"]},
            "spec": spec,
        }

    def _volume(
        self,
        name: str,
        kind: str,
        where: Json | None,
        *,
        size: str = "1Gi",
        mode: str = "ReadWriteOnce",
    ) -> Json:
        prefix = f"{self._case.name}-"
        made: Json = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": prefix + name.removeprefix(prefix),
                "labels": {CASE: self._case.name},
            },
            "spec": {
                "storageClassName": f"{prefix}{kind}",
                "capacity": {"storage": size},
                "accessModes": [mode],
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": "/mnt"},
            },
        }
        if where is not None:
            made["spec"]["nodeAffinity"] = where
        self._case.volumes.append(made)
        return made


def csi_node(case: str, name: str, count: int) -> Json:
    """What hcloud-csi says of a node."""
    driver = {
        "name": DRIVER,
        "nodeID": name,
        "topologyKeys": [LOCATION],
        "allocatable": {"count": count},
    }
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name, "labels": {CASE: case}},
        "spec": {"drivers": [driver]},
    }


def provisioned(claim: Json, name: str, case: str, location: str) -> Json:
    """The volume that hcloud-csi makes for a claim in a location."""
    meta, spec = claim["metadata"], claim["spec"]
    made: Json = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "labels": {CASE: case},
            "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
        },
        "spec": {
            "storageClassName": spec["storageClassName"],
            "capacity": {"storage": "10Gi"},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {"driver": DRIVER, "volumeHandle": name},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        },
    }
    if location:
        made["spec"]["nodeAffinity"] = _within(LOCATION, location)
    return made


def _within(key: str, value: str) -> Json:
    expression = {"key": key, "operator": "In", "values": [value]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
