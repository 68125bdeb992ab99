"""Preferred rules: what a purchase does for wishes, which never keep a pod waiting.

Wishes about nodes (preferred node affinity, the heaviest term first, and `PreferNoSchedule`) decide
what is bought, and are dropped one by one when nothing that meets them can be had, the taints last
(Karpenter's order, kubernetes-sigs/karpenter `scheduling/preferences.go`). Wishes about other pods
decide between purchases that cost about the same: they choose the location, and keep pods apart on
servers that are bought anyway. Room that is there already is used as kube-scheduler uses it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from hk3s_autoscaler.model.pod import Pod, PodSpec, Taint
from hk3s_autoscaler.model.relations import PodTerm
from hk3s_autoscaler.planning.cover import Packing
from hk3s_autoscaler.planning.packing import Packer
from hk3s_autoscaler.planning.problem import ANYBODY, Neighbours, Problem
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling import taints
from hk3s_autoscaler.scheduling.classes import PodClass
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place, node_place

_PREMIUM = 20
"""Keeping pods apart may cost one part in so many more."""
_FEW_SERVERS = 3
_TOGETHER = (1, 2, 4, 16, 64)
"""How many pods that would rather be apart are on one server, tried in this order."""


def steps(classes: Iterable[PodClass], places: Iterable[Place]) -> int:
    """How often wishes about nodes can be relaxed before none is left, plus one."""
    most = max((len(c.spec.preferences.nodes) for c in classes), default=0)
    discouraged = any(discourages(taint) for place in places for taint in place.taints)
    return 1 + most + discouraged


def meets(spec: PodSpec, place: Place, step: int) -> bool:
    """Whether a place is as pods of a spec wish, after so many steps of relaxing."""
    terms = sorted(spec.preferences.nodes, key=lambda wish: -wish[0])
    if step > len(terms):
        return True
    if any(
        discourages(taint) and not any(taints.tolerates(t, taint) for t in spec.tolerations)
        for taint in place.taints
    ):
        return False
    return step == len(terms) or terms[step][1].matches(place.name, place.labels)


def discourages(taint: Taint) -> bool:
    """Whether a taint asks pods to stay away if they can."""
    return taint.effect == "PreferNoSchedule"


@dataclass(kw_only=True)
class Company:
    """Whom pods would like to have near, or not, in a domain larger than a node."""

    world: World
    classes: Sequence[PodClass]

    def welcome(self, place: Place, load: Iterable[tuple[int, int]]) -> int:
        """How well a place suits a load: weights of those near, less those to be kept away from."""
        if not self._terms:
            return 0
        found = 0
        for index, number in load:
            for weight, term in self._wishes[index]:
                here = self._counts[term][place.labels.get(term.topology_key, "")]
                found += number * weight * (min(here, 1) if weight > 0 else here)
        return found

    def join(self, place: Place, load: Iterable[tuple[int, int]]) -> None:
        """Pods will be on a server at a place."""
        for index, number in load if self._terms else ():
            for term in self._means(self.classes[index].pods[0]):
                self._counts[term][place.labels.get(term.topology_key, "")] += number

    @cached_property
    def _wishes(self) -> tuple[tuple[tuple[int, PodTerm], ...], ...]:
        return tuple(
            tuple(wish for wish in _wishes(c) if wish[1].topology_key != HOSTNAME_LABEL)
            for c in self.classes
        )

    @cached_property
    def _terms(self) -> tuple[PodTerm, ...]:
        return tuple(dict.fromkeys(term for wishes in self._wishes for _, term in wishes))

    @cached_property
    def _namespaces(self) -> Mapping[str, Mapping[str, str]]:
        return {name: dict(labels) for name, labels in self.world.snapshot.namespaces}

    @cached_property
    def _known(self) -> dict[object, tuple[PodTerm, ...]]:
        return {}

    def _means(self, pod: Pod) -> tuple[PodTerm, ...]:
        """The wishes that mean a pod."""
        at = (pod.key.namespace, pod.labels)
        known = self._known.get(at)
        if known is None:
            labels, around = dict(pod.labels), self._namespaces.get(pod.key.namespace, {})
            known = tuple(t for t in self._terms if t.selects(pod.key.namespace, labels, around))
            self._known[at] = known
        return known

    @cached_property
    def _counts(self) -> dict[PodTerm, Counter[str]]:
        counts: dict[PodTerm, Counter[str]] = {term: Counter() for term in self._terms}
        for node in self.world.snapshot.nodes:
            labels = node_place(node, room=node.allocatable).labels
            for pod in self.world.pods_on(node.name):
                for term in self._means(pod):
                    if term.topology_key in labels:
                        counts[term][labels[term.topology_key]] += 1
        return counts


def pack_apart(
    problem: Problem, classes: Sequence[PodClass], packer: Packer, packing: Packing
) -> Packing:
    """Keep pods apart that would rather not share a server, if that costs next to nothing.

    `packing` is the purchase without this wish. A purchase that does more for it may cost little
    more, and may not take more than twice the servers.
    """
    crowds = _crowds(problem, classes)
    if not crowds or any(packing.missed):
        return packing
    price = packing.price + packing.price // _PREMIUM
    servers = max(_FEW_SERVERS, 2 * sum(batch.number for batch in packing.batches))
    largest = max(sum(problem.counts[i] for i in members) for members in crowds)
    for together in _TOGETHER:
        if together >= largest:
            break
        if largest > together * servers:
            continue
        apart = packer(_with(problem, crowds, together))
        number = sum(batch.number for batch in apart.batches)
        if not any(apart.missed) and apart.price <= price and number <= servers:
            return apart
    return packing


def _crowds(problem: Problem, classes: Sequence[PodClass]) -> list[list[int]]:
    """Classes whose pods would rather not be on a node with each other."""
    found: dict[PodTerm, list[int]] = {}
    for index, c in enumerate(classes):
        if not problem.counts[index]:
            continue
        labels, namespace = dict(c.pods[0].labels), c.pods[0].key.namespace
        for weight, term in _wishes(c):
            own = term.topology_key == HOSTNAME_LABEL and term.selects(namespace, labels, {})
            if weight < 0 and own:
                found.setdefault(term, []).append(index)
    return list(found.values())


def _with(problem: Problem, crowds: Sequence[Sequence[int]], together: int) -> Problem:
    near = list(problem.neighbours or (ANYBODY,) * len(problem.counts))
    free = 1 + max((crowd for n in near for crowd, _ in n.crowds), default=-1)
    for number, members in enumerate(crowds, free):
        for index in members:
            crowded = (*near[index].crowds, (number, together))
            near[index] = Neighbours(crowds=crowded, rivals=near[index].rivals)
    return replace(problem, neighbours=tuple(near))


def _wishes(pods: PodClass) -> Iterable[tuple[int, PodTerm]]:
    """Wishes about other pods; a spread that need not be kept wishes its own kind away."""
    preferences = pods.spec.preferences
    yield from preferences.pods
    namespace = pods.pods[0].key.namespace
    for spread in preferences.spread:
        yield (
            -1,
            PodTerm(
                topology_key=spread.topology_key,
                selector=spread.selector,
                namespaces=(namespace,),
            ),
        )
