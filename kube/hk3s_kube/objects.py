"""Kubernetes objects as structs: just the fields in use, read-only, invisible to the collector.

Names are Kubernetes's in snake case. Quantities stay texts. Times are aware.
`gc=False` is safe, since no object refers to one that refers back, and spares the loop pauses of
seconds with ten thousand pods.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class Fields(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Base of all structs here: camelCase in JSON, unknown fields skipped."""


class OwnerReference(Fields, frozen=True):
    """Who made an object; `controller` marks the one in charge."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(Fields, frozen=True):
    """Identity of an object. Templates have neither name nor UID."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None


class KubeObject(Fields, frozen=True):
    """Anything with metadata."""

    metadata: ObjectMeta

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` for what has no namespace."""
        meta = self.metadata
        return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


class Condition(Fields, frozen=True):
    """A condition of a pod, node or anything else; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None
    last_heartbeat_time: datetime | None = None


# Selectors


class Requirement(Fields, frozen=True):
    """`In`, `NotIn`, `Exists`, `DoesNotExist`, and for nodes `Gt`, `Lt`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Fields, frozen=True):
    """All of both must match; an empty selector matches everything, an absent one nothing."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()


class NodeSelectorTerm(Fields, frozen=True):
    """All must match; `match_fields` knows `metadata.name` only."""

    match_expressions: tuple[Requirement, ...] = ()
    match_fields: tuple[Requirement, ...] = ()


class NodeSelector(Fields, frozen=True):
    """Any term suffices."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class PreferredSchedulingTerm(Fields, frozen=True):
    """A wish with a weight of 1 to 100."""

    weight: int
    preference: NodeSelectorTerm


# Pods


class NodeAffinity(Fields, frozen=True):
    """Which nodes a pod needs and prefers."""

    required: NodeSelector | None = field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[PreferredSchedulingTerm, ...] = field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Fields, frozen=True):
    """Pods to be near to, or far from, within a topology domain."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Fields, frozen=True):
    """A wish with a weight of 1 to 100."""

    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(Fields, frozen=True):
    """Affinity or anti-affinity to pods."""

    required: tuple[PodAffinityTerm, ...] = field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedPodAffinityTerm, ...] = field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Fields, frozen=True):
    """All of a pod's affinities."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Fields, frozen=True):
    """`operator` is Equal unless said; no key with Exists tolerates everything."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class TopologySpreadConstraint(Fields, frozen=True):
    """How unevenly pods may spread over the domains of `topology_key`."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: str
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str = "Honor"
    node_taints_policy: str = "Ignore"
    match_label_keys: tuple[str, ...] = ()


class Resources(Fields, frozen=True):
    """Quantities by resource name, as texts (`500m`, `1Gi`)."""

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)


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


class ClaimSpec(Fields, frozen=True):
    """What a claim asks for and what it is bound to."""

    storage_class_name: str | None = None
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    resources: Resources = Resources()


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
    scheduler_name: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: dict[str, str] = field(default_factory=dict)
    resources: Resources | None = None
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str = ""
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


# Nodes


class Taint(Fields, frozen=True):
    """Keeps pods away; `effect` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    effect: str
    value: str = ""
    time_added: datetime | None = None


class NodeSpec(Fields, frozen=True):
    """A node's taints and its identity with the cloud provider (`hcloud://<id>`)."""

    provider_id: str = field(default="", name="providerID")
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeAddress(Fields, frozen=True):
    """An address of a node: InternalIP, ExternalIP or Hostname."""

    type: str
    address: str


class NodeInfo(Fields, frozen=True):
    """What the kubelet says about the machine."""

    kubelet_version: str = ""
    architecture: str = ""
    os_image: str = ""
    system_uuid: str = field(default="", name="systemUUID")


class AttachedVolume(Fields, frozen=True):
    """A volume that the controller attached."""

    name: str


