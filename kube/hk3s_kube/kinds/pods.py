"""Pods, with what bears on scheduling and draining."""

from datetime import datetime

from msgspec import field

from hk3s_kube.kinds.affinity import Affinity, TopologySpreadConstraint
from hk3s_kube.kinds.base import Condition, Fields, KubeObject, ObjectMeta, Resources
from hk3s_kube.kinds.storage import ClaimSpec


class Toleration(Fields, frozen=True):
    """`operator` is Equal unless said; no key with Exists tolerates everything."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class ContainerPort(Fields, frozen=True):
    """A port; only those with a `host_port` matter to scheduling."""

    container_port: int = 0
    host_port: int = 0
    host_ip: str = field(default="", name="hostIP")
    protocol: str = "TCP"


class Container(Fields, frozen=True):
    """A container; an init container with `restart_policy` Always is a sidecar."""

    name: str
    image: str = ""
    resources: Resources = Resources()
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""


class ClaimSource(Fields, frozen=True):
    """A volume from a claim of the same namespace."""

    claim_name: str


class EmptyDir(Fields, frozen=True):
    """Scratch space; `medium` Memory is RAM."""

    medium: str = ""


class HostPath(Fields, frozen=True):
    """A path of the node."""

    path: str


class ClaimTemplate(Fields, frozen=True):
    """The claim of a generic ephemeral volume."""

    spec: ClaimSpec


class EphemeralVolume(Fields, frozen=True):
    """A volume whose claim is made with the pod, named `<pod>-<volume>`."""

    volume_claim_template: ClaimTemplate | None = None


class Volume(Fields, frozen=True):
    """A pod's volume; kinds that neither scheduling nor draining minds are all None here."""

    name: str
    persistent_volume_claim: ClaimSource | None = None
    empty_dir: EmptyDir | None = None
    host_path: HostPath | None = None
    ephemeral: EphemeralVolume | None = None


class SchedulingGate(Fields, frozen=True):
    """Something that a pod waits for before it may be scheduled."""

    name: str


class PodSpec(Fields, frozen=True):
    """What a pod needs; `node_name` is where it was bound."""

    node_name: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: dict[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    priority: int | None = None
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    volumes: tuple[Volume, ...] = ()
    host_network: bool = False
    termination_grace_period_seconds: int | None = None


class PodStatus(Fields, frozen=True):
    """Where a pod is in its life."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    nominated_node_name: str = ""
    start_time: datetime | None = None


class Pod(KubeObject, frozen=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def identity(self) -> "Pod":
        """Return the pod with nothing but name, namespace, UID and version."""
        meta = self.metadata
        return Pod(
            metadata=ObjectMeta(
                name=meta.name,
                namespace=meta.namespace,
                uid=meta.uid,
                resource_version=meta.resource_version,
            )
        )
