"""Kubernetes' JSON to facts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.model.pod import Pod, PodKey, Taint
from hk3s_kube import objects

OBJECTS = Path(__file__).parent / "objects"


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 11, 23, hour, minute, second, tzinfo=UTC)


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((OBJECTS / f"{name}.json").read_text())
    return content


def pod_of(manifest: dict[str, Any]) -> Pod:
    return convert.pod(msgspec.convert(manifest, objects.Pod))


def test_a_pending_pod() -> None:
    pod = pod_of(load("pod"))

    assert str(pod.key) == "shop/web-7c9f-abcde"
    assert pod.spec.requests.cpu_milli == 2000, "the init container asks for more"
    assert pod.spec.requests.memory_bytes == 2**30
    assert pod.spec.host_ports == (("0.0.0.0", "TCP", 8080),)  # noqa: S104 - a fact
    assert pod.spec.node_selector == (("hk3s.dev/pool", "workers"),)
    assert pod.spec.priority == 100
    assert pod.spec.unsupported == ()
    assert (pod.created_at, pod.unschedulable_since) == (at(11, 59), at(11, 59, 5))
    assert pod.owner is not None
    assert pod.owner.kind == "ReplicaSet"
    assert pod.local_storage == ("cache",)
    assert pod.safe_to_evict is False
    assert (pod.gated, pod.mirror, pod.do_not_disrupt, pod.is_daemon) == (False,) * 4


def test_a_claim_is_noted_and_other_volumes_are_none() -> None:
    manifest = load("pod")
    manifest["spec"]["volumes"].append(
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    )

    assert pod_of(manifest).spec.claims == (("data", "data"),)


def test_a_volume_that_may_be_lost_is_no_local_storage() -> None:
    manifest = load("pod")
    manifest["metadata"]["annotations"] = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "cache, other"
    }

    assert pod_of(manifest).local_storage == ()


@pytest.mark.parametrize(
    ("reason", "node", "pending"),
    [
        pytest.param("Unschedulable", "", True, id="unschedulable"),
        pytest.param("SchedulingGated", "", False, id="gated"),
        pytest.param("Unschedulable", "n", False, id="bound-meanwhile"),
    ],
)
def test_who_counts_as_unschedulable(reason: str, node: str, *, pending: bool) -> None:
    manifest = load("pod")
    manifest["status"]["conditions"][0]["reason"] = reason
    manifest["spec"]["nodeName"] = node

    assert (pod_of(manifest).unschedulable_since is not None) is pending


def test_a_spec_that_cannot_be_read_is_reported_not_dropped() -> None:
    manifest = load("pod")
    manifest["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "much"

    assert "much" in pod_of(manifest).spec.unsupported[0]


def test_a_draining_node() -> None:
    node = convert.node(msgspec.convert(load("node"), objects.Node), "demo")

    assert (node.pool, node.server_id, node.is_master) == ("workers", 4711, False)
    assert (node.ready, node.not_ready_since) == (False, at(11, 58))
    assert (node.unschedulable, node.unneeded_since) == (True, at(11, 50))
    assert (node.draining_since, node.draining_reason) == (at(11, 59), "Empty")
    assert node.allocatable.cpu_milli == 1820
    assert node.allocatable.memory_bytes == 3300000 * 1024
    assert node.allocatable.extended == (("nvidia.com/gpu", 1),)
    assert Taint(key="dedicated", value="batch", effect="NoExecute") in node.taints
    assert node.attached_volumes == 1


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"hk3s.dev/pool": "workers"}, id="no-cluster"),
        pytest.param({"hk3s.dev/pool": "workers", "hk3s.dev/cluster": "other"}, id="other-cluster"),
        pytest.param(
            {
                "hk3s.dev/pool": "workers",
                "hk3s.dev/cluster": "demo",
                "node-role.kubernetes.io/control-plane": "true",
            },
            id="master",
        ),
    ],
)
def test_nodes_that_are_not_ours_have_no_pool(labels: dict[str, str]) -> None:
    manifest = load("node")
    manifest["metadata"]["labels"] = labels

    assert convert.node(msgspec.convert(manifest, objects.Node), "demo").pool == ""


def test_nonsense_in_annotations_and_provider_ids_is_no_fact() -> None:
    manifest = load("node")
    manifest["metadata"]["annotations"]["hk3s.dev/unneeded-since"] = "yesterday"
    manifest["metadata"]["annotations"]["hk3s.dev/draining-since"] = "2026-11-23T11:59:00"
    manifest["spec"]["providerID"] = "k3s://demo"

    node = convert.node(msgspec.convert(manifest, objects.Node), "demo")

    assert (node.unneeded_since, node.draining_since, node.server_id) == (None, None, 0)


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        pytest.param({"matchLabels": {"app": "web"}}, True, id="labels"),
        pytest.param({}, True, id="empty-selects-the-namespace"),
        pytest.param(None, False, id="absent-selects-nothing"),
        pytest.param({"matchLabels": {"app": "db"}}, False, id="other"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]},
            True,
            id="expression",
        ),
    ],
)
def test_which_pods_a_budget_covers(selector: dict[str, Any] | None, *, covered: bool) -> None:
    pod = pod_of(load("pod"))
    elsewhere = load("pod")
    elsewhere["metadata"]["namespace"] = "other"
    item = msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": selector},
            "status": {"disruptionsAllowed": 1},
        },
        objects.PodDisruptionBudget,
    )

    budget = convert.budget(item, (pod, pod_of(elsewhere)))

    expected = frozenset({PodKey("shop", "web-7c9f-abcde")} if covered else ())
    assert (budget.pods, budget.disruptions_allowed) == (expected, 1)


def test_a_daemon_set_is_its_pods_spec() -> None:
    template = {"spec": load("pod")["spec"]}
    item = msgspec.convert(
        {"metadata": {"name": "agent", "namespace": "shop"}, "spec": {"template": template}},
        objects.DaemonSet,
    )

    assert convert.daemonset(item).spec.requests.cpu_milli == 2000
