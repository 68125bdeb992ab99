"""Places with the pods on them, and whether one more may join by the rules about other pods.

The meaning is that of kube-scheduler's InterPodAffinity and PodTopologySpread filters (v1.36).
Room, taints and node affinity are not judged here: see `place`. All answers cost the same however
many places and pods there are.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hk3s_autoscaler.model.pod import Taint
from hk3s_autoscaler.scheduling import taints
from hk3s_autoscaler.scheduling.matching import DomainRule, Marks, Matchers, Role
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place, mismatch_of_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Equal pods on a node: what means them, and whom they keep away."""

    marks: Marks
    anti_affinity: tuple[tuple[str, int], ...]
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place as rules about pods see it, and who is there already."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...] = ()
    crowds: tuple[Crowd, ...] = ()


def site(place: Place, crowds: Iterable[Crowd] = ()) -> Site:
    """Return a place as a site."""
    return Site(name=place.name, labels=place.labels, taints=place.taints, crowds=tuple(crowds))


@dataclass(slots=True)
class _Domains:
    """Pods by domain, with the least of all domains at hand."""

    counts: dict[str, int] = field(default_factory=dict)
    _sites: Counter[str] = field(default_factory=Counter)
    _sizes: Counter[int] = field(default_factory=Counter)
    _least: int = 0

    def open(self, domain: str) -> None:
        """A site of a domain comes in."""
        self._sites[domain] += 1
        if domain not in self.counts:
            self.counts[domain] = 0
            self._sizes[0] += 1
            self._least = 0

    def close(self, domain: str) -> None:
        """An empty site goes; with its last site a domain goes."""
        self._sites[domain] -= 1
        if not self._sites[domain]:
            self._sizes[self.counts.pop(domain)] -= 1
            self._settle()

    def add(self, domain: str, number: int) -> None:
        """Count pods of a domain in, or out."""
        before = self.counts[domain]
        self.counts[domain] = before + number
        self._sizes[before] -= 1
        self._sizes[before + number] += 1
        self._least = min(self._least, before + number)
        self._settle()

    def least(self, min_domains: int) -> int:
        """The global minimum, which is 0 while there are too few domains."""
        return self._least if self.counts and len(self.counts) >= min_domains else 0

    def _settle(self) -> None:
        while self.counts and not self._sizes[self._least]:
            self._least += 1


