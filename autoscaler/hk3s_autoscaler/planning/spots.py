"""Where pods may be counted onto: nodes, servers on their way, servers that are bought now."""

from dataclasses import dataclass, field, replace

from hk3s_autoscaler.model.pod import Pod, PodSpec
from hk3s_autoscaler.model.resources import Resources, total
from hk3s_autoscaler.scheduling.place import HOSTNAME_LABEL, HostPort, Place

ENDLESS = 1 << 30


@dataclass(slots=True, kw_only=True)
class Spot:
    """A node, a server on its way, or one that is bought now, with the pods counted onto it.

    `bought` is the number of the purchase. `bound`: a pod with rules about others was put here
    for what is around, so another kind or location might not do.
    """

    name: str
    place: Place
    tried: bool = False
    bought: int | None = None
    bound: bool = False
    pods: list[Pod] = field(default_factory=list)

    def rest(self) -> tuple[Resources, frozenset[HostPort]]:
        """Room and host ports once the pods are there."""
        used = total(pod.spec.requests for pod in self.pods)
        ports = {port for pod in self.pods for port in pod.spec.host_ports}
        return self.place.room - used, self.place.ports | ports


def copies(spec: PodSpec, room: Resources) -> int:
    """How many equal pods a room holds."""
    wanted, free = spec.requests, dict(room.extended)
    pairs = [
        (wanted.cpu_milli, room.cpu_milli),
        (wanted.memory_bytes, room.memory_bytes),
        (wanted.ephemeral_bytes, room.ephemeral_bytes),
        (wanted.pods, room.pods),
        *((amount, free.get(name, 0)) for name, amount in wanted.extended),
    ]
    return min((max(0, have) // want for want, have in pairs if want), default=ENDLESS)


def fresh(place: Place, name: str) -> Place:
    """Return a place under a name of its own."""
    return replace(place, name=name, labels={**place.labels, HOSTNAME_LABEL: name})
