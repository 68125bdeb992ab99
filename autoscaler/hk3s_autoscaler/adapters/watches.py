"""What the cluster looks like now, kept by watches and converted once a change."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import structlog

from hk3s_autoscaler.adapters import convert, pools
from hk3s_autoscaler.adapters.contact import Contact
from hk3s_autoscaler.adapters.sharing import SharedPods
from hk3s_autoscaler.adapters.surroundings import Surroundings
from hk3s_autoscaler.model.node import Node
from hk3s_autoscaler.model.nodepool import NodePool
from hk3s_autoscaler.model.pod import DaemonSet, DisruptionBudget, Pod
from hk3s_autoscaler.model.volumes import Storage
from hk3s_autoscaler.ports import Change, Clock
from hk3s_kube import nodepool, objects
from hk3s_kube.client import Kube
from hk3s_kube.stream import ChangeKind, Reflector

Listener = Callable[[Change], None]

F = TypeVar("F")
K = TypeVar("K", bound=objects.KubeObject)

_log = structlog.get_logger(component="watches")


class Watches:
    """Reflectors of everything that a decision needs, and the facts made of them."""

    def __init__(
        self,
        kube: Kube,
        *,
        cluster: str,
        clock: Clock,
        chance: Callable[[], float],
        listener: Listener,
    ) -> None:
        """`listener` is told news at once and must not block; `chance` spreads the pauses."""
        self._cluster = cluster
        self._clock = clock
        self._listener = listener
        self._pods: dict[str, Pod] = {}
        self._shared = SharedPods(self._pods)
        self._nodes: dict[str, Node] = {}
        self._daemonsets: dict[str, DaemonSet] = {}
        common: dict[str, Any] = {"clock": clock, "chance": chance}
        self._pod_watch = Reflector(
            kube,
            objects.Pod,
            field_selector=objects.UNFINISHED_PODS,
            on_change=self._on_pod,
            keep=objects.Pod.identity,
            **common,
        )
        self._node_watch = Reflector(kube, objects.Node, on_change=self._on_node, **common)
        # Quiet collections hear of the apiserver once a minute only: these two decide.
        self._contact = Contact(kube, clock, self._node_watch, self._pod_watch)
        self._daemonset_watch = Reflector(
            kube, objects.DaemonSet, on_change=self._on_daemonset, **common
        )
        self._budgets: tuple[DisruptionBudget, ...] | None = None
        self._budget_watch = Reflector(
            kube, objects.PodDisruptionBudget, on_change=self._forget_budgets, **common
        )
        self._surroundings = Surroundings(kube, **common)
        self._pool_specs: dict[str, object] = {}
        self._pool_watch = Reflector(
            kube, objects.NodePoolObject, path=nodepool.PATH, on_change=self._on_pool, **common
        )

    async def run(self) -> None:
        """Keep everything up to date, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._all():
                group.create_task(watch.run(), name=f"watch {watch.path}")
            group.create_task(self._contact.run(), name="contact")

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, as last heard."""
        return tuple(self._nodes.values())

    def pods(self) -> tuple[Pod, ...]:
        """All pods that have not ended, as last heard."""
        return tuple(self._pods.values())

    def daemonsets(self) -> tuple[DaemonSet, ...]:
        """All DaemonSets, as last heard."""
        return tuple(self._daemonsets.values())

    def budgets(self) -> tuple[DisruptionBudget, ...]:
        """All PodDisruptionBudgets, with the pods they cover."""
        if self._budgets is None:
            # Each looks at every pod: made anew only when one of them may look different.
            items = self._budget_watch.items.values()
            self._budgets = tuple(convert.budget(item, self._pods.values()) for item in items)
        return self._budgets

    def pools(self) -> tuple[NodePool, ...]:
        """All NodePools, as last heard."""
        masters = (n for n in self._node_watch.items.values() if convert.is_master(n))
        architectures = {node.status.node_info.architecture for node in masters}
        return tuple(
            pools.nodepool(item, architecture="arm" if architectures == {"arm64"} else "x86")
            for _, item in sorted(self._pool_watch.items.items())
        )

    def namespaces(self) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
        """Names and labels of all namespaces."""
        return self._surroundings.namespaces()

    def storage(self) -> Storage:
        """Claims, volumes and storage classes."""
        return self._surroundings.storage()

    def stored_pool(self, name: str) -> objects.NodePoolObject | None:
        """A NodePool as it is stored."""
        return self._pool_watch.items.get(name)

    def synced(self) -> bool:
        """Whether every watch has delivered its first list."""
        return all(watch.synced.is_set() for watch in self._all())

    async def wait_synced(self) -> None:
        """Return once every watch has delivered its first list."""
        for watch in self._all():
            await watch.synced.wait()

    def oldest_contact(self) -> float:
        """Monotonic time at which the watches of nodes and pods last were in contact."""
        return self._contact.oldest()

    def learn_node(self, item: objects.Node) -> None:
        """Take the answer of a write, so that the next turn need not wait for the watch."""
        if item.metadata.name in self._nodes:
            self._nodes[item.metadata.name] = convert.node(item, self._cluster)

    def _all(self) -> Iterable[Reflector[Any]]:
        return (
            self._node_watch,
            self._pod_watch,
            self._daemonset_watch,
            self._budget_watch,
            self._pool_watch,
            *self._surroundings.watches,
        )

    def _on_pod(self, change: ChangeKind, item: objects.Pod) -> None:
        before = self._pods.get(item.key)
        fact = _keep(self._pods, change, item, self._pod)
        if before is None or fact is None or before.labels != fact.labels:
            self._forget_budgets()
        if fact is None:
            return
        was_pending = (
            before is not None and before.uid == fact.uid and before.unschedulable_since is not None
        )
        if fact.unschedulable_since is not None and not was_pending:
            self._listener(Change(kind="pods", monotonic=self._clock.monotonic(), pods=(fact.key,)))

    def _forget_budgets(self, *_: object) -> None:
        self._budgets = None

    def _pod(self, item: objects.Pod) -> Pod:
        return self._shared.share(convert.pod(item))

    def _on_node(self, change: ChangeKind, item: objects.Node) -> None:
        before = self._nodes.get(item.key)
        after = _keep(self._nodes, change, item, lambda found: convert.node(found, self._cluster))
        if before != after:
            self._listener(Change(kind="nodes", monotonic=self._clock.monotonic()))

    def _on_daemonset(self, change: ChangeKind, item: objects.DaemonSet) -> None:
        _keep(self._daemonsets, change, item, convert.daemonset)

    def _on_pool(self, change: ChangeKind, item: objects.NodePoolObject) -> None:
        # Our own writes of the status come back as changes, too: only the spec is news.
        before = self._pool_specs.get(item.key)
        if change == "DELETED":
            self._pool_specs.pop(item.key, None)
        else:
            self._pool_specs[item.key] = item.spec
        if before != self._pool_specs.get(item.key):
            self._listener(Change(kind="pools", monotonic=self._clock.monotonic()))


def _keep(facts: dict[str, F], change: ChangeKind, item: K, reduce: Callable[[K], F]) -> F | None:
    """Bring a fact up to date and return it.

    One object that cannot be read is left out and told of: it must not stop the watch of all.
    """
    facts.pop(item.key, None)
    if change == "DELETED":
        return None
    try:
        facts[item.key] = reduce(item)
    except ValueError as error:
        _log.error("object.unreadable", kind=type(item).__name__, key=item.key, error=str(error))
    return facts.get(item.key)
