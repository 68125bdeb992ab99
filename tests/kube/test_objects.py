import gc
import json
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import pytest

from hk3s_kube import objects

T = TypeVar("T")

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "resourceVersion": "7",
        "labels": {"app": "web"},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web",
                "uid": "u0",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
        "creationTimestamp": "2026-11-23T12:00:00Z",
        "deletionTimestamp": "2026-11-23T12:05:00Z",
        "deletionGracePeriodSeconds": 30,
        "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
    },
    "spec": {
        "nodeName": "n1",
        "schedulerName": "default-scheduler",
        "nodeSelector": {"disk": "ssd"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}
                    ]
                },
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 5, "preference": {"matchExpressions": []}}
                ],
            },
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app": "web"}},
                    }
                ]
            },
        },
        "tolerations": [{"operator": "Exists", "tolerationSeconds": 300}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "minDomains": 2,
                "matchLabelKeys": ["pod-template-hash"],
            }
        ],
        "initContainers": [{"name": "mesh", "restartPolicy": "Always"}],
        "containers": [
            {
                "name": "web",
                "image": "nginx",
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                "ports": [{"containerPort": 80, "hostPort": 8080, "hostIP": "127.0.0.1"}],
            }
        ],
        "overhead": {"cpu": "10m"},
        "resources": {"requests": {"cpu": "1"}},
        "priority": 1000,
        "schedulingGates": [{"name": "example.com/wait"}],
        "hostNetwork": True,
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "run", "hostPath": {"path": "/run", "type": ""}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"name": "config", "configMap": {"name": "c"}},
        ],
    },
    "status": {
        "phase": "Pending",
        "nominatedNodeName": "n2",
        "startTime": "2026-11-23T12:00:01Z",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "lastProbeTime": None,
                "lastTransitionTime": "2026-11-23T12:00:00Z",
            }
        ],
    },
}


def decode(data: object, kind: type[T]) -> T:
    return msgspec.json.decode(json.dumps(data), type=kind)


def test_a_pod_keeps_what_scheduling_and_draining_need() -> None:
    pod = decode(POD, objects.Pod)

    assert pod.key == "shop/web-1"
    assert pod.metadata.creation_timestamp == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert pod.metadata.owner_references[0].controller
    affinity = pod.spec.affinity
    assert affinity is not None
    assert affinity.node_affinity is not None
    assert affinity.node_affinity.required is not None
    term = affinity.node_affinity.required.node_selector_terms[0]
    assert term.match_expressions[0].operator == "Gt"
    assert affinity.node_affinity.preferred[0].weight == 5
    assert affinity.pod_anti_affinity is not None
    assert affinity.pod_anti_affinity.required[0].topology_key == "kubernetes.io/hostname"
    assert pod.spec.tolerations[0].operator == "Exists"
    assert pod.spec.topology_spread_constraints[0].min_domains == 2
    assert pod.spec.init_containers[0].restart_policy == "Always"
    assert pod.spec.containers[0].resources.requests == {"cpu": "500m", "memory": "1Gi"}
    assert pod.spec.containers[0].ports[0].host_ip == "127.0.0.1"
    assert pod.spec.resources == objects.Resources(requests={"cpu": "1"})
    assert pod.spec.scheduling_gates[0].name == "example.com/wait"
    data, tmp, run, scratch, config = pod.spec.volumes
    assert data.persistent_volume_claim == objects.ClaimSource(claim_name="data")
    assert tmp.empty_dir == objects.EmptyDir()
    assert run.host_path == objects.HostPath(path="/run")
    assert scratch.ephemeral is not None
    assert config == objects.Volume(name="config")
    assert pod.status.conditions[0].reason == "Unschedulable"


def test_structs_are_invisible_to_the_collector_and_frozen() -> None:
    pod = decode(POD, objects.Pod)

    assert not gc.is_tracked(pod)
    assert not gc.is_tracked(pod.spec)
    with pytest.raises(AttributeError):
        pod.spec = objects.PodSpec()  # type: ignore[misc] # the point


@pytest.mark.parametrize(
    ("kind", "data", "path", "expected"),
    [
        (
            objects.Node,
            {
                "spec": {
                    "providerID": "hcloud://42",
                    "unschedulable": True,
                    "taints": [
                        {"key": "a", "effect": "NoSchedule", "timeAdded": "2026-11-23T12:00:00Z"}
                    ],
                },
                "status": {"allocatable": {"cpu": "1900m"}, "nodeInfo": {"systemUUID": "x"}},
            },
            "spec.provider_id",
            "hcloud://42",
        ),
        (
            objects.DaemonSet,
            {"spec": {"template": {"metadata": {"creationTimestamp": None}, "spec": {}}}},
            "spec.template.spec.node_name",
            "",
        ),
        (
            objects.PodDisruptionBudget,
            {"spec": {"maxUnavailable": "50%"}, "status": {"disruptionsAllowed": 1}},
            "spec.max_unavailable",
            "50%",
        ),
        (
            objects.VolumeAttachment,
            {
                "spec": {
                    "attacher": "csi.hetzner.cloud",
                    "nodeName": "n1",
                    "source": {"persistentVolumeName": "pv"},
                },
                "status": {"attached": True},
            },
            "spec.node_name",
            "n1",
        ),
        (objects.Namespace, {"status": {"phase": "Active"}}, "key", "x"),
        (
            objects.PersistentVolumeClaim,
            {"spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}},
            "spec.volume_name",
            "pv",
        ),
        (
            objects.PersistentVolume,
            {
                "spec": {
                    "csi": {"driver": "csi.hetzner.cloud", "volumeHandle": "9"},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{}]}},
                }
            },
            "spec.csi.driver",
            "csi.hetzner.cloud",
        ),
        (
            objects.StorageClass,
            {
                "provisioner": "csi.hetzner.cloud",
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowedTopologies": [{"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}],
            },
            "volume_binding_mode",
            "WaitForFirstConsumer",
        ),
        (
            objects.CsiNode,
            {"spec": {"drivers": [{"name": "csi.hetzner.cloud", "allocatable": {"count": 16}}]}},
            "spec.drivers",
            (
                objects.CsiDriverOnNode(
                    name="csi.hetzner.cloud",
                    allocatable=objects.CsiDriverOnNode.Allocatable(count=16),
                ),
            ),
        ),
        (objects.NodePoolObject, {"spec": {"maxNodes": 3}}, "spec", {"maxNodes": 3}),
    ],
)
def test_each_kind_keeps_its_fields(
    kind: type[objects.KubeObject], data: dict[str, Any], path: str, expected: object
) -> None:
    found: Any = decode({"metadata": {"name": "x"}, **data}, kind)
    for name in path.split("."):
        found = getattr(found, name)

    assert found == expected
    assert kind in objects.PATHS
