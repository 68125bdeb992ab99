"""How others buy, re-stated: what they pay for the same pods and price list.

All see the same allocatable room, after reservations and DaemonSets, and pay the same prices.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.planning.supply import Offer

Vector = tuple[int, int, int]
"""CPU in thousandths, memory in bytes, pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A server that may be bought."""

    room: Vector
    price: int


def kinds_of(sale: Sequence[Offer]) -> list[Kind]:
    """What is on sale, as numbers."""
    return [
        Kind(
            room=(o.place.room.cpu_milli, o.place.room.memory_bytes, o.place.room.pods),
            price=o.offering.micro_eur_per_hour,
        )
        for o in sale
    ]


def sizes_of(pods: Sequence[Pod]) -> list[Vector]:
    """What pods ask for, as numbers."""
    return [
        (p.spec.requests.cpu_milli, p.spec.requests.memory_bytes, p.spec.requests.pods)
        for p in pods
    ]


def karpenter(sizes: Sequence[Vector], kinds: Sequence[Kind]) -> int:
    """Karpenter's provisioning scheduler, v1.13.

    Pods by CPU, then memory, most first. Each goes to the in-flight claim with the fewest pods that
    some type left of it can still hold, else to a new claim. Price decides last: each claim becomes
    the cheapest type that is left of it.
    """
    claims: list[tuple[Vector, list[Kind]]] = []
    for size in sorted(sizes, key=lambda s: (-s[0], -s[1])):
        claims.sort(key=lambda claim: claim[0][2])
        for number, (used, left) in enumerate(claims):
            grown = _add(used, size)
            fitting = [kind for kind in left if _fits(grown, kind.room)]
            if fitting:
                claims[number] = (grown, fitting)
                break
        else:
            claims.append((size, [kind for kind in kinds if _fits(size, kind.room)]))
    return sum(min(kind.price for kind in left) for _, left in claims)


def cluster_autoscaler(sizes: Sequence[Vector], kinds: Sequence[Kind]) -> int:
    """cluster-autoscaler's loop: one node group each time, chosen by the expander least-waste.

    For each group (here: each type) the pending pods are put first-fit decreasing onto new nodes;
    the group that wastes the smallest sum of the shares of CPU and memory wins, and is bought.
    """
    pending = Counter(sizes)
    bought: list[tuple[Kind, Vector]] = []
    while pending:
        bought, pending = _into_room(bought, pending)
        options = [(kind, *_first_fit(pending, kind)) for kind in kinds]
        options = [option for option in options if option[1]]
        if not pending or not options:
            break
        kind, nodes, pending = min(options, key=lambda option: _waste(option[0], option[1]))
        bought += [(kind, used) for used in nodes]
    return sum(kind.price for kind, _ in bought)


def greedy(sizes: Sequence[Vector], kinds: Sequence[Kind]) -> int:
    """Dot-product greedy: fill each type by what matches its rest best, buy the best worth a euro.

    At the end each server becomes the cheapest type that holds its load.
    """
    left, paid = Counter(sizes), 0
    while left:
        totals = [sum(s[d] * n for s, n in left.items()) or 1 for d in range(3)]
        best: tuple[float, Counter[Vector]] | None = None
        for kind in kinds:
            load = _fill(left, kind.room, totals)
            worth = sum(n * sum(s[d] / totals[d] for d in (0, 1)) for s, n in load.items())
            if load and (best is None or worth / kind.price > best[0]):
                best = (worth / kind.price, load)
        assert best is not None  # noqa: S101 - every pod fits some type
        load = best[1]
        used = tuple(sum(s[d] * n for s, n in load.items()) for d in range(3))
        times = min(left[s] // n for s, n in load.items())
        paid += times * min(
            k.price for k in kinds if all(u <= r for u, r in zip(used, k.room, strict=True))
        )
        left -= Counter({s: n * times for s, n in load.items()})
    return paid


def _fill(left: Counter[Vector], room: Vector, totals: Sequence[int]) -> Counter[Vector]:
    rest, load = list(room), Counter[Vector]()
    while True:
        fitting = [
            s
            for s, n in left.items()
            if n > load[s] and all(a <= b for a, b in zip(s, rest, strict=True))
        ]
        if not fitting:
            return load
        choice = max(
            fitting, key=lambda s: (sum(s[d] * rest[d] / totals[d] / room[d] for d in (0, 1)), s)
        )
        load[choice] += 1
        rest = [have - want for have, want in zip(rest, choice, strict=True)]


def _first_fit(pending: Counter[Vector], kind: Kind) -> tuple[list[Vector], Counter[Vector]]:
    """Loads of new nodes of one kind, and the pods that it cannot hold."""
    nodes: list[Vector] = []
    beyond: Counter[Vector] = Counter()
    for size, number in _decreasing(pending, kind):
        if not _fits(size, kind.room):
            beyond[size] = number
            continue
        rest = number
        for at, used in enumerate(nodes):
            taken = min(rest, _times(used, size, kind.room))
            if taken:
                nodes[at] = _add(used, size, taken)
                rest -= taken
            if not rest:
                break
        while rest:
            taken = min(rest, _times((0, 0, 0), size, kind.room))
            nodes.append(_add((0, 0, 0), size, taken))
            rest -= taken
    return nodes, beyond


def _into_room(
    bought: list[tuple[Kind, Vector]], pending: Counter[Vector]
) -> tuple[list[tuple[Kind, Vector]], Counter[Vector]]:
    """Put pods that wait onto nodes that are on their way."""
    rest = Counter(pending)
    nodes = list(bought)
    for at, (kind, load) in enumerate(nodes):
        used = load
        for size in sorted(rest, reverse=True):
            taken = min(rest[size], _times(used, size, kind.room))
            used = _add(used, size, taken)
            rest[size] -= taken
        nodes[at] = (kind, used)
    return nodes, +rest


def _decreasing(pending: Counter[Vector], kind: Kind) -> list[tuple[Vector, int]]:
    def score(size: Vector) -> float:
        return size[0] / kind.room[0] + size[1] / kind.room[1]

    return sorted(pending.items(), key=lambda item: -score(item[0]))


def _waste(kind: Kind, nodes: Sequence[Vector]) -> tuple[float, int]:
    asked = [sum(node[d] for node in nodes) for d in (0, 1)]
    have = [kind.room[d] * len(nodes) for d in (0, 1)]
    return (sum(1 - a / h for a, h in zip(asked, have, strict=True)), kind.price)


def _add(used: Vector, size: Vector, times: int = 1) -> Vector:
    return (used[0] + size[0] * times, used[1] + size[1] * times, used[2] + size[2] * times)


def _fits(size: Vector, room: Vector) -> bool:
    return size[0] <= room[0] and size[1] <= room[1] and size[2] <= room[2]


def _times(used: Vector, size: Vector, room: Vector) -> int:
    return max(0, min((room[d] - used[d]) // size[d] for d in range(3) if size[d]))
