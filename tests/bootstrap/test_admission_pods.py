"""Of a pod the daemon may say where it is planned to run, and nothing else."""

from typing import Any

import pytest

from bootstrap.rights import DENIED, WORKER, Rights

pytestmark = pytest.mark.asyncio(loop_scope="session")
PODS = "/api/v1/namespaces/default/pods"
TIME = "2026-11-23T12:00:00Z"
CONTAINER = {"name": "pause", "image": "pause", "imageID": "", "ready": True, "restartCount": 0}

OTHER_FIELDS: dict[str, Any] = {
    "allocatedResources": {"cpu": "1"},
    "conditions": [{"type": "PodScheduled", "status": "True"}],
    "containerStatuses": [CONTAINER],
    "ephemeralContainerStatuses": [CONTAINER],
    "extendedResourceClaimStatus": {"resourceClaimName": "claim", "requestMappings": []},
    "hostIP": "10.4.1.1",
    "hostIPs": [{"ip": "10.4.1.1"}],
    "initContainerStatuses": [CONTAINER],
    "message": "lost",
    "nodeAllocatableResourceClaimStatuses": [],
    "observedGeneration": 7,
    "phase": "Failed",
    "podIP": "10.42.0.9",
    "podIPs": [{"ip": "10.42.0.9"}],
    "qosClass": "Guaranteed",
    "reason": "Evicted",
    "resize": "Proposed",
    "resourceClaimStatuses": [{"name": "claim"}],
    "resources": {"requests": {"cpu": "1"}},
    "startTime": TIME,
}


async def pod(rights: Rights, name: str) -> str:
    """Make a pending pod; return its path."""
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}, "finalizers": ["test/keep"]},
        # Of nobody: kube-scheduler would write to its status, too.
        "spec": {
            "schedulerName": "nobody",
            "containers": [{"name": "pause", "image": "pause"}],
        },
    }
    await rights.admin.post(PODS, manifest)
    return f"{PODS}/{name}"


async def test_a_pod_is_nominated_and_the_nomination_is_taken_back(rights: Rights) -> None:
    path = await pod(rights, "nominated")
    uid = (await rights.admin.get(path))["metadata"]["uid"]

    for node in (WORKER, None):
        patch = {"metadata": {"uid": uid}, "status": {"nominatedNodeName": node}}
        await rights.daemon.patch(f"{path}/status", patch)
        assert (await rights.admin.get(path))["status"].get("nominatedNodeName") == node


async def test_no_other_field_of_the_status_is_set_or_changed(rights: Rights) -> None:
    path = await pod(rights, "untouched")
    before = await rights.admin.get(path)

    for name, value in OTHER_FIELDS.items():
        # A valid value for most; the API server itself refuses or drops the others.
        patch = {"status": {"nominatedNodeName": WORKER, name: value}}
        try:
            await rights.daemon.patch(f"{path}/status", patch)
        except DENIED:
            continue
        after = await rights.admin.get(path)
        assert after["status"].get(name) == before["status"].get(name), name


@pytest.mark.parametrize("field", ["conditions", "phase", "message", "podIPs", "startTime"])
async def test_the_policy_is_what_refuses(rights: Rights, field: str) -> None:
    path = await pod(rights, f"refused-{field.lower()}")

    with pytest.raises(DENIED, match="of a pod only"):
        await rights.daemon.patch(f"{path}/status", {"status": {field: OTHER_FIELDS[field]}})


@pytest.mark.parametrize("field", ["message", "conditions"])
async def test_what_a_kubelet_reported_is_not_removed(rights: Rights, field: str) -> None:
    path = await pod(rights, f"removed-{field.lower()}")
    status = {"message": "lost", "conditions": OTHER_FIELDS["conditions"]}
    await rights.admin.patch(f"{path}/status", {"status": status})

    with pytest.raises(DENIED):
        await rights.daemon.patch(f"{path}/status", {"status": {field: None}})


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": {"app": "other"}}, id="labels"),
        pytest.param({"labels": None}, id="no labels"),
        pytest.param({"annotations": {"a": "b"}}, id="annotations"),
        pytest.param({"finalizers": []}, id="finalizers"),
    ],
)
async def test_the_status_endpoint_does_not_open_the_metadata(
    rights: Rights, metadata: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    path = await pod(rights, f"metadata-{request.node.callspec.id.replace(' ', '-')}")

    with pytest.raises(DENIED, match="of a pod only"):
        await rights.daemon.patch(f"{path}/status", {"metadata": metadata})


INVITATION = {
    "key": "hk3s.dev/starting",
    "operator": "Equal",
    "value": WORKER,
    "effect": "NoSchedule",
}


async def tolerate(rights: Rights, path: str, toleration: dict[str, Any]) -> None:
    change = {"op": "add", "path": "/spec/tolerations/-", "value": toleration}
    await rights.daemon.patch(path, [change], "application/json-patch+json")


async def test_a_pod_is_let_in_by_a_node_that_is_starting(rights: Rights) -> None:
    path = await pod(rights, "invited")

    for node in (WORKER, "demo-general-other"):
        await tolerate(rights, path, INVITATION | {"value": node})

    tolerations = (await rights.admin.get(path))["spec"]["tolerations"]
    assert [t["value"] for t in tolerations if t["key"] == INVITATION["key"]] == [
        WORKER,
        "demo-general-other",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"key": "node-role.kubernetes.io/control-plane"}, id="masters"),
        pytest.param({"operator": "Exists", "value": ""}, id="every starting node"),
        pytest.param({"value": ""}, id="no node"),
        pytest.param({"effect": "NoExecute"}, id="another effect"),
        pytest.param({"effect": ""}, id="every effect"),
    ],
)
async def test_no_other_taint_is_tolerated(
    rights: Rights, changes: dict[str, str], request: pytest.FixtureRequest
) -> None:
    path = await pod(rights, f"tolerates-{request.node.callspec.id.replace(' ', '-')}")

    with pytest.raises(DENIED, match="of a pod only"):
        await tolerate(rights, path, INVITATION | changes)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"metadata": {"labels": {"app": "other"}}}, id="labels"),
        pytest.param({"metadata": {"annotations": {"a": "b"}}}, id="annotations"),
        pytest.param({"metadata": {"finalizers": []}}, id="finalizers"),
        pytest.param({"spec": {"activeDeadlineSeconds": 1}}, id="its end"),
    ],
)
async def test_nothing_else_of_a_pod_is_changed(
    rights: Rights, changes: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    path = await pod(rights, f"itself-{request.node.callspec.id.replace(' ', '-')}")

    with pytest.raises(DENIED, match="of a pod only"):
        await rights.daemon.patch(path, changes)


async def test_no_image_is_changed(rights: Rights) -> None:
    path = await pod(rights, "image")
    change = {"op": "replace", "path": "/spec/containers/0/image", "value": "another"}

    with pytest.raises(DENIED, match="of a pod only"):
        await rights.daemon.patch(path, [change], "application/json-patch+json")


async def test_a_pod_is_not_deleted(rights: Rights) -> None:
    path = await pod(rights, "kept")

    with pytest.raises(DENIED):
        await rights.daemon.delete(path)


async def test_every_field_of_the_api_servers_pod_status_is_tried(rights: Rights) -> None:
    schemas = (await rights.admin.get("/openapi/v3/api/v1"))["components"]["schemas"]
    known = set(schemas["io.k8s.api.core.v1.PodStatus"]["properties"])

    assert known - {"nominatedNodeName"} <= OTHER_FIELDS.keys()
