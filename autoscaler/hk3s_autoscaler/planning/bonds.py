"""Rules about other pods, for one round of planning: who is pending, and who runs where."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.board import Board, Crowd, Site, site
from hk3s_autoscaler.scheduling.matching import Matchers, Role
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, node_place


@dataclass(frozen=True, kw_only=True)
class Bonds:
    """The roles of pending pods that have one, and the nodes with who is there.

    A node that is about to be deleted is not among the `sites`.
    """

    matchers: Matchers
    roles: Mapping[PodKey, Role]
    sites: tuple[Site, ...]

    def board(self) -> Board:
        """A fresh board of the nodes."""
        return Board(self.matchers, self.sites)

    @cached_property
    def apart(self) -> frozenset[int]:
        """Matchers of pods that somebody does not want on their node."""
        held = (role.anti_affinity for role in self.roles.values())
        here = (crowd.anti_affinity for place in self.sites for crowd in place.crowds)
        return frozenset(
            matcher for terms in (*held, *here) for key, matcher in terms if key == HOSTNAME_LABEL
        )

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Labels of nodes that rules about others look at, their hostnames aside."""
        found = {key for role in set(self.roles.values()) for key in role.own_keys}
        for place in self.sites:
            found.update(key for crowd in place.crowds for key, _ in crowd.anti_affinity)
        for rule in self.matchers.domains:
            found.update(rule.keys)
            found.update(key for key, _ in rule.spec.node_selector)
            terms = rule.spec.affinity_terms or ()
            found.update(asked.key for term in terms for asked in term.expressions)
        return tuple(sorted(found - {HOSTNAME_LABEL}))

    def bars(self, name: str, role: Role) -> bool:
        """Whether somebody who is on a node now keeps pods of a role away from it, or they him."""
        if not (role.marks or role.anti_affinity):
            return False
        at = self._by_name.get(name)
        if at is None:
            return False
        avoided = {matcher for key, matcher in role.anti_affinity if key == HOSTNAME_LABEL}
        return any(
            not avoided.isdisjoint(crowd.marks)
            or any(k == HOSTNAME_LABEL and m in role.marks for k, m in crowd.anti_affinity)
            for crowd in at.crowds
        )

    @property
    def names(self) -> Mapping[str, Site]:
        """The sites by name."""
        return self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Site]:
        return {each.name: each for each in self.sites}


UNBOUND = Bonds(matchers=Matchers(), roles={}, sites=())


def bonds(world: World, pods: Sequence[Pod], gone: Iterable[str] = ()) -> Bonds:
    """Return the rules that bear on pending pods; `gone` names nodes that will be deleted."""
    matchers = Matchers(
        namespaces={name: dict(labels) for name, labels in world.snapshot.namespaces}
    )
    for pod in pods:
        if pod.spec.relations.any:
            matchers.add(pod.spec, pod.key.namespace)
    for there in world.shunning.values():
        for pod in there:
            matchers.add(pod.spec, pod.key.namespace)
    if not matchers.any:
        return UNBOUND
    roles = {
        pod.key: role
        for pod in pods
        if (role := matchers.role(pod.spec, pod.key.namespace, pod.labels)).is_related
    }
    lost = frozenset(gone)
    return Bonds(
        matchers=matchers,
        roles=roles,
        sites=tuple(
            site(
                node_place(node, room=node.allocatable),
                _crowds(matchers, world.pods_on(node.name)),
            )
            for node in world.snapshot.nodes
            if node.name not in lost
        ),
    )


def _crowds(matchers: Matchers, pods: Iterable[Pod]) -> Iterable[Crowd]:
    found = Counter(
        (
            matchers.marks(pod.key.namespace, pod.labels, ending=pod.deleted_at is not None),
            matchers.anti_affinity(pod.spec),
        )
        for pod in pods
    )
    return (
        Crowd(marks=marks, anti_affinity=anti, number=number)
        for (marks, anti), number in found.items()
        if marks or anti
    )
