"""Pending pods as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.planning.bonds import UNBOUND, Bonds
from hk3s_autoscaler.planning.problem import ANYBODY, Neighbours, Problem, Vector
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.classes import ALONE, BEYOND, PodClass, Shape, classify
from hk3s_autoscaler.scheduling.place import Place, conflicts, mismatch


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Classes of pending pods, most demanding first, and their bonds with pods that run."""

    classes: tuple[PodClass, ...]
    bonds: Bonds = UNBOUND

    @cached_property
    def extended(self) -> tuple[str, ...]:
        """Names of the extended resources that any pod asks for."""
        names = {name for c in self.classes for name, _ in c.spec.requests.extended}
        return tuple(sorted(names))

    def vector(self, amount: Resources) -> Vector:
        """An amount of resources as numbers, in the order that the whole demand shares."""
        extended = dict(amount.extended)
        return (
            amount.cpu_milli,
            amount.memory_bytes,
            amount.ephemeral_bytes,
            amount.pods,
            *(extended.get(name, 0) for name in self.extended),
        )

    @cached_property
    def problem(self) -> Problem:
        """The demand without anything for sale."""
        return Problem(
            demands=tuple(self.vector(c.spec.requests) for c in self.classes),
            counts=tuple(len(c.pods) for c in self.classes),
            kinds=(),
            ports=tuple(c.spec.host_ports for c in self.classes)
            if any(c.spec.host_ports for c in self.classes)
            else (),
            neighbours=_neighbours(self.classes),
        )

    @cached_property
    def packable(self) -> tuple[int, ...]:
        """How many of each class packing may place."""
        return tuple(0 if c.near is BEYOND else len(c.pods) for c in self.classes)

    @cached_property
    def class_of(self) -> dict[PodKey, int]:
        """Each pod's class."""
        return {pod.key: index for index, c in enumerate(self.classes) for pod in c.pods}

    def is_overdue(self, pod: Pod) -> bool:
        """Whether kube-scheduler has long looked for a place for a pod."""
        return self.classes[self.class_of[pod.key]].overdue

    @cached_property
    def _alike(self) -> tuple[tuple[PodSpec, tuple[tuple[int, ...], ...]], ...]:
        """Classes whose rules about nodes are the same, and of those the ones of the same size."""
        found: dict[object, dict[Resources, list[int]]] = {}
        for index, c in enumerate(self.classes):
            spec = c.spec
            rules = (
                spec.node_selector,
                spec.affinity_terms,
                spec.volume_terms,
                spec.tolerations,
            )
            found.setdefault(rules, {}).setdefault(spec.requests, []).append(index)
        return tuple(
            (
                self.classes[next(iter(sizes.values()))[0]].spec,
                tuple(tuple(same) for same in sizes.values()),
            )
            for sizes in found.values()
        )

    @cached_property
    def _least(self) -> Resources:
        """What every pod asks for at least: most nodes in service are too full for any."""
        asked = [c.spec.requests for c in self.classes]
        return Resources(
            cpu_milli=min((r.cpu_milli for r in asked), default=0),
            memory_bytes=min((r.memory_bytes for r in asked), default=0),
            pods=min((r.pods for r in asked), default=0),
        )

    @cached_property
    def _plain(self) -> frozenset[int]:
        """Classes for which room and the rules about nodes are all that matters."""
        return frozenset(
            index
            for index, c in enumerate(self.classes)
            if c.near is ALONE and not c.spec.host_ports
        )

    def suited(self, place: Place, *, tried: bool = False) -> tuple[int, ...]:
        """Classes of which at least one pod may run at a place."""
        found: list[int] = []
        if not self._least.fits(place.room):
            return ()
        for spec, sizes in self._alike:
            if mismatch(spec, place):
                continue
            for same in sizes:
                if self.classes[same[0]].spec.requests.fits(place.room):
                    found += same
        new = place.name not in self.bonds.names
        return tuple(
            index
            for index in sorted(found)
            if not (tried and self.classes[index].overdue)
            and (index in self._plain or self._may_join(self.classes[index], place, new=new))
        )

    def _may_join(self, pods: PodClass, place: Place, *, new: bool) -> bool:
        if pods.spec.host_ports and conflicts(pods.spec.host_ports, place.ports):
            return False
        if pods.near is ALONE or pods.near is BEYOND:
            return pods.near is ALONE
        return new or not self.bonds.bars(place.name, self.bonds.roles[pods.pods[0].key])


def pending(world: World) -> tuple[Pod, ...]:
    """Pods that may make the cluster grow: kube-scheduler found no place for them.

    Not those that are gated, nominated, going, expendable or a DaemonSet's.
    """
    return tuple(
        pod
        for pod in world.unbound
        if pod.unschedulable_since is not None
        and pod.phase == "Pending"
        and pod.deleted_at is None
        and not (pod.nominated_node or pod.gated or pod.is_daemon or pod.mirror)
        and not world.is_expendable(pod)
    )


def demand(
    world: World,
    pods: Sequence[Pod],
    *,
    bonds: Bonds = UNBOUND,
    shapes: Mapping[PodKey, Shape] | None = None,
) -> Demand:
    """Group pods; those unschedulable for long count as unfit for the room that is there."""
    return Demand(classes=classify(pods, overdue(world, pods), shapes), bonds=bonds)


def overdue(world: World, pods: Sequence[Pod]) -> list[Pod]:
    """Pods that kube-scheduler has been looking for a place for long enough."""
    last = world.now - world.config.unfit_after
    return [p for p in pods if p.unschedulable_since is not None and p.unschedulable_since <= last]


def _neighbours(classes: Sequence[PodClass]) -> tuple[Neighbours, ...]:
    """What classes say about others on their server, as the packing understands it."""
    if all(c.near is ALONE for c in classes):
        return ()
    crowds: dict[tuple[int, int], int] = {}
    avoided: dict[int, set[int]] = {}
    for index, c in enumerate(classes):
        for matcher in c.near.avoided:
            avoided.setdefault(matcher, set()).add(index)
    rivals: list[set[int]] = [set() for _ in classes]
    sizes: list[dict[int, int]] = [{} for _ in classes]
    for index, c in enumerate(classes):
        for matcher, most in c.near.at_most:
            sizes[index][crowds.setdefault((matcher, most), len(crowds))] = most
        for matcher in c.near.avoids:
            for other in avoided.get(matcher, ()):
                if matcher in c.near.avoided and matcher in classes[other].near.avoids:
                    # They keep each other away: at most one of them all.
                    sizes[index][crowds.setdefault((matcher, -1), len(crowds))] = 1
                else:
                    rivals[index].add(other)
                    rivals[other].add(index)
    return tuple(
        Neighbours(crowds=tuple(sorted(own.items())), rivals=frozenset(others))
        if own or others
        else ANYBODY
        for own, others in zip(sizes, rivals, strict=True)
    )
