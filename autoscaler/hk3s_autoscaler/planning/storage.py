"""Volumes in planning: claims become part of specs, and attachments a resource of places."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hk3s_autoscaler.model.pod import Pod
from hk3s_autoscaler.model.resources import Resources
from hk3s_autoscaler.model.volumes import HCLOUD_DRIVER, HCLOUD_VOLUMES_A_SERVER
from hk3s_autoscaler.planning.capacity import Capacity, Slot
from hk3s_autoscaler.planning.supply import Offer
from hk3s_autoscaler.planning.world import World
from hk3s_autoscaler.scheduling.place import Place
from hk3s_autoscaler.scheduling.volumes import ATTACHABLE, Volumes

_UNLIMITED = 1 << 30


class Attachments:
    """The volumes of pending pods: `pods` say themselves what they demand of a node."""

    def __init__(self, world: World, pods: Iterable[Pod]) -> None:
        waiting = tuple(pods)
        claiming = any(pod.spec.claims for pod in waiting)
        users = [pod for pod in world.snapshot.pods if pod.node and pod.spec.claims]
        self._world = world
        self._volumes = Volumes(storage=world.snapshot.storage, users=users)
        self.pods = tuple(map(self._volumes.resolved, waiting)) if claiming else waiting
        names = {name for pod in self.pods for name, _ in pod.spec.requests.extended}
        self._drivers = sorted(
            name.removeprefix(ATTACHABLE) for name in names if name.startswith(ATTACHABLE)
        )

    def on(self, room: Capacity) -> Capacity:
        """Return the slots with what their nodes still attach."""
        if not self._drivers:
            return room
        return Capacity(
            ready=self._slots(room.ready),
            coming=self._slots(room.coming),
            leaving=self._slots(room.leaving),
        )

    def of(self, sale: Sequence[Offer]) -> tuple[Offer, ...]:
        """Return the offers with what a new server attaches."""
        if not self._drivers:
            return tuple(sale)
        return tuple(replace(o, place=self._with(o.place, _of_new_server)) for o in sale)

    def _slots(self, slots: Iterable[Slot]) -> tuple[Slot, ...]:
        return tuple(self._slot(slot) for slot in slots)

    def _slot(self, slot: Slot) -> Slot:
        limits = {d: n for node, d, n in self._world.snapshot.storage.limits if node == slot.name}
        used = self._volumes.attached(self._world.pods_on(slot.name))

        def free(driver: str) -> int:
            return limits.get(driver, _of_new_server(driver)) - used[driver]

        return replace(slot, place=self._with(slot.place, free))

    def _with(self, place: Place, free: Callable[[str], int]) -> Place:
        extended = tuple((f"{ATTACHABLE}{driver}", free(driver)) for driver in self._drivers)
        return replace(place, room=place.room + Resources(extended=extended))


def _of_new_server(driver: str) -> int:
    return HCLOUD_VOLUMES_A_SERVER if driver == HCLOUD_DRIVER else _UNLIMITED
