"""What keeps a Node alive: its registration, its Lease and its status, as a kubelet writes them."""

from dataclasses import dataclass

import structlog

from hk3s_lab.hetzner.events import MachineFacts
from hk3s_lab.kubernetes_client import ApiError, ApiUnreachable, KubernetesClient, Object
from hk3s_lab.machines import node_object
from hk3s_lab.machines.k3s_config import AgentConfig
from hk3s_lab.machines.progress import StepError
from hk3s_lab.machines.site import Site

log = structlog.get_logger()

_LEASE_SECONDS = 40
_NOT_FOUND, _CONFLICT, _FORBIDDEN = 404, 409, 403
_POLL_SECONDS = 0.1
_POD_CIDR_SECONDS = 30.0


class NodeGone(Exception):
    """The Node object was deleted: k3s's agent exits and joins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKeeper:
    """One Node, through the eyes of its own kubelet."""

    site: Site
    client: KubernetesClient
    facts: MachineFacts
    config: AgentConfig
    version: str

    @property
    def _path(self) -> str:
        return f"/api/v1/nodes/{self.config.name}"

    async def register(self) -> Object:
        """Create the Node, or take over the one of that name, and return it.

        Raises:
            StepError: `label-forbidden`, `api-unreachable` or `k3s-failed`.
        """
        wanted = node_object.node(self.facts, self.config)
        status = node_object.status(
            self.facts, self.config, self.version, ready=False, now=self.site.clock.now()
        )
        addresses = node_object.addresses(self.config)
        try:
            try:
                # A kubelet registers with its status: whoever sees the Node sees its size, too.
                return await self.client.create(
                    "/api/v1/nodes", {**wanted, "status": {**status, "addresses": addresses}}
                )
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
                # Labels are set again at each start of a kubelet, taints only at registration.
                labels = {"metadata": {"labels": wanted["metadata"]["labels"]}}
                node = await self.client.patch(self._path, labels)
            known = node.get("status", {}).get("addresses")
            body = {"status": {**status, "addresses": known or addresses}}
            return await self.client.patch(f"{self._path}/status", body)
        except ApiError as error:
            raise _refusal(error) from error
        except ApiUnreachable as error:
            raise StepError("api-unreachable", "the API does not answer the kubelet") from error

    async def become_ready(self) -> str:
        """Wait for the pod range that the CNI needs, report Ready and return the range.

        Raises:
            ApiUnreachable: no range within half a minute, or no answer.
            NodeGone: the Node was deleted meanwhile.
        """
        deadline = self.site.clock.monotonic() + _POD_CIDR_SECONDS
        while True:
            node = await self._get()
            if cidr := node["spec"].get("podCIDR"):
                break
            if self.site.clock.monotonic() > deadline:
                raise ApiUnreachable("the node got no pod range")
            await self.site.clock.sleep(_POLL_SECONDS)
        await self._renew(node)
        await self._report_ready()
        return str(cidr)

    async def keep(self) -> None:
        """Renew the Lease and, where it was lost, the Ready condition; for ever.

        Raises:
            NodeGone: the Node was deleted.
        """
        while True:
            await self.site.clock.sleep(self.site.options.heartbeat_seconds)
            try:
                node = await self._get()
                await self._renew(node)
                if not is_ready(node):
                    await self._report_ready()
            except (ApiUnreachable, ApiError) as error:
                log.debug("kubelet.heartbeat_failed", node=self.config.name, error=str(error))

    async def _get(self) -> Object:
        try:
            return await self.client.get(self._path)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                raise NodeGone(self.config.name) from error
            raise

    async def _report_ready(self) -> None:
        conditions = node_object.conditions(ready=True, now=self.site.clock.now())
        # Strategic: conditions of others (NetworkUnavailable) are kept, ours replaced by type.
        await self.client.patch(
            f"{self._path}/status",
            {"status": {"conditions": conditions}},
            "strategic-merge-patch+json",
        )

    async def _renew(self, node: Object) -> None:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        now = self.site.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self.config.name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": now,
        }
        owner = {
            "apiVersion": "v1",
            "kind": "Node",
            "name": self.config.name,
            "uid": node["metadata"]["uid"],
        }
        metadata = {"name": self.config.name, "ownerReferences": [owner]}
        try:
            await self.client.patch(
                f"{path}/{self.config.name}", {"metadata": metadata, "spec": spec}
            )
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            await self.client.create(
                path,
                {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": metadata,
                    "spec": spec,
                },
            )


def is_ready(node: Object) -> bool:
    """Whether a Node's Ready condition is True."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in node.get("status", {}).get("conditions") or ()
    )


def _refusal(error: ApiError) -> StepError:
    # NodeRestriction, and whoever reads k3s's journal, tells both in one breath.
    told = ("label", "is not allowed to modify")
    if error.status == _FORBIDDEN and any(words in error.message for words in told):
        return StepError("label-forbidden", error.message)
    return StepError("k3s-failed", f"the API refuses the node: {error.reason} {error.message}")
