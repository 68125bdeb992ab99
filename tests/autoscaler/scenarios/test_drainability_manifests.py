"""The drainability table of cluster-autoscaler, row by row, on pods as the apiserver gives them.

The node is in minute 55 of its paid hour and was unneeded for long; what the pod says decides.
"""

from typing import Any

import msgspec
import pytest
import yaml

from autoscaler.builders import NOW, minutes, seconds
from autoscaler.scenarios.test_drainability import budget, outcome
from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.reasons import Code
from hk3s_kube import objects

GOES = None
EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
VOLUMES = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes"
LATE = (NOW - seconds(61)).isoformat()
ENDING = NOW.isoformat()


def a_pod(
    *,
    owner: str | None = "ReplicaSet",
    namespace: str = "default",
    age_minutes: float = 24 * 60,
    phase: str = "Running",
    meta: str = "",
    spec: str = "",
) -> Pod:
    """A pod of a controller that runs for a day; `meta` and `spec` are YAML of fields to add."""
    owned = {"apiVersion": "v1", "kind": owner, "name": "owner", "uid": "u", "controller": True}
    metadata: dict[str, Any] = {
        "name": "web-1",
        "namespace": namespace,
        "uid": "uid",
        "creationTimestamp": (NOW - minutes(age_minutes)).isoformat(),
        "ownerReferences": [owned] if owner else [],
        **(yaml.safe_load(meta) or {}),
    }
    containers = [{"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]
    manifest = {
        "metadata": metadata,
        "spec": {"nodeName": "old", "containers": containers, **(yaml.safe_load(spec) or {})},
        "status": {"phase": phase},
    }
    return convert.pod(msgspec.convert(manifest, objects.Pod))


def annotated(key: str, value: str) -> str:
    return f'annotations: {{"{key}": "{value}"}}'


SAFE, UNSAFE = annotated(EVICT, "true"), annotated(EVICT, "false")
FINISHES = annotated(EVICT, "on-completion")
HOST_PATH = "volumes: [{name: data, hostPath: {path: /var/lib/data}}]"
EMPTY_DIR = "volumes: [{name: data, emptyDir: {}}]"
TWO_DIRS = "volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]"
# Fits nowhere else.
HUGE = "containers: [{name: main, resources: {requests: {cpu: '30', memory: 1Gi}}}]"


@pytest.mark.parametrize(
    ("of", "found"),
    [
        # 1 Mirror: neither moved nor blocking.
        pytest.param(
            a_pod(owner=None, meta=annotated("kubernetes.io/config.mirror", "x"), spec=HUGE),
            GOES,
            id="1-mirror",
        ),
        # 2 LongTerminating: passed over once its grace and 30 s are over.
        pytest.param(
            a_pod(meta=f"deletionTimestamp: {LATE}", spec=HUGE), GOES, id="2-long-terminating"
        ),
        pytest.param(
            a_pod(meta=f"deletionTimestamp: {ENDING}", spec=HUGE),
            Code.NO_PLACE,
            id="2-terminating-still-needs-its-place",
        ),
        pytest.param(
            a_pod(
                meta=f"deletionTimestamp: {LATE}",
                spec=HUGE + "\nterminationGracePeriodSeconds: 300",
            ),
            Code.NO_PLACE,
            id="2-its-own-grace-counts",
        ),
        # 3 ReplicaCount: hk3s does not ask whether the controller exists or has few replicas; a
        # pod whose controller is deleted is deleted, too, or loses its owner and falls under 8.
        pytest.param(a_pod(owner="ReplicaSet"), GOES, id="3-controller-is-not-looked-up"),
        # 4 DaemonSet: by kind, or by annotation for other controllers.
        pytest.param(a_pod(owner="DaemonSet", spec=EMPTY_DIR), GOES, id="4-daemonset"),
        pytest.param(
            a_pod(
                owner="Cluster",
                meta=annotated("cluster-autoscaler.kubernetes.io/daemonset-pod", "true"),
                spec=HUGE,
            ),
            GOES,
            id="4-annotated-as-one",
        ),
        # 5 SafeToEvict beats what comes later, but its PodDisruptionBudget (below).
        pytest.param(a_pod(owner=None, meta=SAFE), GOES, id="5-beats-naked"),
        pytest.param(a_pod(owner="Cluster", meta=SAFE), GOES, id="5-beats-custom-controller"),
        pytest.param(
            a_pod(namespace="kube-system", age_minutes=1, meta=SAFE), GOES, id="5-beats-system"
        ),
        pytest.param(a_pod(meta=SAFE, spec=HOST_PATH), GOES, id="5-beats-host-path"),
        pytest.param(a_pod(meta=SAFE, spec=EMPTY_DIR), GOES, id="5-beats-empty-dir"),
        pytest.param(a_pod(meta=SAFE, spec=HUGE), Code.NO_PLACE, id="5-still-needs-a-place"),
        # 6 Terminal.
        pytest.param(a_pod(owner=None, phase="Failed", spec=HUGE), GOES, id="6-failed"),
        pytest.param(
            a_pod(owner=None, phase="Succeeded", spec=HUGE + "\nrestartPolicy: Never"),
            GOES,
            id="6-never-succeeded",
        ),
        pytest.param(
            a_pod(owner=None, phase="Succeeded", spec=HUGE + "\nrestartPolicy: OnFailure"),
            GOES,
            id="6-on-failure-succeeded",
        ),
        # cluster-autoscaler goes on to the next rules; the kubelet runs an ended pod never again.
        pytest.param(
            a_pod(owner=None, phase="Succeeded", spec=HUGE + "\nrestartPolicy: Always"),
            GOES,
            id="6-always-succeeded-differs",
        ),
        # 7 OnCompletion: the node stays until the pod has ended by itself.
        pytest.param(a_pod(meta=FINISHES), Code.ON_COMPLETION, id="7-on-completion"),
        pytest.param(a_pod(meta=FINISHES, phase="Succeeded"), GOES, id="7-completed"),
        # 8 Replicated.
        pytest.param(a_pod(owner=None), Code.NOT_REPLICATED, id="8-naked"),
        pytest.param(a_pod(owner="Cluster"), Code.NOT_REPLICATED, id="8-custom-controller"),
        pytest.param(a_pod(owner="ReplicationController"), GOES, id="8-replication-controller"),
        pytest.param(a_pod(owner="StatefulSet"), GOES, id="8-stateful-set"),
        pytest.param(a_pod(owner="Job"), GOES, id="8-job"),
        # 9 System: one hour, the boundary included.
        pytest.param(
            a_pod(namespace="kube-system", age_minutes=60), Code.SYSTEM_POD, id="9-young-system"
        ),
        pytest.param(a_pod(namespace="kube-system", age_minutes=60.02), GOES, id="9-older-system"),
        pytest.param(a_pod(age_minutes=1), GOES, id="9-young-elsewhere"),
        # There an older one is asked no more: hk3s still looks at 10, 11 and 12.
        pytest.param(
            a_pod(namespace="kube-system", meta=UNSAFE),
            Code.NOT_SAFE_TO_EVICT,
            id="9-older-but-unsafe-differs",
        ),
        # 10 NotSafeToEvict.
        pytest.param(a_pod(meta=UNSAFE), Code.NOT_SAFE_TO_EVICT, id="10-unsafe"),
        pytest.param(a_pod(meta=UNSAFE, spec=HOST_PATH), Code.NOT_SAFE_TO_EVICT, id="10-before-11"),
        # 11 LocalStorage.
        pytest.param(a_pod(spec=HOST_PATH), Code.LOCAL_STORAGE, id="11-host-path"),
        pytest.param(a_pod(spec=EMPTY_DIR), Code.LOCAL_STORAGE, id="11-empty-dir"),
        pytest.param(
            a_pod(spec="volumes: [{name: data, emptyDir: {medium: Memory}}]"),
            GOES,
            id="11-in-memory",
        ),
        pytest.param(
            a_pod(spec="volumes: [{name: c, configMap: {name: c}}, {name: s, secret: {}}]"),
            GOES,
            id="11-config-and-secret",
        ),
        pytest.param(a_pod(meta=annotated(VOLUMES, "data"), spec=EMPTY_DIR), GOES, id="11-spared"),
        pytest.param(a_pod(meta=annotated(VOLUMES, "a,b"), spec=TWO_DIRS), GOES, id="11-both"),
        pytest.param(
            a_pod(meta=annotated(VOLUMES, "a"), spec=TWO_DIRS), Code.LOCAL_STORAGE, id="11-one-only"
        ),
        # There a space breaks the match, which nobody means.
        pytest.param(
            a_pod(meta=annotated(VOLUMES, "a, b"), spec=TWO_DIRS), GOES, id="11-space-differs"
        ),
        # None of them.
        pytest.param(a_pod(), GOES, id="movable"),
        pytest.param(a_pod(spec=HUGE), Code.NO_PLACE, id="movable-but-nowhere-to-go"),
        # Karpenter's annotation, which stands before all that would let a pod go.
        pytest.param(
            a_pod(meta=annotated("karpenter.sh/do-not-disrupt", "true")),
            Code.DO_NOT_DISRUPT,
            id="karpenter-for-ever",
        ),
        pytest.param(
            a_pod(age_minutes=239, meta=annotated("karpenter.sh/do-not-disrupt", "4h")),
            Code.DO_NOT_DISRUPT,
            id="karpenter-within-4h",
        ),
        pytest.param(
            a_pod(age_minutes=240, meta=annotated("karpenter.sh/do-not-disrupt", "4h")),
            GOES,
            id="karpenter-after-4h",
        ),
        pytest.param(
            a_pod(meta=annotated("karpenter.sh/do-not-disrupt", "soon")),
            GOES,
            id="karpenter-nonsense-is-ignored",
        ),
    ],
)
def test_the_table(of: Pod, found: Code | None) -> None:
    assert outcome(of) is found


@pytest.mark.parametrize(
    ("of", "allowed", "found"),
    [
        # 12 PDB.
        pytest.param(a_pod(), 0, Code.BLOCKED_BY_PDB, id="12-exhausted"),
        pytest.param(a_pod(), 1, GOES, id="12-one-left"),
        # 9: a system pod that a budget speaks for is movable whatever its age.
        pytest.param(a_pod(namespace="kube-system", age_minutes=1), 1, GOES, id="9-with-a-budget"),
        pytest.param(
            a_pod(namespace="kube-system", age_minutes=1), 0, Code.BLOCKED_BY_PDB, id="9-exhausted"
        ),
        # There an older system pod and a safe one pass, and the Eviction API then refuses them.
        pytest.param(a_pod(namespace="kube-system"), 0, Code.BLOCKED_BY_PDB, id="9-older-differs"),
        pytest.param(a_pod(meta=SAFE), 0, Code.BLOCKED_BY_PDB, id="5-safe-differs"),
        # What is not evicted needs no budget.
        pytest.param(a_pod(owner="DaemonSet"), 0, GOES, id="4-daemonset"),
        pytest.param(a_pod(phase="Failed"), 0, GOES, id="6-failed"),
        pytest.param(a_pod(meta=f"deletionTimestamp: {LATE}"), 0, GOES, id="2-long-terminating"),
        # The first rule that decides is told.
        pytest.param(a_pod(spec=EMPTY_DIR), 0, Code.LOCAL_STORAGE, id="11-before-12"),
    ],
)
def test_the_table_with_a_budget(of: Pod, allowed: int, found: Code | None) -> None:
    assert outcome(of, budgets=(budget("api", allowed, of),)) is found
