"""A stand-in for hcloud-cloud-controller-manager: it initializes Nodes and removes lost ones.

Behaviour: its hcloud/instances.go, and the node and node-lifecycle controllers of
k8s.io/cloud-provider that it runs.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog

from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable, KubernetesClient, Object
from hk3s_lab.machines import ccm_chart
from hk3s_lab.machines.ccm_chart import NotYet, Settings
from hk3s_lab.machines.ccm_cloud import Cloud, CloudAway, Server
from hk3s_lab.machines.heartbeat import is_ready
from hk3s_lab.machines.node_object import timestamp
from hk3s_lab.machines.site import Site

log = structlog.get_logger()

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
SHUTDOWN = "node.cloudprovider.kubernetes.io/shutdown"
_PREFIX = "hcloud://"
_CHART_SECONDS, _RETRY_SECONDS = 0.5, 1.0
_CONFLICT, _NOT_FOUND = 409, 404


class CloudController:
    """Runs beside a master's control plane, with all rights; `run` until cancelled."""

    def __init__(self, site: Site, client: KubernetesClient) -> None:
        self._site = site
        self._client = client
        self._nodes: dict[str, Object] = {}

    async def run(self) -> None:
        """Wait for a chart that lets the controller start, then control."""
        told = ""
        while True:
            try:
                settings = await ccm_chart.read(self._client)
                async with Cloud(settings, self._site.clock) as cloud:
                    await cloud.check_network()
                    log.info("ccm.started", network=settings.network)
                    await self._control(cloud, settings)
            except NotYet as reason:
                if str(reason) != told:
                    told = str(reason)
                    log.info("ccm.waiting", reason=told)
                    await self._tell(told)
            except (ApiError, ApiUnreachable, CloudAway) as error:
                log.debug("ccm.retry", error=str(error))
            await self._site.clock.sleep(_CHART_SECONDS)

    async def _control(self, cloud: Cloud, settings: Settings) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._initialize_nodes(cloud, settings))
            group.create_task(self._remove_lost(cloud))

    async def _initialize_nodes(self, cloud: Cloud, settings: Settings) -> None:
        async for kind, node in self._client.follow("/api/v1/nodes", {}, self._site.clock):
            if kind == "SYNCED":
                continue
            name = node["metadata"]["name"]
            if kind == "DELETED":
                self._nodes.pop(name, None)
                continue
            self._nodes[name] = node
            if _has_taint(node, UNINITIALIZED):
                await self._initialize(cloud, settings, name)

    async def _initialize(self, cloud: Cloud, settings: Settings, name: str) -> None:
        while True:
            try:
                node = await self._client.get(f"/api/v1/nodes/{name}")
                if not _has_taint(node, UNINITIALIZED):
                    return
                server = await cloud.find(node["spec"].get("providerID", ""), name)
                if server is None:
                    log.warning("ccm.no_server", node=name)
                    return
                await self._client.patch(
                    f"/api/v1/nodes/{name}/status",
                    {"status": {"addresses": addresses(name, server, cloud)}},
                )
                await self._client.patch(
                    f"/api/v1/nodes/{name}", initialized(node, server, settings)
                )
            except ApiError as error:
                if error.status == _NOT_FOUND:
                    return
                if error.status != _CONFLICT:
                    log.warning("ccm.refused", node=name, error=str(error))
                await self._site.clock.sleep(_RETRY_SECONDS if error.status != _CONFLICT else 0.05)
            except (ApiUnreachable, CloudAway) as error:
                log.debug("ccm.retry", node=name, error=str(error))
                await self._site.clock.sleep(_RETRY_SECONDS)
            else:
                log.info("ccm.initialized", node=name, server=server["id"])
                return

    async def _remove_lost(self, cloud: Cloud) -> None:
        """Look at the Nodes that are not Ready, each period."""
        while True:
            await self._site.clock.sleep(self._site.options.node_lifecycle_seconds)
            for name, node in list(self._nodes.items()):
                try:
                    await self._look_after(cloud, name, node)
                except (ApiError, ApiUnreachable, CloudAway) as error:
                    log.debug("ccm.retry", node=name, error=str(error))

    async def _look_after(self, cloud: Cloud, name: str, node: Object) -> None:
        if is_ready(node):
            if _has_taint(node, SHUTDOWN):
                await self._taint(node, present=False)
            return
        provider = node["spec"].get("providerID", "")
        if provider and not provider.startswith(_PREFIX):
            return
        server = await cloud.find(provider, name, fresh=True)
        if server is None:
            log.info("ccm.node_deleted", node=name)
            await self._client.delete(f"/api/v1/nodes/{name}")
        elif server["status"] == "off" and not _has_taint(node, SHUTDOWN):
            await self._taint(node, present=True)

    async def _taint(self, node: Object, *, present: bool) -> None:
        taints = [taint for taint in node["spec"].get("taints") or () if taint["key"] != SHUTDOWN]
        if present:
            taints.append({"key": SHUTDOWN, "effect": "NoSchedule"})
        metadata = node["metadata"]
        body = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "spec": {"taints": taints},
        }
        await self._client.patch(f"/api/v1/nodes/{metadata['name']}", body)

    async def _tell(self, reason: str) -> None:
        """Put the reason where `kubectl describe helmchart` shows it, if there is a chart."""
        now = self._site.clock.now()
        try:
            chart = await self._client.get(ccm_chart.CHART_PATH)
            await self._client.create(
                f"/api/v1/namespaces/{ccm_chart.NAMESPACE}/events", _event(chart, reason, now)
            )
        except (ApiError, ApiUnreachable) as error:
            log.debug("ccm.event_lost", error=str(error))


