"""Volumes in planning: claims become part of specs, and attachments a resource of places."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from hk3s_autoscaler.model.pod import Pod, PodKey
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.volumes import HCLOUD_DRIVER, HCLOUD_VOLUMES_A_SERVER
from hk3s_autoscaler.planning.capacity import Capacity, Slot
from hk3s_autoscaler.planning.claims import FIRST_GUESS, NOTHING_DEALT, Guess, deal
from hk3s_autoscaler.planning.supply import Offer
from hk3s_autoscaler.planning.world import ENDED, World
from hk3s_autoscaler.scheduling.place import Place
from hk3s_autoscaler.scheduling.volumes import ATTACHABLE, SHARED, Volumes, claims_of

_UNLIMITED = 1 << 30


class Attachments:
    """The volumes of pending pods: `pods` say themselves what they demand of a node."""

    def __init__(
        self,
        world: World,
        pods: Iterable[Pod],
        room: Capacity,
        sale: Sequence[Offer],
        guess: Guess = FIRST_GUESS,
    ) -> None:
        """Judge the claims of pods, given the room that is there and what is for sale.

        What cannot be known about volumes that pods share or compete for is a `guess`.
        """
        waiting = tuple(pods)
        self._world = world
        self._room, self._sale = room, tuple(sale)
        users = [
            pod
            for pod in world.snapshot.pods
            if pod.node and pod.spec.claims and pod.phase not in ENDED
        ]
        self._volumes = Volumes(storage=world.snapshot.storage, users=users)
        self._dealt = NOTHING_DEALT
        if any(pod.spec.claims for pod in waiting):
            slots = (*room.ready, *room.coming, *room.leaving)
            nodes, new = [slot.place for slot in slots], [offer.place for offer in sale]
            claiming = [pod for pod in waiting if pod.spec.claims]
            self._dealt = deal(self._volumes, claiming, nodes=nodes, sale=new, guess=guess)
            self._volumes = replace(self._volumes, choices=self._dealt.choices)
            waiting = tuple(map(self._resolved, waiting))
        self.pods = waiting
        names = {name for pod in self.pods for name, _ in pod.spec.requests.extended}
        self._drivers = sorted(
            name.removeprefix(ATTACHABLE) for name in names if name.startswith(ATTACHABLE)
        )

    def revised(self, guess: Guess, served: frozenset[PodKey]) -> Guess | None:
        """Return another guess, after one with which these pods are served; `None`: no other."""
        return self._dealt.revised(guess, served)

    @property
    def room(self) -> Capacity:
        """The slots with what their nodes still attach, and the free volumes that they reach."""
        if not self._drivers and not self._dealt.shelves:
            return self._room
        limits: dict[str, dict[str, int]] = {}
        for node, driver, number in self._world.snapshot.storage.limits:
            limits.setdefault(node, {})[driver] = number
        return Capacity(
            ready=self._slots(self._room.ready, limits),
            coming=self._slots(self._room.coming, limits),
            leaving=self._slots(self._room.leaving, limits),
        )

    @property
    def sale(self) -> tuple[Offer, ...]:
        """The offers with what a new server attaches."""
        if not self._drivers:
            return self._sale
        return tuple(
            replace(o, place=self._with(o.place, _of_new_server, frozenset())) for o in self._sale
        )

    def _resolved(self, pod: Pod) -> Pod:
        """A pod that draws each of its unbound claims from all shelves with smaller volumes, too.

        What is left for large claims is what small ones have not taken: with a resource for each
        size, the free volumes of a node suffice exactly if all of these do.
        """
        made = self._volumes.resolved(pod)
        if made.spec.claims or not pod.spec.claims or not self._dealt.shelves:
            return made
        drawn: dict[str, int] = {}
        for key in dict.fromkeys(claims_of(pod)):
            claim = self._volumes.claim(key)
            if claim is None or claim.volume or key in self._dealt.choices:
                continue
            for shelf in self._dealt.shelves:
                if (
                    shelf.storage_class == claim.storage_class
                    and shelf.modes == claim.modes
                    and shelf.bytes <= claim.bytes
                ):
                    drawn[shelf.resource] = drawn.get(shelf.resource, 0) + 1
        extra = Resources(extended=tuple(sorted(drawn.items())))
        return replace(made, spec=replace(made.spec, requests=made.spec.requests + extra))

    def _slots(
        self, slots: Iterable[Slot], limits: Mapping[str, Mapping[str, int]]
    ) -> tuple[Slot, ...]:
        return tuple(self._slot(slot, limits.get(slot.name, {})) for slot in slots)

    def _slot(self, slot: Slot, limits: Mapping[str, int]) -> Slot:
        pods = self._world.pods_on(slot.name)
        used = self._volumes.attached(pods)

        def free(driver: str) -> int:
            return limits.get(driver, _of_new_server(driver)) - used[driver]

        place = self._with(slot.place, free, frozenset(key for p in pods for key in claims_of(p)))
        shelves = ((shelf.resource, shelf.on(place)) for shelf in self._dealt.shelves)
        there = tuple(sorted((name, number) for name, number in shelves if number))
        return replace(slot, place=replace(place, room=place.room + Resources(extended=there)))

    def _with(self, place: Place, free: Callable[[str], int], there: frozenset[PodKey]) -> Place:
        """Add what a place still attaches, given the claims of the pods that run there."""

        def number(name: str) -> int:
            driver = name.removesuffix(SHARED)
            left = free(driver) - sum(
                shared.driver == driver and shared.claim not in there and shared.reaches(place)
                for shared in self._dealt.together
            )
            if name == driver:
                return left
            return _UNLIMITED if left >= 0 else 0

        extended = tuple((f"{ATTACHABLE}{name}", number(name)) for name in self._drivers)
        return replace(place, room=place.room + Resources(extended=extended))


def _of_new_server(driver: str) -> int:
    return HCLOUD_VOLUMES_A_SERVER if driver == HCLOUD_DRIVER else _UNLIMITED
