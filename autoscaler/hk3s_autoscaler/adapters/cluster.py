"""Kubernetes as the daemon needs it: facts from watches, calls past them, writes behind a fence."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from hk3s_autoscaler import ports
from hk3s_autoscaler.adapters import convert, pools
from hk3s_autoscaler.adapters.kube_events import EventWriter
from hk3s_autoscaler.adapters.opening import NodeOpening
from hk3s_autoscaler.adapters.watches import Watches
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod
from hk3s_autoscaler.model.volumes import Storage
from hk3s_autoscaler.ports import ObjectRef, PoolStatus
from hk3s_cloudinit import tokens
from hk3s_kube import errors, labels, nodepool, objects
from hk3s_kube.client import Json, Kube

FIELD_MANAGER = "hk3s-autoscaler"
REPORT_NAME = "hk3s-autoscaler-status"
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
T = TypeVar("T", bound=objects.KubeObject)


class KubeCluster:
    """Implements `ports.Cluster` on an API server."""

    def __init__(
        self,
        kube: Kube,
        watches: Watches,
        *,
        cluster: str,
        namespace: str,
        ca_hash: str,
        clock: ports.Clock,
        fence: Callable[[], None],
        random_bytes: tokens.RandomBytes,
    ) -> None:
        """`fence` raises `hk3s_kube.errors.NotLeader` when nothing may be written."""
        self._kube = kube
        self._watches = watches
        self._cluster = cluster
        self._ca_hash = ca_hash
        self._clock = clock
        self._fence = fence
        self._random_bytes = random_bytes
        self._report_path = f"/api/v1/namespaces/{namespace}/configmaps/{REPORT_NAME}"
        self._events = EventWriter(kube, clock)
        self._opening = NodeOpening(kube, fence=fence)
        self._uid = ""

    async def start(self) -> None:
        """Read what never changes."""
        with _translated("kube-system"):
            found = await self._kube.get("/api/v1/namespaces/kube-system")
        self._uid = str(found["metadata"]["uid"])

    # From the watches

    def nodes(self) -> tuple[Node, ...]:
        """All Nodes."""
        return self._watches.nodes()

    def pods(self) -> tuple[Pod, ...]:
        """All pods that have not ended."""
        return self._watches.pods()

    def daemonsets(self) -> tuple[DaemonSet, ...]:
        """All DaemonSets."""
        return self._watches.daemonsets()

    def budgets(self) -> tuple[DisruptionBudget, ...]:
        """All PodDisruptionBudgets with the pods they cover."""
        return self._watches.budgets()

    def pools(self) -> tuple[NodePool, ...]:
        """All NodePools."""
        return self._watches.pools()

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Names and labels of all namespaces."""
        return self._watches.namespaces()

    def storage(self) -> Storage:
        """Claims, volumes and storage classes."""
        return self._watches.storage()

    def cluster_uid(self) -> str:
        """The kube-system UID."""
        return self._uid

    def synced(self) -> bool:
        """Whether every watch has delivered its first list."""
        return self._watches.synced()

    def oldest_contact(self) -> float:
        """Monotonic time of the last word from the apiserver."""
        return self._watches.oldest_contact()

    # Past the watches

    async def get_node(self, name: str) -> Node | None:
        """Read one Node."""
        with _translated(f"node {name}"):
            try:
                found = await self._kube.get(_node_path(name))
            except errors.NotFound:
                return None
        return convert.node(_decode(found, objects.Node), self._cluster)

    async def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Read the pods of a node."""
        with _translated(f"pods on {node}"):
            found = await self._kube.list_items(
                objects.PATHS[objects.Pod],
                field_selector=f"spec.nodeName={node},{objects.UNFINISHED_PODS}",
            )
        return tuple(convert.pod(_decode(item, objects.Pod)) for item in found)

    async def volumes_attached(self, node: str) -> int:
        """Count the VolumeAttachments of a node; they cannot be selected by it."""
        with _translated("volume attachments"):
            found = await self._kube.list_items(objects.PATHS[objects.VolumeAttachment])
        attachments = (_decode(item, objects.VolumeAttachment) for item in found)
        return sum(item.spec.node_name == node for item in attachments)

    # Writes

    async def create_join_token(self, server_name: str, expires_at: datetime) -> str:
        """Make the bootstrap token of one server; a leftover of its name is replaced."""
        now = self._clock.now()
        token = tokens.mint_bootstrap_token(server_name, self._random_bytes, now, expires_at - now)
        secret = tokens.bootstrap_token_secret(token, f"hk3s join token of {server_name}")
        with self._writing(f"join token of {server_name}"):
            try:
                await self._kube.post(_SECRETS, secret)
            except errors.AlreadyExists:
                await self._kube.delete(_token_path(server_name))
                await self._kube.post(_SECRETS, secret)
        return tokens.join_token(self._ca_hash, token)

    async def revoke_join_token(self, server_name: str) -> None:
        """Delete the server's bootstrap token."""
        with self._writing(f"join token of {server_name}"):
            await self._kube.delete(_token_path(server_name))

    async def invite_pods(self, node: str, pods: tuple[Pod, ...], since: datetime) -> int:
        """Let pods onto a node that is not open yet."""
        with self._writing(f"opening of {node}"):
            taken, answer = await self._opening.invite(node, pods, since)
        self._watches.learn_node(_decode(answer, objects.Node))
        return taken

    async def open_node(self, node: str) -> None:
        """Take a node's starting taint away."""
        with self._writing(f"opening of {node}"):
            answer = await self._opening.open(node)
        self._watches.learn_node(_decode(answer, objects.Node))

    async def mark_unneeded(self, node: str, since: datetime | None) -> None:
        """Set or clear the annotation that says since when a node is not needed."""
        text = None if since is None else convert.rfc3339(since)
        await self._patch_node(node, {"metadata": {"annotations": {labels.UNNEEDED_SINCE: text}}})

    async def mark_replacing(self, node: str, since: datetime | None, reason: str) -> None:
        """Set or clear the annotations of a replacement."""
        text = None if since is None else convert.rfc3339(since)
        notes = {labels.REPLACING_SINCE: text, labels.REPLACING_REASON: text and reason}
        await self._patch_node(node, {"metadata": {"annotations": notes}})

    async def cordon(self, node: str, reason: str, since: datetime) -> None:
        """Begin a removal: one patch, so that no half of it can be seen."""
        await self._patch_node(
            node,
            {
                "metadata": {
                    "labels": {labels.EXCLUDE_FROM_LOAD_BALANCERS: "true"},
                    "annotations": {
                        labels.DRAIN_REASON: reason,
                        convert.DRAINING_SINCE: convert.rfc3339(since),
                    },
                },
                "spec": {"unschedulable": True},
            },
        )

    async def uncordon(self, node: str) -> None:
        """Undo `cordon`."""
        await self._patch_node(
            node,
            {
                "metadata": {
                    "labels": {labels.EXCLUDE_FROM_LOAD_BALANCERS: None},
                    "annotations": {
                        labels.DRAIN_REASON: None,
                        convert.DRAINING_SINCE: None,
                        labels.UNNEEDED_SINCE: None,
                        labels.REPLACING_SINCE: None,
                        labels.REPLACING_REASON: None,
                    },
                },
                "spec": {"unschedulable": None},
            },
        )

    async def evict(self, pod: Pod) -> None:
        """Evict one pod, by uid."""
        with self._writing(f"eviction of {pod.key}"):
            try:
                await self._kube.evict(pod.key.namespace, pod.key.name, uid=pod.uid)
            except errors.EvictionBlocked as error:
                raise ports.EvictionBlocked(error.message) from error
            except errors.Conflict:
                return  # another pod has the name now

    async def delete_node(self, name: str, uid: str) -> None:
        """Delete a Node if it still has that uid."""
        with self._writing(f"node {name}"):
            try:
                await self._kube.delete(_node_path(name), uid=uid)
            except errors.Conflict:
                return  # another Node has the name now

    async def emit(
        self, about: ObjectRef, *, reason: str, message: str, warning: bool = False
    ) -> None:
        """Record an Event."""
        with self._writing(f"event {reason}"):
            await self._events.write(about, reason=reason, message=message, warning=warning)

    async def write_pool_status(self, status: PoolStatus) -> None:
        """Write a NodePool's status; a pool that was deleted meanwhile is fine."""
        name = status.pool.name
        stored = self._watches.stored_pool(name)
        if stored is None:
            return
        before = pools.read_status(stored)
        after = pools.pool_status(status, before, self._clock.now())
        if after == before:
            return
        with self._writing(f"status of NodePool {name}"):
            try:
                await self._kube.patch(
                    f"{nodepool.PATH}/{name}/status",
                    nodepool.status_manifest(name, after),
                    "application/apply-patch+yaml",
                    query={"fieldManager": FIELD_MANAGER, "force": "true"},
                )
            except errors.NotFound:
                return

    async def read_report(self) -> Mapping[str, str]:
        """Read the status ConfigMap."""
        with _translated("status ConfigMap"):
            try:
                found = await self._kube.get(self._report_path)
            except errors.NotFound:
                return {}
        return dict(found.get("data") or {})

    async def write_report(self, entries: Mapping[str, str]) -> None:
        """Write the status ConfigMap, which the deployment made."""
        with self._writing("status ConfigMap"):
            await self._kube.patch(self._report_path, {"data": dict(entries)})

    async def _patch_node(self, name: str, patch: Json) -> None:
        with self._writing(f"node {name}"):
            answer = await self._kube.patch(_node_path(name), patch)
        self._watches.learn_node(_decode(answer, objects.Node))

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        with _translated(what):
            self._fence()
            yield


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the kinds of `hk3s_kube` into those of the port."""
    try:
        yield
    except errors.NotLeader as error:
        raise ports.NotLeader(str(error)) from error
    except (errors.Unreachable, errors.TooManyRequests, errors.ServerFailure) as error:
        raise ports.Unavailable(f"{what}: {error}") from error
    except (errors.Conflict, errors.NotFound, errors.AlreadyExists) as error:
        raise ports.Changed(f"{what}: {error}") from error
    except errors.KubeError as error:
        raise ports.Rejected(error.reason, f"{what}: {error}") from error


def _decode(value: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ports.Unavailable(f"an answer that is no {kind.__name__}: {error}") from error


def _node_path(name: str) -> str:
    return f"{objects.PATHS[objects.Node]}/{name}"


def _token_path(server_name: str) -> str:
    return f"{_SECRETS}/bootstrap-token-{tokens.bootstrap_token_id(server_name)}"
