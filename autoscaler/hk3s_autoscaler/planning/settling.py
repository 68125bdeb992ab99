"""The last word on who goes where: exactly as kube-scheduler would judge it, pod by pod.

Packing works with counts and simplified rules. Here its result is replayed on a board, each pod
as soon as its rules allow; what they refuse, and what packing could not judge, is then looked a
place for one by one: in room that is there, beside what was just bought, on a server of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.planning.search import Ground, Search
from hk3s_autoscaler.planning.spots import Spot
from hk3s_autoscaler.scheduling.board import Board, site

_ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Who could be placed, in an order in which each may be bound, and who could not.

    `order` are pairs of a pod and the name of its spot, of pods that rules about others bear on.
    `rules` names the rule that keeps a pod even off a new server of its own, if one does.
    """

    order: tuple[tuple[Pod, str], ...]
    left: tuple[Pod, ...]
    rules: Mapping[PodKey, str]


@dataclass(kw_only=True)
class Settling(Ground):
    """One settlement."""

    def run(self, left: Sequence[Pod]) -> Settled:
        """Replay what is planned, and look a place for those left and those refused."""
        homeless, rounds = list(left), 0
        while True:
            rounds += 1
            board, numbers = self._board()
            order, refused = self._replay(board, numbers)
            servers, search = len(self.spots), Search(self, board, numbers)
            homeless = search.run([*homeless, *refused], buy=rounds <= _ROUNDS)
            # A new server is a new domain, which may bar what was allowed without it.
            if len(self.spots) == servers:
                return Settled(
                    order=(*order, *search.order),
                    left=tuple(homeless),
                    rules=search.rules(homeless),
                )

    def _board(self) -> tuple[Board, dict[str, int]]:
        board = self.bonds.board()
        numbers = {each.name: number for number, each in enumerate(self.bonds.sites)}
        for spot in self.spots:
            if spot.name not in numbers:
                numbers[spot.name] = board.add(site(spot.place))
        return board, numbers

    def _replay(
        self, board: Board, numbers: dict[str, int]
    ) -> tuple[list[tuple[Pod, str]], list[Pod]]:
        order: list[tuple[Pod, str]] = []
        waiting = [
            (pod, spot, self.role(pod))
            for spot in _interleaved(self.spots)
            for pod in spot.pods
            if self.role(pod).is_related
        ]
        # Those who care go first: a pod that others count may come after them.
        waiting.sort(key=lambda entry: not (entry[2].spread or entry[2].anti_affinity))
        while waiting:
            later = []
            for pod, spot, role in waiting:
                number = numbers[spot.name]
                if board.allows(role, number):
                    board.put(role, number)
                    order.append((pod, spot.name))
                else:
                    later.append((pod, spot, role))
            if len(later) == len(waiting):
                break
            waiting = later
        refused = {pod.key for pod, _, _ in waiting}
        for spot in {id(spot): spot for _, spot, _ in waiting}.values():
            spot.pods = [pod for pod in spot.pods if pod.key not in refused]
        return order, [pod for pod, _, _ in waiting]


def _interleaved(spots: Iterable[Spot]) -> Iterator[Spot]:
    """One spot of each location in turn, so that spreads are kept while pods are replayed."""
    queues: dict[tuple[str, ...], list[Spot]] = {}
    for spot in spots:
        labels = spot.place.labels
        where = tuple(v for k, v in sorted(labels.items()) if k.startswith("topology."))
        queues.setdefault(where, []).append(spot)
    waiting = [list(reversed(queue)) for queue in queues.values()]
    while waiting:
        for queue in waiting:
            yield queue.pop()
        waiting = [queue for queue in waiting if queue]
