"""Claims, volumes, storage classes, and what is attached where."""

from msgspec import field

from hk3s_kube.kinds.base import Fields, KubeObject, NodeSelector, Resources


class ClaimSpec(Fields, frozen=True):
    """What a claim asks for and what it is bound to."""

    storage_class_name: str | None = None
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    resources: Resources = Resources()


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


class VolumeAttachmentSpec(Fields, frozen=True):
    """Where a volume is, or shall be, attached."""

    node_name: str


class VolumeAttachmentStatus(Fields, frozen=True):
    """Whether it is attached."""

    attached: bool = False


class VolumeAttachment(KubeObject, frozen=True):
    """An attachment of a volume to a node."""

    spec: VolumeAttachmentSpec
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()


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
