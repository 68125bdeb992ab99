"""What the daemon's ServiceAccount may and may not do, on a real API server with deploy/base."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bootstrap.rights import DENIED, FOREIGN, MASTER, SECRETS, WORKER, Rights
from hk3s_cloudinit import minting
from hk3s_kube.clock import SystemClock

pytestmark = pytest.mark.asyncio(loop_scope="session")


def token(name: str = "demo-general-abcde", minutes: float = 20, **changes: str) -> dict[str, Any]:
    minted = minting.mint_bootstrap_token(
        name, bytes, SystemClock().now(), timedelta(minutes=minutes)
    )
    secret: dict[str, Any] = minting.bootstrap_token_secret(minted, f"hk3s node {name}")
    secret["stringData"] |= changes
    return secret


async def test_a_join_token_of_minutes_is_made_and_revoked(rights: Rights) -> None:
    secret = token()

    await rights.daemon.post(SECRETS, secret)
    await rights.daemon.delete(f"{SECRETS}/{secret['metadata']['name']}")


@pytest.mark.parametrize("minutes", [59, 5])
async def test_a_join_token_may_live_up_to_an_hour(rights: Rights, minutes: int) -> None:
    secret = token(f"within-{minutes}", minutes)

    await rights.daemon.post(SECRETS, secret)


GROUP = "system:bootstrappers:k3s:default-node-token"
SERVICE_ACCOUNT_TOKEN = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "bootstrap-token-aaaaaa",
        "namespace": "kube-system",
        "annotations": {"kubernetes.io/service-account.name": "default"},
    },
    "type": "kubernetes.io/service-account-token",
}


@pytest.mark.parametrize(
    ("minutes", "data", "other"),
    [
        pytest.param(62, {}, {}, id="more than an hour"),
        pytest.param(7 * 24 * 60, {}, {}, id="a week"),
        pytest.param(5, {"expiration": "2026-11-23T12:00:00+00:00"}, {}, id="other form of time"),
        pytest.param(5, {"expiration": "never"}, {}, id="no time at all"),
        pytest.param(5, {"auth-extra-groups": f"{GROUP},system:masters"}, {}, id="two groups"),
        pytest.param(5, {"auth-extra-groups": "system:masters"}, {}, id="another group"),
        pytest.param(5, {"usage-bootstrap-signing": "true"}, {}, id="may sign"),
        pytest.param(5, {"extra": "key"}, {}, id="an unknown key"),
        pytest.param(5, {}, {"metadata": {"name": "demo"}}, id="another name"),
        pytest.param(5, {}, {"type": "Opaque"}, id="another type"),
    ],
)
async def test_no_other_secret_is_made(
    rights: Rights, minutes: int, data: dict[str, str], other: dict[str, Any]
) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.post(SECRETS, token("other", minutes, **data) | other)


async def test_no_token_of_a_service_account_is_made(rights: Rights) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.post(SECRETS, SERVICE_ACCOUNT_TOKEN)


async def test_a_token_without_expiration_is_denied(rights: Rights) -> None:
    secret = token()
    del secret["stringData"]["expiration"]

    with pytest.raises(DENIED):
        await rights.daemon.post(SECRETS, secret)


async def test_the_administrator_is_not_bound_by_the_policies(rights: Rights) -> None:
    await rights.admin.post(SECRETS, token("for-a-week", minutes=7 * 24 * 60))


async def test_secrets_are_neither_read_nor_deleted_unless_join_tokens(rights: Rights) -> None:
    name = "demo-general-abcde.node-password.k3s"
    await rights.admin.post(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    )

    with pytest.raises(DENIED):
        await rights.daemon.delete(f"{SECRETS}/{name}")
    with pytest.raises(DENIED):
        await rights.daemon.get(f"{SECRETS}/{name}")
    with pytest.raises(DENIED):
        await rights.daemon.list_items(SECRETS)
    with pytest.raises(DENIED):
        await rights.daemon.post(
            "/api/v1/namespaces/default/secrets",
            token() | {"metadata": {"name": "bootstrap-token-aaaaaa"}},
        )


async def test_a_worker_is_cordoned_and_annotated(rights: Rights) -> None:
    await rights.daemon.patch(
        f"/api/v1/nodes/{WORKER}",
        {"metadata": {"annotations": {"hk3s.dev/reason": "x"}}, "spec": {"unschedulable": True}},
    )


async def test_a_worker_that_was_starting_is_opened(rights: Rights) -> None:
    path = f"/api/v1/nodes/{WORKER}"
    kept = {"key": "x", "effect": "NoExecute"}
    taints = [{"key": "hk3s.dev/starting", "effect": "NoSchedule"}, kept]
    await rights.admin.patch(path, {"spec": {"taints": taints}})

    node = await rights.daemon.patch(path, {"spec": {"taints": [kept]}})

    assert "hk3s.dev/starting" not in [taint["key"] for taint in node["spec"]["taints"]]


async def test_a_worker_is_hidden_from_load_balancers_and_shown_again(rights: Rights) -> None:
    for value in ("true", None):
        labels = {"node.kubernetes.io/exclude-from-external-load-balancers": value}
        await rights.daemon.patch(f"/api/v1/nodes/{WORKER}", {"metadata": {"labels": labels}})


@pytest.mark.parametrize(
    ("node", "labels"),
    [
        pytest.param(WORKER, {"hk3s.dev/pool": "other"}, id="changed"),
        pytest.param(WORKER, {"node-role.kubernetes.io/control-plane": "true"}, id="made a master"),
        pytest.param(WORKER, {"disk": "fast"}, id="any label of a worker"),
        pytest.param(WORKER, {"hk3s.dev/pool": None}, id="removed"),
        pytest.param(FOREIGN, {"hk3s.dev/pool": "general"}, id="added"),
        pytest.param(MASTER, {"hk3s.dev/pool": "general"}, id="added to the master"),
        pytest.param(MASTER, {"harmless": "label"}, id="anything on the master"),
    ],
)
async def test_ownership_is_not_rewritten(
    rights: Rights, node: str, labels: dict[str, str | None]
) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})


@pytest.mark.parametrize("node", [MASTER, FOREIGN])
async def test_only_the_daemons_own_nodes_are_deleted(rights: Rights, node: str) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.delete(f"/api/v1/nodes/{node}")


async def test_a_worker_of_a_pool_is_deleted(rights: Rights) -> None:
    node = {"name": "demo-general-zzzzz", "labels": {"hk3s.dev/pool": "general"}}
    await rights.admin.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": node})

    await rights.daemon.delete("/api/v1/nodes/demo-general-zzzzz")


async def test_the_daemon_does_not_make_nodes(rights: Rights) -> None:
    node = {"name": "made-up", "labels": {"hk3s.dev/pool": "general"}}

    with pytest.raises(DENIED):
        await rights.daemon.post(
            "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": node}
        )


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/secrets",
        "/api/v1/serviceaccounts",
        "/api/v1/namespaces/hk3s-system/secrets",
        "/api/v1/namespaces/hk3s-system/configmaps",
        "/api/v1/namespaces/kube-system/configmaps",
        "/apis/apps/v1/namespaces/kube-system/deployments",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ],
)
async def test_nothing_else_is_even_listed(rights: Rights, path: str) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.list_items(path)


@pytest.mark.parametrize("namespace", ["kube-system", "hk3s-system"])
async def test_deployments_are_out_of_reach(rights: Rights, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    labels = {"app": "demo"}
    await rights.admin.post(
        path,
        {
            "metadata": {"name": "kept"},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "pause", "image": "pause"}]},
                },
            },
        },
    )

    with pytest.raises(DENIED):
        await rights.daemon.patch(f"{path}/kept", {"spec": {"replicas": 1}})
    with pytest.raises(DENIED):
        await rights.daemon.delete(f"{path}/kept")
    with pytest.raises(DENIED):
        await rights.daemon.get(f"{path}/kept")


@pytest.mark.parametrize(
    "path",
    [
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/hk3s-autoscaler-nodes",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/hk3s-autoscaler-nodes",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/hk3s-autoscaler",
        "/apis/hk3s.dev/v1alpha1/nodepools/general",
    ],
)
async def test_what_binds_the_daemon_is_not_in_its_hands(rights: Rights, path: str) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.patch(path, {"metadata": {"labels": {"x": "y"}}})
    with pytest.raises(DENIED):
        await rights.daemon.delete(path)


async def test_the_status_config_map_is_written_and_no_other(rights: Rights) -> None:
    maps = "/api/v1/namespaces/hk3s-system/configmaps"

    await rights.daemon.patch(f"{maps}/hk3s-autoscaler-status", {"data": {"a": "b"}})

    with pytest.raises(DENIED):
        await rights.daemon.patch(f"{maps}/hk3s-autoscaler-config", {"data": {"a": "b"}})
    with pytest.raises(DENIED):
        await rights.daemon.post(maps, {"metadata": {"name": "other"}})


async def test_policies_have_no_type_warnings(rights: Rights) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    async with asyncio.timeout(60):
        while True:
            policies = await rights.admin.list_items(path)
            if all("observedGeneration" in policy.get("status", {}) for policy in policies):
                break
            await asyncio.sleep(0.2)

    warnings = {
        policy["metadata"]["name"]: policy["status"].get("typeChecking", {}) for policy in policies
    }
    assert warnings == {
        "hk3s-autoscaler-join-tokens": {},
        "hk3s-autoscaler-nodes": {},
        "hk3s-autoscaler-pods": {},
    }
