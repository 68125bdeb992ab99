"""Claims to volumes as rules about nodes: where a volume is, or may be made, a pod may run.

The meaning is that of kube-scheduler's VolumeBinding, VolumeRestrictions and NodeVolumeLimits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.selectors import NodeTerm, Requirement
from hk3s_autoscaler.model.volumes import Claim, Storage, StorageClass, Volume

ATTACHABLE = "attachable-volumes-csi-"
"""Prefix of the resource that stands for the volumes of a driver that a node takes."""

SHARED = " (shared)"
"""Suffix of the resource of pods whose volume, attached once for all of them, has a place kept."""

ONE_POD = "ReadWriteOncePod"
_Terms = tuple[NodeTerm, ...]


class _Unplaceable(Exception):
    """No node can take the pod as things stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was decided ahead for one claim: where its volume will be, and who attaches it.

    `only` is the one pod that may have it, `problem` why nobody can. `together`: its pods share one
    attachment, for which every node in reach keeps a place.
    """

    terms: _Terms | None = None
    driver: str | None = None
    only: PodKey | None = None
    problem: str = ""
    together: bool = False


_UNDECIDED = Choice()


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """All storage with its cross-references drawn; `users` are the pods that run."""

    storage: Storage
    users: Sequence[Pod] = ()
    choices: Mapping[PodKey, Choice] = field(default_factory=dict)

    @cached_property
    def _claims(self) -> Mapping[PodKey, Claim]:
        return {claim.key: claim for claim in self.storage.claims}

    @cached_property
    def _volumes(self) -> Mapping[str, Volume]:
        return {volume.name: volume for volume in self.storage.volumes}

    @cached_property
    def _classes(self) -> Mapping[str, StorageClass]:
        return {found.name: found for found in self.storage.classes}

    @cached_property
    def _in_use(self) -> frozenset[PodKey]:
        return frozenset(key for pod in self.users for key in claims_of(pod))

    def claim(self, key: PodKey) -> Claim | None:
        """Return a claim by its name."""
        return self._claims.get(key)

    def volume(self, claim: Claim) -> Volume | None:
        """Return the volume that a claim is bound to; `None`: not bound, or the volume is gone."""
        return self._volumes.get(claim.volume)

    def storage_class(self, name: str) -> StorageClass | None:
        """Return a class by its name."""
        return self._classes.get(name)

    def is_used(self, key: PodKey) -> bool:
        """Whether a pod that runs has a claim."""
        return key in self._in_use

    def driver(self, claim: Claim) -> str:
        """Name the driver that attaches a claim's volume; empty if it is none, or not known yet."""
        volume = self.volume(claim)
        if volume is not None:
            return volume.driver
        kind = self._classes.get(claim.storage_class)
        return kind.provisioner if kind is not None and kind.makes_volumes else ""

    def resolved(self, pod: Pod) -> Pod:
        """Return a pod whose spec says itself what its volumes demand of a node.

        A claim that keeps the pod off every node is named in `unsupported`.
        """
        if not pod.spec.claims:
            return pod
        terms, attached = pod.spec.volume_terms, Counter[str]()
        try:
            for key in dict.fromkeys(claims_of(pod)):
                allowed, driver = self._rule(key, pod)
                terms = both(terms, allowed)
                together = self.choices.get(key, _UNDECIDED).together
                attached[driver and f"{driver}{SHARED if together else ''}"] += 1
        except _Unplaceable as problem:
            return replace(pod, spec=_with_problem(pod.spec, str(problem)))
        del attached[""]
        extra = Resources(
            extended=tuple(sorted((f"{ATTACHABLE}{name}", n) for name, n in attached.items()))
        )
        requests = pod.spec.requests + extra
        spec = replace(pod.spec, claims=(), volume_terms=terms, requests=requests)
        return replace(pod, spec=spec)

    def attached(self, pods: Iterable[Pod]) -> Counter[str]:
        """How many volumes of each driver some pods of one node have attached."""
        volumes = {
            (claim.volume, self._volumes[claim.volume].driver)
            for pod in pods
            for key in claims_of(pod)
            if (claim := self._claims.get(key)) is not None and claim.volume in self._volumes
        }
        return Counter(driver for _, driver in volumes if driver)

    def _rule(self, key: PodKey, pod: Pod) -> tuple[_Terms | None, str]:
        """Nodes for a claim (`None`: any), and the driver that attaches its volume."""
        claim = self._claims.get(key)
        if claim is None:
            raise _Unplaceable(f"claim {key} does not exist")
        choice = self.choices.get(key, _UNDECIDED)
        if ONE_POD in claim.modes and (key in self._in_use or choice.only not in (None, pod.key)):
            raise _Unplaceable(f"claim {key} is for one pod, and another has it")
        if claim.volume:
            volume = self._volumes.get(claim.volume)
            if volume is None:
                raise _Unplaceable(f"claim {key} is bound to volume {claim.volume}, which is gone")
            return volume.terms, volume.driver
        kind = self._classes.get(claim.storage_class)
        if kind is None:
            raise _Unplaceable(f"claim {key} has no StorageClass")
        if not kind.waits:
            raise _Unplaceable(f"claim {key} is not bound yet")
        if choice.problem:
            raise _Unplaceable(choice.problem)
        if choice.driver is not None:
            return choice.terms, choice.driver
        return self._unbound(claim, kind)

    def _unbound(self, claim: Claim, kind: StorageClass) -> tuple[_Terms | None, str]:
        """Where a volume that waits for its first pod is, or can be made."""
        if claim.node:
            chosen = Requirement(key="metadata.name", operator="In", values=(claim.node,))
            return (NodeTerm(fields=(chosen,)),), kind.provisioner
        fitting = [volume for volume in self.storage.volumes if suits(volume, claim)]
        allowed = [volume.terms for volume in fitting]
        if kind.makes_volumes:
            allowed.append(kind.terms)
        if not allowed:
            raise _Unplaceable(f"claim {claim.key} finds no volume of class {kind.name}")
        driver = kind.provisioner if kind.makes_volumes else fitting[0].driver
        if any(terms is None for terms in allowed):
            return None, driver
        return tuple(dict.fromkeys(term for terms in allowed for term in terms or ())), driver


def claims_of(pod: Pod) -> Iterable[PodKey]:
    """The claims of a pod; that of an ephemeral volume is named after pod and volume."""
    return (
        PodKey(pod.key.namespace, claim or f"{pod.key.name}-{volume}")
        for volume, claim in pod.spec.claims
    )


def both(left: _Terms | None, right: _Terms | None) -> _Terms | None:
    """Return the terms of nodes that match both alternatives."""
    if left is None or right is None:
        return right if left is None else left
    return tuple(
        NodeTerm(expressions=a.expressions + b.expressions, fields=a.fields + b.fields)
        for a in left
        for b in right
        if (a.expressions or a.fields) and (b.expressions or b.fields)
    )


def suits(volume: Volume, claim: Claim) -> bool:
    """Whether kube-scheduler would bind a claim to a volume, were it in reach."""
    return (
        volume.claim in (None, claim.key)
        and volume.storage_class == claim.storage_class
        and volume.bytes >= claim.bytes
        and set(claim.modes) <= set(volume.modes)
    )


def reaches(volume: Volume, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node of that name with those labels reaches a volume."""
    return volume.terms is None or any(term.matches(name, labels) for term in volume.terms)


def _with_problem(spec: PodSpec, problem: str) -> PodSpec:
    return replace(spec, unsupported=(*spec.unsupported, problem))
