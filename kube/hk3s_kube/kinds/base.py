"""What all kinds share: metadata, conditions, selectors, amounts."""

from datetime import datetime

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
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


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


class Resources(Fields, frozen=True):
    """Quantities by resource name, as texts (`500m`, `1Gi`)."""

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
