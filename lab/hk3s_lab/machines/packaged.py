"""What k3s deploys by itself unless `disable` names it: here the workloads, as hollow pods.

Requests and tolerations are those of k3s's own manifests, since they take room on the master.
"""

from typing import Any

import structlog

from hk3s_lab.kubernetes_client import ApiError, KubernetesClient, Object
from hk3s_lab.machines.k3s_config import ServerConfig

log = structlog.get_logger()

_NAMESPACE = "kube-system"
_CONFLICT = 409
_TOLERATIONS = [
    {"key": "CriticalAddonsOnly", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
]
_DEPLOYMENTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "coredns": ("coredns", "rancher/mirrored-coredns-coredns", {"cpu": "100m", "memory": "70Mi"}),
    "metrics-server": (
        "metrics-server",
        "rancher/mirrored-metrics-server",
        {"cpu": "100m", "memory": "70Mi"},
    ),
    "local-storage": ("local-path-provisioner", "rancher/local-path-provisioner", {}),
}
"""Component -> name of its Deployment, image, requests."""


async def deploy(admin: KubernetesClient, server: ServerConfig) -> None:
    """Create what is enabled and not there yet; raises what the client raises."""
    for component, (name, image, requests) in _DEPLOYMENTS.items():
        if component in server.disable:
            continue
        await _create(
            admin,
            f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
            _deployment(name, image, requests),
        )
        if component == "coredns":
            path = f"/api/v1/namespaces/{_NAMESPACE}/services"
            await _create(admin, path, _dns_service(server.cluster_dns))
    if ignored := {"traefik", "servicelb"} - set(server.disable):
        log.warning("k3s.components_ignored", components=sorted(ignored))


async def _create(admin: KubernetesClient, path: str, body: Object) -> None:
    try:
        await admin.create(path, body)
    except ApiError as error:
        if error.status != _CONFLICT:
            raise


def _deployment(name: str, image: str, requests: dict[str, str]) -> Object:
    labels = {"k8s-app": "kube-dns" if name == "coredns" else name}
    pod: dict[str, Any] = {
        "priorityClassName": "system-cluster-critical",
        "tolerations": _TOLERATIONS,
        "automountServiceAccountToken": False,
        "containers": [{"name": name, "image": image, "resources": {"requests": requests}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": _NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _dns_service(address: str) -> Object:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": _NAMESPACE},
        "spec": {"clusterIP": address, "selector": {"k8s-app": "kube-dns"}, "ports": ports},
    }
