"""When hcloud-cloud-controller-manager would start, and with which settings. Pure but for reads.

The chart's defaults: https://github.com/hetznercloud/hcloud-cloud-controller-manager
chart/values.yaml (token and network from Secret `hcloud`).
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from hk3s_lab.kubernetes_client import ApiError, KubernetesClient, Object

CHART = "hcloud-cloud-controller-manager"
NAMESPACE = "kube-system"
CHART_PATH = f"/apis/helm.cattle.io/v1/namespaces/{NAMESPACE}/helmcharts/{CHART}"
_SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/"
_DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"
_NOT_FOUND = 404
_DEFAULT_ENV: Mapping[str, Any] = {
    "HCLOUD_TOKEN": {"valueFrom": {"secretKeyRef": {"name": "hcloud", "key": "token"}}},
}
_DEFAULT_NETWORK = {"valueFrom": {"secretKeyRef": {"name": "hcloud", "key": "network"}}}


class NotYet(Exception):
    """The controller does not start; the text says what keeps it from starting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the controller runs with."""

    endpoint: str
    token: str = field(repr=False)
    network: str
    zone_label: bool


async def read(client: KubernetesClient) -> Settings:
    """Return the settings.

    Raises:
        NotYet: no chart, or one that would leave a private cluster without addresses or routes.
        ApiError: the API refuses a read.
    """
    chart = await _find(client, CHART_PATH)
    if chart is None:
        raise NotYet(f"no HelmChart {NAMESPACE}/{CHART}")
    values = judge(chart)
    env = {**_DEFAULT_ENV, **(values.get("env") or {})}
    network = (values["networking"].get("network") or {}) or _DEFAULT_NETWORK
    endpoint = await _value(client, env.get("HCLOUD_ENDPOINT"), "HCLOUD_ENDPOINT")
    return Settings(
        endpoint=(endpoint or _DEFAULT_ENDPOINT).rstrip("/"),
        token=await _required(client, env["HCLOUD_TOKEN"], "HCLOUD_TOKEN"),
        network=await _required(client, network, "HCLOUD_NETWORK"),
        zone_label=await _value(
            client, env.get("HCLOUD_INSTANCES_ZONE_LABEL_ENABLED"), "zone label"
        )
        != "false",
    )


def judge(chart: Object) -> dict[str, Any]:
    """Return the chart's values.

    Raises:
        NotYet: helm or the controller would refuse them, or a private cluster would not work.
    """
    spec = chart.get("spec") or {}
    if spec.get("chart", "").rpartition("/")[2] != CHART:
        raise NotYet(f"spec.chart must be {CHART}")
    if not spec.get("repo") and "/" not in spec.get("chart", ""):
        raise NotYet("spec.repo is missing")
    if spec.get("bootstrap") is not True:
        raise NotYet("spec.bootstrap must be true: its job cannot run on an uninitialized node")
    if spec.get("targetNamespace", NAMESPACE) != NAMESPACE:
        raise NotYet(f"spec.targetNamespace must be {NAMESPACE}, where the Secret is")
    try:
        values = yaml.safe_load(spec.get("valuesContent") or "{}")
    except yaml.YAMLError as error:
        raise NotYet("spec.valuesContent is not YAML") from error
    networking = values.get("networking") if isinstance(values, dict) else None
    if not isinstance(networking, dict) or networking.get("enabled") is not True:
        raise NotYet("networking.enabled must be true: private nodes have no other address")
    try:
        ipaddress.ip_network(networking.get("clusterCIDR", ""))
    except ValueError as error:
        raise NotYet("networking.clusterCIDR is no range") from error
    routes = ((values.get("env") or {}).get("HCLOUD_NETWORK_ROUTES_ENABLED") or {}).get("value")
    if routes != "false":
        raise NotYet("HCLOUD_NETWORK_ROUTES_ENABLED must be 'false' with an overlay network")
    return dict(values)


async def _required(client: KubernetesClient, source: Mapping[str, Any], name: str) -> str:
    value = await _value(client, source, name)
    if not value:
        raise NotYet(f"{name} is empty")
    return value


async def _value(
    client: KubernetesClient, source: Mapping[str, Any] | None, name: str
) -> str | None:
    if source is None:
        return None
    if "value" in source:
        return str(source["value"])
    reference = (source.get("valueFrom") or {}).get("secretKeyRef")
    if not reference:
        raise NotYet(f"{name} has neither a value nor a secretKeyRef")
    secret = await _find(client, _SECRET + reference["name"])
    if secret is None:
        raise NotYet(f"{name}: no Secret {NAMESPACE}/{reference['name']}")
    encoded = (secret.get("data") or {}).get(reference["key"])
    if encoded is None:
        raise NotYet(f"{name}: Secret {reference['name']} has no key {reference['key']}")
    return base64.b64decode(encoded).decode().strip()


async def _find(client: KubernetesClient, path: str) -> Object | None:
    try:
        return await client.get(path)
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
