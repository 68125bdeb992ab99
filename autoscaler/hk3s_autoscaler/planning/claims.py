"""Claims that pending pods compete for, or share: which volume is whose, before packing.

kube-scheduler decides when it binds a pod. A plan for many pods has to know before: a volume that
was made by hand serves one claim, and where a shared claim's volume is made all its pods must go.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.selectors import NodeTerm, Requirement
from hk3s_autoscaler.model.volumes import HCLOUD_DRIVER, Claim, StorageClass, Volume
from hk3s_autoscaler.scheduling.place import CSI_LOCATION_LABEL, Place, mismatch
from hk3s_autoscaler.scheduling.volumes import ONE_POD, Choice, Volumes, claims_of, reaches, suits


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Free volumes of a class that suit claims of at least this size, each on one node.

    `resource` stands for them in the arithmetic of room, and in reasons.
    """

    resource: str
    storage_class: str
    modes: tuple[str, ...]
    bytes: int
    volumes: tuple[Volume, ...]

    def on(self, place: Place) -> int:
        """How many of them a place reaches."""
        return sum(reaches(volume, place.name, place.labels) for volume in self.volumes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A volume that its driver attaches once for all pods on a node, and the nodes in reach."""

    claim: PodKey
    driver: str
    terms: tuple[NodeTerm, ...] | None

    def reaches(self, place: Place) -> bool:
        """Whether the volume could be attached there."""
        return self.terms is None or any(t.matches(place.name, place.labels) for t in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Where a plan begins: with each `turn` shared volumes are made somewhere else.

    `together` are claims whose pods are thought to meet on a node: its volume is attached there
    once, not once for each. `kept` are volumes that served their claims before, `failed` those
    that did not, and `passed` pods for which a claim for one pod was reserved in vain.
    """

    turn: int = 0
    together: frozenset[PodKey] = frozenset()
    kept: Mapping[PodKey, str] = field(default_factory=dict)
    failed: Mapping[PodKey, frozenset[str]] = field(default_factory=dict)
    passed: frozenset[tuple[PodKey, PodKey]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """What was decided: `choices` for single claims, and `shelves` that the others draw from.

    `sharers` are the pods of claims that are shared, `homes` the number of places where the volume
    of one of them could be made, `together` those that are attached once for all pods of a node.
    `given` are the volumes made by hand that single claims got, and
    `users` their pods. `heirs` are claims for one pod that another could have in its place.
    """

    choices: Mapping[PodKey, Choice] = field(default_factory=dict)
    shelves: tuple[Shelf, ...] = ()
    sharers: Mapping[PodKey, frozenset[PodKey]] = field(default_factory=dict)
    homes: int = 1
    together: tuple[Shared, ...] = ()
    given: Mapping[PodKey, str] = field(default_factory=dict)
    users: Mapping[PodKey, frozenset[PodKey]] = field(default_factory=dict)
    heirs: Mapping[PodKey, PodKey] = field(default_factory=dict)

    def revised(self, guess: Guess, served: frozenset[PodKey]) -> Guess | None:
        """What to try instead, after a plan that serves those pods; `None`: nothing new."""
        kept = {c: v for c, v in self.given.items() if self.users[c] & served}
        failed = dict(guess.failed)
        for claim, volume in self.given.items():
            if claim not in kept:
                failed[claim] = failed.get(claim, frozenset()) | {volume}
        vain = {(c, pod) for c, pod in self.heirs.items() if pod not in served}
        apart = {c for c, pods in self.sharers.items() if not pods <= served}
        turn, together = guess.turn, guess.together | apart
        if apart <= guess.together and apart and turn + 1 < self.homes:
            turn += 1
        passed = guess.passed | vain
        found = Guess(turn=turn, together=together, kept=kept, failed=failed, passed=passed)
        return None if found == replace(guess, kept=kept) else found


_NOWHERE = ""
"""Stands for nodes that say no location: what is made there has none either."""

NOTHING_DEALT = Dealt()
FIRST_GUESS = Guess()


def deal(
    known: Volumes,
    pods: Sequence[Pod],
    *,
    nodes: Sequence[Place],
    sale: Sequence[Place],
    guess: Guess = FIRST_GUESS,
) -> Dealt:
    """Decide for the claims of pending pods, given the nodes and what may be bought."""
    return _Dealing(known, pods, nodes, sale, guess).run()


class _Dealing:
    def __init__(
        self,
        known: Volumes,
        pods: Sequence[Pod],
        nodes: Sequence[Place],
        sale: Sequence[Place],
        guess: Guess,
    ) -> None:
        self._known = known
        self._guess = guess
        self._given: dict[PodKey, str] = {}
        self._homes = 1
        self._sharers: dict[PodKey, frozenset[PodKey]] = {}
        self._heirs: dict[PodKey, PodKey] = {}
        self._nodes, self._sale = nodes, sale
        self._places = (*nodes, *sale)
        self._choices: dict[PodKey, Choice] = {}
        self._specs = {pod.key: known.resolved(pod).spec for pod in pods}
        self._users: dict[PodKey, list[Pod]] = {}
        for pod in sorted(pods, key=lambda p: -p.spec.priority):
            for key in dict.fromkeys(claims_of(pod)):
                self._users.setdefault(key, []).append(pod)
        self._gone: set[str] = set()

    def run(self) -> Dealt:
        by_hand: dict[str, list[Claim]] = {}
        for key, users in self._users.items():
            claim = self._known.claim(key)
            if claim is None:
                continue
            alone = ONE_POD in claim.modes
            if alone and len(users) > 1:
                self._reserve(claim, users)
            elif self._known.driver(claim) and (len(users) > 1 or self._known.is_used(key)):
                self._sharers[key] = frozenset(pod.key for pod in users)
            kind = self._known.storage_class(claim.storage_class)
            if claim.volume or claim.node or kind is None or not kind.waits:
                continue
            if not kind.makes_volumes:
                by_hand.setdefault(kind.name, []).append(claim)
            elif len(users) > 1 and not alone and kind.provisioner == HCLOUD_DRIVER:
                self._choose_home(claim, kind, users)
        together = tuple(
            self._joined(claim)
            for key in sorted(self._guess.together)
            if (claim := self._known.claim(key)) is not None
        )
        shelves = [shelf for name in by_hand for shelf in self._share_out(name, by_hand[name])]
        return Dealt(
            choices=self._choices,
            shelves=tuple(shelves),
            sharers=self._sharers,
            homes=self._homes,
            together=together,
            given=self._given,
            users={c: frozenset(pod.key for pod in self._users[c]) for c in self._given},
            heirs=self._heirs,
        )

    def _reserve(self, claim: Claim, users: Sequence[Pod]) -> None:
        """A claim for one pod goes to the first that anything would take in."""
        alike: dict[tuple[object, ...], Pod] = {}
        for pod in users:
            if any(self._could_be(pod, place) for place in self._places):
                alike.setdefault((pod.labels, self._specs[pod.key]), pod)
        able = [p for p in alike.values() if (claim.key, p.key) not in self._guess.passed]
        first, *others = able or users
        self._choices[claim.key] = Choice(only=first.key)
        if able and others:
            self._heirs[claim.key] = first.key

    def _choose_home(self, claim: Claim, kind: StorageClass, users: Sequence[Pod]) -> None:
        """Make a volume that pods share where most of them may run."""
        votes: Counter[str] = Counter()
        for place in self._places:
            if kind.terms is None or any(t.matches(place.name, place.labels) for t in kind.terms):
                able = sum(self._could_be(pod, place) for pod in users)
                home = place.labels.get(CSI_LOCATION_LABEL, _NOWHERE)
                votes[home] = max(votes[home], able)
        ranked = sorted((h for h in votes if votes[h]), key=lambda name: (-votes[name], name))
        if ranked:
            home = ranked[self._guess.turn % len(ranked)]
            here = Requirement(key=CSI_LOCATION_LABEL, operator="In", values=(home,))
            if home == _NOWHERE:
                here = Requirement(key=CSI_LOCATION_LABEL, operator="DoesNotExist")
            terms = (NodeTerm(expressions=(here,)),)
            self._choices[claim.key] = Choice(terms=terms, driver=kind.provisioner)
            self._homes = max(self._homes, len(ranked))

    def _joined(self, claim: Claim) -> Shared:
        choice = replace(self._choices.get(claim.key, Choice()), together=True)
        self._choices[claim.key] = choice
        volume = self._known.volume(claim)
        terms = volume.terms if volume is not None else choice.terms
        return Shared(claim=claim.key, driver=self._known.driver(claim), terms=terms)

    def _share_out(self, kind: str, claims: Sequence[Claim]) -> Iterator[Shelf]:
        free = [v for v in self._known.storage.volumes if v.storage_class == kind and not v.claim]
        shared = [claim for claim in claims if len(self._users[claim.key]) > 1]
        wide = any(self._is_wide(volume) for volume in free)
        kept, failed = self._guess.kept, self._guess.failed
        self._gone.update(kept.values())
        # Who has no place anyway should not keep a volume from others.
        for claim in sorted(
            claims if wide else shared,
            key=lambda c: (c.key not in kept, c.key in failed, not self._helps(free, c)),
        ):
            self._give(claim, free)
        if wide:
            return
        single = [claim for claim in claims if claim not in shared]
        for modes, size in sorted({(claim.modes, claim.bytes) for claim in single}):
            fitting = [
                volume
                for volume in free
                if volume.name not in self._gone
                and volume.bytes >= size
                and set(modes) <= set(volume.modes)
            ]
            yield Shelf(
                resource=f"free volumes of class {kind} ({'+'.join(modes)}, {size} bytes)",
                storage_class=kind,
                modes=modes,
                bytes=size,
                volumes=tuple(fitting),
            )

    def _give(self, claim: Claim, free: Iterable[Volume]) -> None:
        """Let a claim have the smallest volume that suits, where its pods may run if possible."""
        kept = self._guess.kept.get(claim.key)
        barred = self._gone | self._guess.failed.get(claim.key, frozenset())
        fitting = [v for v in free if v.name == kept or (v.name not in barred and suits(v, claim))]
        users = self._users[claim.key]
        only = self._choices[claim.key].only if claim.key in self._choices else None
        if not fitting:
            problem = f"claim {claim.key} finds no free volume of class {claim.storage_class}"
            self._choices[claim.key] = Choice(problem=problem)
            return
        served = {v.terms for v in fitting if v.name == kept}
        given = min(
            fitting,
            key=lambda v: (v.terms not in served, not self._useful(v, users), v.bytes, v.name),
        )
        self._gone.discard(kept or "")
        self._gone.add(given.name)
        self._given[claim.key] = given.name
        self._choices[claim.key] = Choice(terms=given.terms, driver=given.driver, only=only)

    def _useful(self, volume: Volume, users: Sequence[Pod]) -> bool:
        return any(
            reaches(volume, place.name, place.labels)
            and any(self._could_be(p, place) for p in users)
            for place in self._places
        )

    def _helps(self, free: Iterable[Volume], claim: Claim) -> bool:
        users = self._users[claim.key]
        return any(suits(v, claim) and self._useful(v, users) for v in free)

    def _is_wide(self, volume: Volume) -> bool:
        """Whether more than one node may reach a volume; what is on sale may be any number."""
        if any(reaches(volume, place.name, place.labels) for place in self._sale):
            return True
        return sum(reaches(volume, place.name, place.labels) for place in self._nodes) > 1

    def _could_be(self, pod: Pod, place: Place) -> bool:
        """Whether a place would take a pod in, and reaches what its claims are or may be bound to.

        How many volumes the place attaches is not asked: that is a matter of all its pods.
        """
        spec = self._specs[pod.key]
        return (
            not spec.unsupported
            and not mismatch(spec, place)
            and pod.spec.requests.fits(place.room)
        )
