"""What hk3s installs beside itself, as HelmChart objects of k3s's own Helm controller.

Values are those of the charts' documented ones:
https://github.com/hetznercloud/hcloud-cloud-controller-manager (chart/values.yaml),
https://github.com/hetznercloud/csi-driver (chart/values.yaml), https://docs.cilium.io.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from hk3s_bootstrap.config import DEFAULT_ENDPOINT, ClusterConfig
from hk3s_hetzner import labels
from hk3s_kube import labels as node_labels

HETZNER_CHARTS = "https://charts.hetzner.cloud"
CILIUM_CHARTS = "https://helm.cilium.io"
Values = Mapping[str, Any]
MASTER_TOLERATION = {"key": node_labels.CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}


def helm_charts(config: ClusterConfig, endpoint: str) -> tuple[dict[str, Any], ...]:
    """Return the HelmChart objects, in the order in which a cluster needs them."""
    ccm = _helm_chart(
        name="hcloud-cloud-controller-manager",
        repo=HETZNER_CHARTS,
        version=config.addons.ccm,
        values=_ccm_values(config, endpoint),
        # Its job must run on a node that only this chart will initialize.
        bootstrap=True,
    )
    csi = _helm_chart(
        name="hcloud-csi",
        repo=HETZNER_CHARTS,
        version=config.addons.csi,
        values=_csi_values(config, endpoint),
    )
    if config.k3s.cni != "cilium":
        return (ccm, csi)
    cilium = _helm_chart(
        name="cilium",
        repo=CILIUM_CHARTS,
        version=config.addons.cilium,
        values=_cilium_values(config),
        bootstrap=True,
    )
    return (cilium, ccm, csi)


def _helm_chart(
    *, name: str, repo: str, version: str, values: Values, bootstrap: bool = False
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "chart": name,
        "repo": repo,
        "version": version,
        "targetNamespace": "kube-system",
        "valuesContent": yaml.safe_dump(values, sort_keys=False),
    }
    if bootstrap:
        spec["bootstrap"] = True
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": spec,
    }


def _ccm_values(config: ClusterConfig, endpoint: str) -> Values:
    environment: dict[str, Any] = {
        "HCLOUD_TOKEN": {"valueFrom": {"secretKeyRef": {"name": "hcloud", "key": "token"}}},
        # The pods' network is an overlay: routes would only fill up the network.
        "HCLOUD_NETWORK_ROUTES_ENABLED": {"value": "false"},
        # The zone of a node is its location, as its kubelet says.
        "HCLOUD_INSTANCES_ZONE_LABEL_ENABLED": {"value": "false"},
    }
    if endpoint != DEFAULT_ENDPOINT:
        environment["HCLOUD_ENDPOINT"] = {"value": endpoint}
    return {
        "networking": {"enabled": True, "clusterCIDR": str(config.k3s.cluster_cidr)},
        "env": environment,
    }


def _csi_values(config: ClusterConfig, endpoint: str) -> Values:
    extra = [] if endpoint == DEFAULT_ENDPOINT else [{"name": "HCLOUD_ENDPOINT", "value": endpoint}]
    return {
        "controller": {
            # Volumes are found again at the end of the cluster by this label.
            "volumeExtraLabels": labels.for_cluster(config.cluster),
            "hcloudVolumeDefaultLocation": config.location,
            "nodeSelector": {node_labels.CONTROL_PLANE: "true"},
            "tolerations": [MASTER_TOLERATION],
            "extraEnvVars": extra,
        },
        # The driver asks the metadata service which server it is on; pods cannot reach that.
        "node": {
            "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}],
            "extraEnvVars": extra,
        },
    }


def _cilium_values(config: ClusterConfig) -> Values:
    return {
        "kubeProxyReplacement": True,
        "k8sServiceHost": str(config.network.master_address),
        "k8sServicePort": 6443,
        "ipam": {
            "mode": "cluster-pool",
            "operator": {"clusterPoolIPv4PodCIDRList": [str(config.k3s.cluster_cidr)]},
        },
        "operator": {"replicas": 1},
    }