class NodeStatus(Fields, frozen=True):
    """Capacity, allocatable and conditions of a node."""

    capacity: dict[str, str] = field(default_factory=dict)
    allocatable: dict[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    node_info: NodeInfo = NodeInfo()
    volumes_attached: tuple[AttachedVolume, ...] = ()


class Node(KubeObject, frozen=True):
    """A node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


# What else bears on scheduling and draining


class PodTemplate(Fields, frozen=True):
    """The pod that a controller makes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class DaemonSetSpec(Fields, frozen=True):
    """A daemon's pods."""

    template: PodTemplate
    selector: LabelSelector | None = None


class DaemonSet(KubeObject, frozen=True):
    """A pod on each node that admits it."""

    spec: DaemonSetSpec


class DisruptionBudgetSpec(Fields, frozen=True):
    """Which pods must stay, and how many."""

    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_pod_eviction_policy: str = ""


class DisruptionBudgetStatus(Fields, frozen=True):
    """How many evictions are allowed now."""

    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    observed_generation: int = 0


class PodDisruptionBudget(KubeObject, frozen=True):
    """A limit to evictions."""

    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()
    status: DisruptionBudgetStatus = DisruptionBudgetStatus()


class VolumeAttachmentSource(Fields, frozen=True):
    """The volume that is attached."""

    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(Fields, frozen=True):
    """Which volume is, or shall be, attached where."""

    attacher: str
    node_name: str
    source: VolumeAttachmentSource = VolumeAttachmentSource()


class VolumeAttachmentStatus(Fields, frozen=True):
    """Whether it is attached."""

    attached: bool = False


class VolumeAttachment(KubeObject, frozen=True):
    """An attachment of a volume to a node."""

    spec: VolumeAttachmentSpec
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()


class Namespace(KubeObject, frozen=True):
    """A namespace; affinity terms select them by label."""


class ClaimStatus(Fields, frozen=True):
    """Pending, Bound or Lost."""

    phase: str = ""


class PersistentVolumeClaim(KubeObject, frozen=True):
    """A claim to storage."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


class CsiSource(Fields, frozen=True):
    """A volume of a CSI driver."""

    driver: str
    volume_handle: str


class VolumeNodeAffinity(Fields, frozen=True):
    """Which nodes can reach a volume."""

    required: NodeSelector | None = None


class ObjectReference(Fields, frozen=True):
    """The claim that a volume is bound to."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


class PersistentVolumeSpec(Fields, frozen=True):
    """A volume and where it can be used."""

    csi: CsiSource | None = None
    node_affinity: VolumeNodeAffinity | None = None
    claim_ref: ObjectReference | None = None
    storage_class_name: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: dict[str, str] = field(default_factory=dict)


class PersistentVolume(KubeObject, frozen=True):
    """A volume."""

    spec: PersistentVolumeSpec = PersistentVolumeSpec()


class TopologyRequirement(Fields, frozen=True):
    """A topology key and its allowed values."""

    key: str
    values: tuple[str, ...] = ()


class TopologyTerm(Fields, frozen=True):
    """All must match."""

    match_label_expressions: tuple[TopologyRequirement, ...] = ()


class StorageClass(KubeObject, frozen=True):
    """How claims become volumes; `volume_binding_mode` decides when."""

    provisioner: str
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[TopologyTerm, ...] = ()


class CsiDriverOnNode(Fields, frozen=True):
    """A CSI driver's limit of attachments on a node; None means no limit."""

    class Allocatable(Fields, frozen=True):
        """How many volumes can be attached."""

        count: int | None = None

    name: str
    allocatable: Allocatable | None = None


class CsiNodeSpec(Fields, frozen=True):
    """The drivers of a node."""

    drivers: tuple[CsiDriverOnNode, ...] = ()


class CsiNode(KubeObject, frozen=True):
    """Which CSI drivers a node has; its name is the node's."""

    spec: CsiNodeSpec = CsiNodeSpec()


class NodePoolObject(KubeObject, frozen=True):
    """A NodePool as it is stored; `nodepool_check.read` makes the model of it."""

    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)


# Where each kind is listed, over all namespaces.
PATHS: dict[type[KubeObject], str] = {
    Pod: "/api/v1/pods",
    Node: "/api/v1/nodes",
    Namespace: "/api/v1/namespaces",
    PersistentVolumeClaim: "/api/v1/persistentvolumeclaims",
    PersistentVolume: "/api/v1/persistentvolumes",
    DaemonSet: "/apis/apps/v1/daemonsets",
    PodDisruptionBudget: "/apis/policy/v1/poddisruptionbudgets",
    StorageClass: "/apis/storage.k8s.io/v1/storageclasses",
    VolumeAttachment: "/apis/storage.k8s.io/v1/volumeattachments",
    NodePoolObject: "/apis/hk3s.dev/v1alpha1/nodepools",
    CsiNode: "/apis/storage.k8s.io/v1/csinodes",
}

UNFINISHED_PODS = "status.phase!=Succeeded,status.phase!=Failed"
"""Field selector that leaves finished pods out; a pod that finishes arrives as DELETED."""