def initialized(node: Object, server: Server, settings: Settings) -> Object:
    """Return the patch that makes a Node one of the cloud's; a conflict if the Node changed."""
    labels = {
        "node.kubernetes.io/instance-type": server["server_type"]["name"],
        "beta.kubernetes.io/instance-type": server["server_type"]["name"],
        "topology.kubernetes.io/region": _location(server)["name"],
        "failure-domain.beta.kubernetes.io/region": _location(server)["name"],
        "instance.hetzner.cloud/provided-by": "cloud",
    }
    if settings.zone_label and server.get("datacenter"):
        labels["topology.kubernetes.io/zone"] = server["datacenter"]["name"]
    taints = [taint for taint in node["spec"].get("taints") or () if taint["key"] != UNINITIALIZED]
    return {
        "metadata": {
            "labels": labels,
            "resourceVersion": node["metadata"]["resourceVersion"],
        },
        "spec": {
            "providerID": node["spec"].get("providerID") or f"{_PREFIX}{server['id']}",
            "taints": taints or None,
        },
    }


def addresses(name: str, server: Server, cloud: Cloud) -> list[dict[str, str]]:
    """Return a Node's addresses: its private one is that in the cluster's network."""
    result = [{"type": "Hostname", "address": name}]
    public = (server.get("public_net") or {}).get("ipv4")
    if public:
        result.append({"type": "ExternalIP", "address": public["ip"]})
    private = cloud.private_address(server)
    if private:
        result.append({"type": "InternalIP", "address": private})
    return result


def _location(server: Server) -> Mapping[str, Any]:
    location: Mapping[str, Any] = server.get("location") or server["datacenter"]["location"]
    return location


def _has_taint(node: Object, key: str) -> bool:
    return any(taint["key"] == key for taint in node["spec"].get("taints") or ())


def _event(chart: Object, reason: str, now: datetime) -> Object:
    metadata = chart["metadata"]
    stamp = timestamp(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "generateName": f"{metadata['name']}.",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": chart["apiVersion"],
            "kind": chart["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": "NotStarted",
        "message": reason,
        "type": "Warning",
        "source": {"component": "cloud-controller"},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
