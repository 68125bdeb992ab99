"""Places for pods, one by one: in room that is there, beside what was just bought, on a new server.

Every step is judged on the board, exactly as kube-scheduler would; equal pods share what is known.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec, Taint
from hk3s_autoscaler.planning.bonds import Bonds
from hk3s_autoscaler.planning.spots import Spot, copies, fresh
from hk3s_autoscaler.planning.supply import Offer, tier
from hk3s_autoscaler.planning.wishes import meets
from hk3s_autoscaler.scheduling.board import Board, site
from hk3s_autoscaler.scheduling.matching import Role
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place, conflicts, mismatch

_STRANGER = Role()

_Around = tuple[tuple[str | None, ...], tuple[Taint, ...]]
"""Labels and taints of a place that rules about others look at."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Asker:
    """Equal pods that look for a place; `late`: kube-scheduler has long looked for one, too.

    Of the first `seen` spots those `suited` were large enough and meet the rules about nodes;
    `spots` are those that may do, by domain, as long as the rules by hostname have the same floor.
    """

    spec: PodSpec
    role: Role
    late: bool
    floor: tuple[int, ...] = ()
    seen: int = 0
    suited: list[Spot] = field(default_factory=list)
    spots: dict[_Around, list[Spot]] = field(default_factory=dict)


class Market(Protocol):
    """Where servers are bought."""

    def on_sale(self) -> Iterable[Offer]:
        """What may be bought one of now, in the order of tiers."""

    def affords(self, offer: Offer) -> bool:
        """Whether the limits still allow one."""

    def buy(self, offer: Offer) -> Spot:
        """Buy one server that is on sale."""


@dataclass(kw_only=True)
class Ground:
    """What pods find: spots, what more may be bought, and the rules between them."""

    bonds: Bonds
    spots: list[Spot]
    is_overdue: Callable[[Pod], bool]
    shop: Market

    def role(self, pod: Pod) -> Role:
        """What a pod is to others."""
        return self.bonds.roles.get(pod.key, _STRANGER)


