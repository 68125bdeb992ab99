"""Rules about domains (zones, regions, racks) turned into rules about nodes, before packing.

Pods are dealt out to domains on a board where room does not count, one by one and exactly; from
then on they just need a node of their domain. What hostnames have to do with it is left to the
packing (`Near`), and what cannot be dealt out to the exact search after it (see `settling`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hk3s_autoscaler.model.pod import Pod, PodKey, PodSpec
from hk3s_autoscaler.model.relations import UNRELATED
from hk3s_autoscaler.planning.bonds import Bonds
from hk3s_autoscaler.planning.capacity import Slot
from hk3s_autoscaler.planning.spots import ENDLESS, copies
from hk3s_autoscaler.planning.supply import Offer
from hk3s_autoscaler.scheduling.board import Board, site
from hk3s_autoscaler.scheduling.classes import ALONE, BEYOND, Near, Shape
from hk3s_autoscaler.scheduling.matching import Role
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, Place, mismatch

_Pairs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Cell:
    """Nodes that are alike in the domains that matter to some pods: how many more fit there."""

    pairs: _Pairs
    number: int
    price: int
    room: int


def narrow(
    bonds: Bonds, pods: Iterable[Pod], slots: Sequence[Slot], offers: Sequence[Offer]
) -> Mapping[PodKey, Shape]:
    """Deal pods with roles out to domains: what packing is to see of them."""
    if not bonds.roles:
        return {}
    dealer = _Dealer(bonds, slots, [offer for offer in offers if offer.hindrance is None])
    groups: dict[tuple[Role, PodSpec], list[Pod]] = {}
    for pod in sorted(pods, key=_urgency):
        role = bonds.roles.get(pod.key)
        if role is not None:
            groups.setdefault((role, pod.spec), []).append(pod)
    shapes: dict[PodKey, Shape] = {}
    waiting = dict(groups)
    while waiting:
        before = sum(map(len, waiting.values()))
        for (role, spec), group in tuple(waiting.items()):
            left = dealer.deal(role, spec, group, shapes)
            if left:
                waiting[role, spec] = left
            else:
                del waiting[role, spec]
        if sum(map(len, waiting.values())) == before:
            break
    for (_, spec), group in waiting.items():
        shape = Shape(spec=dealer.plain(spec), near=BEYOND)
        shapes.update((pod.key, shape) for pod in group)
    return shapes


class _Dealer:
    def __init__(self, bonds: Bonds, slots: Sequence[Slot], offers: Sequence[Offer]) -> None:
        self._bonds = bonds
        self._board: Board = bonds.board()
        numbers = {each.name: number for number, each in enumerate(bonds.sites)}
        self._slots = [
            (slot.place, numbers[slot.name] if slot.name in numbers else self._add(slot.place))
            for slot in slots
        ]
        self._offers = [
            (offer.place, self._add(offer.place), offer.offering.micro_eur_per_hour)
            for offer in offers
        ]
        terms = [t for role in bonds.roles.values() for t in role.anti_affinity]
        terms += [t for s in bonds.sites for crowd in s.crowds for t in crowd.anti_affinity]
        near = [role.affinity for role in set(bonds.roles.values()) if role.affinity is not None]
        self._followed = {(key, matcher) for key, matcher in terms if key != HOSTNAME_LABEL} | {
            (key, matcher) for matcher, keys in near for key in keys if key != HOSTNAME_LABEL
        }
        self._cells: dict[tuple[PodSpec, tuple[str, ...]], list[_Cell]] = {}
        self._specs: dict[tuple[PodSpec, _Pairs], PodSpec] = {}

    def _add(self, place: Place) -> int:
        return self._board.add(site(place))

    def deal(
        self, role: Role, spec: PodSpec, group: list[Pod], shapes: dict[PodKey, Shape]
    ) -> list[Pod]:
        """Shape as many pods of a group as may be placed now, and return the others."""
        if role.affinity is not None and HOSTNAME_LABEL in role.affinity[1]:
            return group
        near = self._near(role)
        keys = self._wide_keys(role)
        if not keys:
            shape = Shape(spec=self._with(spec, ()), near=near)
            shapes.update((pod.key, shape) for pod in group)
            return []
        cells = self._cells_of(spec, keys)
        at_once = not (role.spread or role.anti_affinity)
        done = 0
        while done < len(group):
            cell = self._best(role, cells)
            if cell is None:
                break
            number = min(len(group) - done, cell.room) if at_once else 1
            cell.room -= number
            self._board.put(role, cell.number, number)
            shape = Shape(spec=self._with(spec, cell.pairs), near=near)
            shapes.update((pod.key, shape) for pod in group[done : done + number])
            done += number
        return group[done:]

    def _best(self, role: Role, cells: Iterable[_Cell]) -> _Cell | None:
        allowed = [
            cell
            for cell in cells
            if cell.room > 0 and self._board.allows(role, cell.number, within_site=False)
        ]
        if not allowed:
            return None
        return min(
            allowed,
            key=lambda cell: (
                self._board.crowding(role, cell.number),
                -self._board.nearness(role, cell.number),
                cell.price,
                cell.pairs,
            ),
        )

    def _wide_keys(self, role: Role) -> tuple[str, ...]:
        keys = {key for key, matcher in self._followed if matcher in role.marks}
        return tuple(sorted((keys | role.own_keys) - {HOSTNAME_LABEL}))

    def _near(self, role: Role) -> Near:
        near = Near(
            avoids=frozenset(m for key, m in role.anti_affinity if key == HOSTNAME_LABEL),
            avoided=role.marks & self._bonds.apart,
            at_most=tuple(
                sorted(
                    (self._bonds.matchers.domains[s.domains].matcher, s.max_skew)
                    for s in role.spread
                    if s.topology_key == HOSTNAME_LABEL and s.counts_itself
                )
            ),
        )
        return ALONE if near == ALONE else near

    def plain(self, spec: PodSpec) -> PodSpec:
        """A spec without what it demands of other pods."""
        return self._with(spec, ())

    def _with(self, spec: PodSpec, pairs: _Pairs) -> PodSpec:
        known = self._specs.get((spec, pairs))
        if known is None:
            known = self._specs[spec, pairs] = replace(
                spec,
                relations=UNRELATED,
                preferences=replace(spec.preferences, pods=(), spread=())
                if pairs
                else spec.preferences,
                claims=(),
                node_selector=tuple(sorted({*spec.node_selector, *pairs})),
            )
        return known

    def _cells_of(self, spec: PodSpec, keys: tuple[str, ...]) -> list[_Cell]:
        static = self._with(spec, ())
        known = self._cells.get((static, keys))
        if known is None:
            known = self._cells[static, keys] = self._find_cells(static, keys)
        return known

    def _find_cells(self, spec: PodSpec, keys: tuple[str, ...]) -> list[_Cell]:
        found: dict[_Pairs, _Cell] = {}
        on_sale = [(place, number, price, ENDLESS) for place, number, price in self._offers]
        there = [(p, number, 0, copies(spec, p.room)) for p, number in self._slots]
        for place, number, price, room in (*there, *on_sale):
            pairs = tuple((key, place.labels[key]) for key in keys if key in place.labels)
            known = found.get(pairs)
            if known is not None and known.room >= ENDLESS and known.price <= price:
                continue
            if len(pairs) < len(keys) or not spec.requests.fits(place.room):
                continue
            if mismatch(spec, place):
                continue
            cell = found.setdefault(pairs, _Cell(pairs=pairs, number=number, price=price, room=0))
            cell.room += room
            cell.price = min(cell.price, price)
        return list(found.values())


def _urgency(pod: Pod) -> tuple[object, ...]:
    requests = pod.spec.requests
    return (
        -pod.spec.priority,
        -requests.cpu_milli,
        -requests.memory_bytes,
        pod.unschedulable_since or pod.created_at,
        pod.key,
    )
