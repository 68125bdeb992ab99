"""What the daemon's ServiceAccount may and may not do, on a real API server with deploy/base."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bootstrap.conftest import spec_of
from hk3s_bootstrap import kubeconfig, objects, state
from hk3s_cloudinit import minting
from hk3s_kube.client import Kube
from hk3s_kube.clock import SystemClock
from hk3s_kube.errors import Forbidden, Invalid, KubeError
from hk3s_lab.kubernetes.controlplane import ControlPlane
from lab.kubernetes.clusters import loopback_network

SECRETS = "/api/v1/namespaces/kube-system/secrets"
ACCOUNT = "/api/v1/namespaces/hk3s-system/serviceaccounts/hk3s-autoscaler"
MASTER, WORKER, FOREIGN = "demo-master-1", "demo-general-abcde", "somebody-elses"
DENIED = (Forbidden, Invalid)
"""RBAC answers 403, an admission policy 422."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Rights:
    """The same API server, met as administrator and as the daemon."""

    admin: Kube
    daemon: Kube


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rights(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rights]:
    now = SystemClock().now()
    secrets = state.mint(now, bytes)
    with loopback_network() as number:
        address = f"127.{number}.0.3"
        plane = ControlPlane(
            spec_of(tmp_path_factory.mktemp("master"), address, secrets), binary=binary
        )
        await plane.start()
        text = kubeconfig.render("demo", secrets, address, now)
        admin = await Kube.from_kubeconfig(text)
        await _install(admin)
        daemon = await _as_daemon(admin, secrets, address)
        try:
            await _wait_for_policies(daemon)
            yield Rights(admin=admin, daemon=daemon)
        finally:
            await daemon.close()
            await admin.close()
            await plane.stop()


async def _install(admin: Kube) -> None:
    for manifest in objects.base():
        if manifest["kind"] != "Deployment":
            await admin.apply(manifest, field_manager="test")
    for name, labels in (
        (MASTER, {"node-role.kubernetes.io/control-plane": "true"}),
        (WORKER, {"hk3s.dev/pool": "general"}),
        (FOREIGN, {}),
    ):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await admin.post("/api/v1/nodes", node)


async def _as_daemon(admin: Kube, secrets: state.State, address: str) -> Kube:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await admin.post(f"{ACCOUNT}/token", request)
    text = kubeconfig.render("demo", secrets, address, SystemClock().now())
    return await Kube.from_kubeconfig(_with_token(text, answer["status"]["token"]))


def _with_token(text: str, token: str) -> str:
    head, _, rest = text.partition("users:")
    _, _, contexts = rest.partition("contexts:")
    return f"{head}users:\n- name: demo-admin\n  user: {{token: {token}}}\ncontexts:{contexts}"


async def _wait_for_policies(daemon: Kube) -> None:
    """Policies act a moment after they were made: wait until one denies."""
    async with asyncio.timeout(20):
        while True:
            try:
                await daemon.patch(f"/api/v1/nodes/{FOREIGN}", {"metadata": {"labels": {"x": "y"}}})
            except KubeError:
                return
            await asyncio.sleep(0.1)


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


@pytest.mark.parametrize(
    ("node", "labels"),
    [
        pytest.param(WORKER, {"hk3s.dev/pool": "other"}, id="changed"),
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
        "/api/v1/namespaces/kube-system/configmaps",
        "/apis/apps/v1/namespaces/kube-system/deployments",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ],
)
async def test_nothing_else_is_even_listed(rights: Rights, path: str) -> None:
    with pytest.raises(DENIED):
        await rights.daemon.list_items(path)


async def test_the_status_config_map_is_written_and_no_other(rights: Rights) -> None:
    maps = "/api/v1/namespaces/hk3s-system/configmaps"

    await rights.daemon.patch(f"{maps}/hk3s-autoscaler-status", {"data": {"a": "b"}})

    with pytest.raises(DENIED):
        await rights.daemon.patch(f"{maps}/hk3s-autoscaler-config", {"data": {"a": "b"}})
    with pytest.raises(DENIED):
        await rights.daemon.post(maps, {"metadata": {"name": "other"}})


async def test_policies_have_no_type_warnings(rights: Rights) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    async with asyncio.timeout(30):
        while True:
            policies = await rights.admin.list_items(path)
            if all("observedGeneration" in policy.get("status", {}) for policy in policies):
                break
            await asyncio.sleep(0.2)

    warnings = {
        policy["metadata"]["name"]: policy["status"].get("typeChecking", {}) for policy in policies
    }
    assert warnings == {"hk3s-autoscaler-join-tokens": {}, "hk3s-autoscaler-nodes": {}}