class Search:
    """Places for pods, one by one; equal pods share what is known of a spot."""

    def __init__(self, ground: Ground, board: Board, numbers: dict[str, int]) -> None:
        self._ground = ground
        self._board = board
        self._numbers = numbers
        self._rests = {spot.name: spot.rest() for spot in ground.spots}
        self._ranks = {spot.name: rank for rank, spot in enumerate(ground.spots)}
        self._arounds = {spot.name: self._around(spot.place) for spot in ground.spots}
        self._askers: dict[tuple[PodSpec, Role, bool], _Asker] = {}
        self._asker_of: dict[PodKey, _Asker] = {}
        self._sale = [(o, self._around(o.place)) for o in ground.shop.on_sale()]
        self._kinds = len({around for _, around in self._sale})
        self.order: list[tuple[Pod, str]] = []

    def run(self, homeless: Iterable[Pod], *, buy: bool) -> list[Pod]:
        """Place as many as possible, and return the others."""
        waiting = list(homeless)
        while waiting:
            later = self.settle(waiting)
            if buy and len(later) == len(waiting):
                later = self.purchase(later)
            if len(later) == len(waiting):
                break
            waiting = later
        return waiting

    def rules(self, homeless: Iterable[Pod]) -> dict[PodKey, str]:
        """Name the rule that keeps each pod off a new server, too."""
        found: dict[PodKey, str] = {}
        known: dict[tuple[PodSpec, Role], str] = {}
        for pod in homeless:
            role, spec = self._ground.role(pod), pod.spec
            if role.is_related and (spec, role) not in known:
                known[spec, role] = self._rule(spec, role)
            if known.get((spec, role)):
                found[pod.key] = known[spec, role]
        return found

    def _rule(self, spec: PodSpec, role: Role) -> str:
        for offer in self._ground.shop.on_sale():
            if mismatch(spec, offer.place) or not spec.requests.fits(offer.place.room):
                continue
            trial = self._board.add(site(fresh(offer.place, f"trial-{len(self._board)}")))
            refusal = self._board.refusal(role, trial)
            self._board.drop(trial, role, 0)
            return refusal
        return ""

    def settle(self, pods: Sequence[Pod]) -> list[Pod]:
        """Put pods where there is room and their rules allow; return the others."""
        left = []
        hopeless: set[_Asker] = set()
        for pod in pods:
            asker = self._asker(pod)
            spot = self._find(asker) if asker not in hopeless else None
            if spot is None:
                left.append(pod)
                hopeless.add(asker)
            else:
                # What was placed may be what somebody wants to be near, or evens a spread out.
                hopeless = {a for a in hopeless if not self._board.counts(a.role, asker.role)}
                self._put(pod, asker.role, asker.spec, spot)
        return left

    def _asker(self, pod: Pod) -> _Asker:
        known = self._asker_of.get(pod.key)
        if known is None:
            role, late = self._ground.role(pod), self._ground.is_overdue(pod)
            new = _Asker(spec=pod.spec, role=role, late=late)
            known = self._askers.setdefault((pod.spec, role, late), new)
            self._asker_of[pod.key] = known
        return known

    def purchase(self, pods: Sequence[Pod]) -> list[Pod]:
        """Buy one server, the one that serves the first of the pods at the lowest price each."""
        tried: set[_Asker] = set()
        for pod in pods:
            asker = self._asker(pod)
            role, spec = asker.role, asker.spec
            if asker in tried or not role.is_related:
                continue
            tried.add(asker)
            alike = [p for p in pods if self._asker(p) is asker]
            best = self._best_offer(spec, role, len(alike))
            if best is None:
                continue
            offer, number = best
            chosen = alike[:number]
            spot = self._ground.shop.buy(offer)
            self._ground.spots.append(spot)
            self._numbers[spot.name] = self._board.add(site(spot.place))
            self._rests[spot.name] = spot.rest()
            self._ranks[spot.name] = len(self._ranks)
            self._arounds[spot.name] = self._around(spot.place)
            for one in chosen:
                self._put(one, role, spec, spot)
            taken = {one.key for one in chosen}
            return [p for p in pods if p.key not in taken]
        return list(pods)

    def _find(self, asker: _Asker) -> Spot | None:
        """The first spot that takes a pod in, of the domain where fewest are if it spreads."""
        role = asker.role
        best: tuple[tuple[int, ...], int, Spot] | None = None
        evens = any(rule.topology_key != HOSTNAME_LABEL for rule in role.spread)
        for spots in self._candidates(asker).values():
            found = self._first(asker, spots) if spots else None
            if found is not None:
                crowding = self._board.crowding(role, self._numbers[found.name]) if evens else ()
                rank = (crowding, self._ranks[found.name])
                if best is None or rank < best[:2]:
                    best = (*rank, found)
        return best[2] if best is not None else None

    def _first(self, asker: _Asker, spots: list[Spot]) -> Spot | None:
        """The first of spots in one domain that takes a pod in; those that never will are dropped.

        What has become too small stays so, and who is somewhere stays there: only those who want
        others near them may find later what they miss now.
        """
        spec, role = asker.spec, asker.role
        patient = role.affinity is not None and HOSTNAME_LABEL in role.affinity[1]
        if not self._board.allows(role, self._numbers[spots[0].name], within_site=False):
            return None
        for at, spot in enumerate(spots):
            room, ports = self._rests[spot.name]
            fits = spec.requests.fits(room) and not conflicts(spec.host_ports, ports)
            if fits and self._board.allows(role, self._numbers[spot.name]):
                if not patient:
                    del spots[:at]
                return spot
        if not patient:
            spots.clear()
        return None

    def _candidates(self, asker: _Asker) -> dict[_Around, list[Spot]]:
        """Spots that may do for a pod, by domain."""
        spec, spots, floor = asker.spec, self._ground.spots, self._board.floor(asker.role)
        if asker.floor != floor:
            asker.floor, asker.spots = floor, {}
            # What has become too small stays so.
            asker.suited = [s for s in asker.suited if spec.requests.fits(self._rests[s.name][0])]
            for spot in asker.suited:
                asker.spots.setdefault(self._arounds[spot.name], []).append(spot)
        for spot in spots[asker.seen :]:
            fits = spec.requests.fits(self._rests[spot.name][0])
            if fits and not (asker.late and spot.tried) and not mismatch(spec, spot.place):
                asker.suited.append(spot)
                asker.spots.setdefault(self._arounds[spot.name], []).append(spot)
        asker.seen = len(spots)
        return asker.spots

    def _around(self, place: Place) -> _Around:
        """All that rules about others look at, the place itself aside."""
        return tuple(map(place.labels.get, self._ground.bonds.keys)), place.taints

    def _put(self, pod: Pod, role: Role, spec: PodSpec, spot: Spot) -> None:
        if role.is_related:
            self._board.put(role, self._numbers[spot.name])
            spot.bound = True
            self.order.append((pod, spot.name))
        spot.pods.append(pod)
        room, ports = self._rests[spot.name]
        self._rests[spot.name] = (room - spec.requests, ports | frozenset(spec.host_ports))

    def _best_offer(self, spec: PodSpec, role: Role, most: int) -> tuple[Offer, int] | None:
        """The offer that serves pods at the lowest price each, and how many it serves."""
        together = role.affinity is not None and HOSTNAME_LABEL in role.affinity[1]
        best: tuple[tuple[int, int, float], Offer, int] | None = None
        allowed: dict[_Around, int] = {}
        done: set[_Around] = set()
        shop = self._ground.shop
        for offer, around in self._sale:
            place, requests = offer.place, spec.requests
            if best is not None and (tier(offer) != tier(best[1]) or len(done) == self._kinds):
                break
            if around in done or not requests.fits(place.room) or not shop.affords(offer):
                continue
            if mismatch(spec, place) or conflicts(spec.host_ports, place.ports):
                continue
            if around not in allowed:
                allowed[around] = self._allowed(role, place, most)
            number = min(allowed[around], 1 if spec.host_ports else copies(spec, place.room))
            step = next(n for n in count() if meets(spec, place, n))
            if number == allowed[around] and not step:
                done.add(around)  # what follows is dearer and serves no more
            if not number:
                continue
            price = offer.offering.micro_eur_per_hour
            # Who must be on one node will find no second one.
            rank = (step, -number, price) if together else (step, 0, price / number)
            if best is None or rank < best[0]:
                best = (rank, offer, number)
        return (best[1], best[2]) if best is not None else None

    def _allowed(self, role: Role, place: Place, most: int) -> int:
        """How many pods of a role their rules allow on a new server; the board stays as it was."""
        trial, number = self._board.add(site(fresh(place, f"trial-{len(self._board)}"))), 0
        while number < most and self._board.allows(role, trial):
            self._board.put(role, trial)
            number += 1
        self._board.drop(trial, role, number)
        return number