class Board:
    """Sites and the pods on them; pods may be put on and taken off again."""

    def __init__(self, matchers: Matchers, sites: Iterable[Site] = ()) -> None:
        self._matchers = matchers
        self._meant: dict[tuple[str, int], Counter[str]] = {}
        self._shunned: dict[tuple[str, int], Counter[str]] = {}
        self._domains: dict[int, _Domains] = {}
        self._sites: list[Site] = []
        self._put: list[list[tuple[Marks, tuple[tuple[str, int], ...], int]]] = []
        for each in sites:
            self.add(each)

    def __len__(self) -> int:
        return len(self._sites)

    def site(self, number: int) -> Site:
        """Return a site by its number."""
        return self._sites[number]

    def add(self, new: Site) -> int:
        """Add a site with who is there, and return its number."""
        number = len(self._sites)
        self._sites.append(new)
        self._put.append([])
        for rule in self._domains:
            if self._counts(rule, new):
                key = self._matchers.domains[rule].topology_key
                self._domains[rule].open(new.labels[key])
        for crowd in new.crowds:
            self._change(number, crowd.marks, crowd.anti_affinity, crowd.number)
        return number

    def put(self, role: Role, number: int, pods: int = 1) -> None:
        """Put pods of a role on a site; a negative number takes them off."""
        self._change(number, role.marks, role.anti_affinity, pods)

    def drop(self, number: int, role: Role, pods: int) -> None:
        """Take the site that was added last away again, with all that was put on it."""
        self.put(role, number, -pods)
        gone = self._sites[number]
        for rule, domains in self._domains.items():
            if self._counts(rule, gone):
                domains.close(gone.labels[self._matchers.domains[rule].topology_key])
        self._sites.pop()
        self._put.pop()

    def allows(self, role: Role, number: int, *, within_site: bool = True) -> bool:
        """Whether one more pod of a role may join; `within_site=False` skips rules by hostname."""
        return not self.refusal(role, number, within_site=within_site)

    def refusal(self, role: Role, number: int, *, within_site: bool = True) -> str:
        """Say which rule keeps one more pod of a role away; empty if none does."""
        labels = self._sites[number].labels
        if role.affinity is not None and not self._is_near(role, labels, within_site=within_site):
            return "required pod affinity finds no such pod near"
        return self._kept_away(role, labels, within_site=within_site) or self._skew(
            role, labels, within_site=within_site
        )

    def _kept_away(self, role: Role, labels: Mapping[str, str], *, within_site: bool) -> str:
        for key, matcher in role.anti_affinity:
            asked = key in labels and (within_site or key != HOSTNAME_LABEL)
            if asked and self._meant_by(key, matcher)[labels[key]] > 0:
                return "required pod anti-affinity finds such a pod near"
        for (key, matcher), counts in self._shunned.items():
            asked = key in labels and (within_site or key != HOSTNAME_LABEL)
            if asked and matcher in role.marks and counts[labels[key]] > 0:
                return "a pod near keeps it away by its anti-affinity"
        return ""

    def _skew(self, role: Role, labels: Mapping[str, str], *, within_site: bool) -> str:
        for rule in role.spread:
            if rule.topology_key not in labels:
                return f"topology spread needs a node label {rule.topology_key}"
            if rule.topology_key == HOSTNAME_LABEL and not within_site:
                continue
            domains = self._domains_of(rule.domains)
            here = domains.counts.get(labels[rule.topology_key], 0) + rule.counts_itself
            if here - domains.least(rule.min_domains) > rule.max_skew:
                return f"topology spread over {rule.topology_key} would exceed {rule.max_skew}"
        return ""

    def crowding(self, role: Role, number: int) -> tuple[int, ...]:
        """How full each spread rule of a role finds its domain at a site."""
        labels = self._sites[number].labels
        return tuple(
            self._domains_of(rule.domains).counts.get(labels.get(rule.topology_key, ""), 0)
            for rule in role.spread
            if rule.topology_key != HOSTNAME_LABEL
        )

    def counts(self, role: Role, other: Role) -> bool:
        """Whether a role's affinity or spreads count pods of another role."""
        if role.affinity is not None and role.affinity[0] in other.marks:
            return True
        domains = self._matchers.domains
        return any(domains[rule.domains].matcher in other.marks for rule in role.spread)

    def floor(self, role: Role) -> tuple[int, ...]:
        """The global minimum of each spread rule of a role by hostname: as it grows, sites open."""
        return tuple(
            self._domains_of(rule.domains).least(rule.min_domains)
            for rule in role.spread
            if rule.topology_key == HOSTNAME_LABEL
        )

    def nearness(self, role: Role, number: int) -> int:
        """How many of the pods that a role wants to be near are near a site."""
        if role.affinity is None:
            return 0
        labels = self._sites[number].labels
        matcher, keys = role.affinity
        return min(self._meant_by(key, matcher)[labels.get(key, "")] for key in keys)

    def _is_near(self, role: Role, labels: Mapping[str, str], *, within_site: bool) -> bool:
        assert role.affinity is not None  # noqa: S101 - the caller has looked
        matcher, keys = role.affinity
        if any(key not in labels for key in keys):
            return False
        found = [self._meant_by(key, matcher) for key in keys]
        asked = [
            counts[labels[key]] > 0
            for key, counts in zip(keys, found, strict=True)
            if within_site or key != HOSTNAME_LABEL
        ]
        # The first of a series that wants to be near itself may go anywhere.
        return all(asked) or (
            matcher in role.marks and not any(n for counts in found for n in counts.values())
        )

    def _change(
        self, number: int, marks: Marks, anti: Sequence[tuple[str, int]], pods: int
    ) -> None:
        labels = self._sites[number].labels
        self._put[number].append((marks, tuple(anti), pods))
        for (key, matcher), counts in self._meant.items():
            if matcher in marks and key in labels:
                counts[labels[key]] += pods
        for key, matcher in anti:
            if key in labels:
                self._shunned.setdefault((key, matcher), Counter())[labels[key]] += pods
        for rule, domains in self._domains.items():
            known = self._matchers.domains[rule]
            if known.matcher in marks and self._counts(rule, self._sites[number]):
                domains.add(labels[known.topology_key], pods)

    def _meant_by(self, key: str, matcher: int) -> Counter[str]:
        """Pods that a matcher means, by domain; counted from when it is first asked for."""
        counts = self._meant.get((key, matcher))
        if counts is None:
            counts = self._meant[key, matcher] = Counter()
            for at, put in zip(self._sites, self._put, strict=True):
                if key in at.labels:
                    counts[at.labels[key]] += sum(n for marks, _, n in put if matcher in marks)
        return counts

    def _domains_of(self, rule: int) -> _Domains:
        domains = self._domains.get(rule)
        if domains is None:
            known = self._matchers.domains[rule]
            domains = self._domains[rule] = _Domains()
            for at, put in zip(self._sites, self._put, strict=True):
                if self._counts(rule, at):
                    domain = at.labels[known.topology_key]
                    domains.open(domain)
                    pods = sum(n for marks, _, n in put if known.matcher in marks)
                    if pods:
                        domains.add(domain, pods)
        return domains

    def _counts(self, rule: int, at: Site) -> bool:
        known = self._matchers.domains[rule]
        return counts_for(known, at)


def counts_for(rule: DomainRule, at: Site) -> bool:
    """Whether a site and its pods count for a spread (nodeAffinityPolicy, nodeTaintsPolicy)."""
    if any(key not in at.labels for key in rule.keys):
        return False
    if rule.honors_affinity and mismatch_of_labels(rule.spec, at.name, at.labels):
        return False
    return not (
        rule.honors_taints and taints.untolerated(rule.spec.tolerations, at.taints) is not None
    )
