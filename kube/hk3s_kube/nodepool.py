"""The NodePool API, `nodepools.hk3s.dev/v1alpha1`, as models: what users write, what hk3s reports.

The CustomResourceDefinition is generated from these models (see `crd`), so that the API server's
validation and ours are one. Names are Karpenter's where the meaning is.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from hk3s_kube import cron, duration, quantity

GROUP = "hk3s.dev"
VERSION = "v1alpha1"
KIND = "NodePool"
PLURAL = "nodepools"
API_VERSION = f"{GROUP}/{VERSION}"
CRD_NAME = f"{PLURAL}.{GROUP}"
PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"

MOST_NODES = 100
"""Hetzner attaches at most 100 resources to a network."""

MICRO = Decimal(1_000_000)


def _to_duration(value: object) -> object:
    return duration.parse(value) if isinstance(value, str) else value


def _to_expiry(value: object) -> object:
    return None if value == "Never" else _to_duration(value)


def _to_quantity(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_quantity(value: str) -> str:
    quantity.parse(value)
    return value


def _check_schedule(value: str) -> str:
    cron.parse(value)
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_to_duration),
    PlainSerializer(duration.render, return_type=str),
    WithJsonSchema({"type": "string", "pattern": duration.PATTERN}),
]

Expiry = Annotated[
    timedelta | None,
    BeforeValidator(_to_expiry),
    PlainSerializer(lambda value: "Never" if value is None else duration.render(value)),
    WithJsonSchema({"type": "string", "pattern": rf"^Never$|{duration.PATTERN}"}),
]
"""A duration, or `Never`, which is None."""

Schedule = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    AfterValidator(_check_schedule),
]
"""Five fields, or a macro such as `@daily`; see `cron`."""

Quantity = Annotated[
    str,
    BeforeValidator(_to_quantity),
    AfterValidator(_check_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": quantity.PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]

Euro = Annotated[
    Decimal,
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
"""Net; `micro_eur` gives the integer."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=63)]

LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)
]


class Model(BaseModel):
    """Base of all models here: camelCase outside, unknown keys are errors, nothing changes."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True
    )


class Requirements(Model):
    """Which server types may be bought, by property. What is left out does not matter.

    `arch` left out means the master's: arm64 is bought only when it is listed.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.minCores) || !has(self.maxCores)"
                    " || self.minCores <= self.maxCores",
                    "message": "minCores must not exceed maxCores",
                }
            ]
        }
    )

    arch: tuple[Literal["amd64", "arm64"], ...] = Field(
        default=(), max_length=2, description="Architectures; default: the master's."
    )
    cpu_type: tuple[Literal["shared", "dedicated"], ...] = Field(
        default=(), max_length=2, description="Kinds of virtual CPU; default: both."
    )
    min_cores: int | None = Field(default=None, ge=1)
    max_cores: int | None = Field(default=None, ge=1)
    min_memory: Quantity | None = Field(default=None, description="What is sold, e.g. 4Gi.")
    max_memory: Quantity | None = Field(default=None, description="What is sold, e.g. 32Gi.")


class Limits(Model):
    """What the whole pool may reach; a limit is never crossed, not even for a moment."""

    cpu: Quantity | None = Field(default=None, description="Cores sold, summed over the pool.")
    memory: Quantity | None = Field(default=None, description="Memory sold, summed.")
    euro_per_hour: Euro | None = Field(default=None, description="Net price, summed.")


class Taint(Model):
    """A taint that the pool's nodes register with."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=316)]
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Budget(Model):
    """How many of the pool's nodes may be disrupted at a time; the strictest that is active counts.

    With `schedule` and `duration` a budget is active for that long from each time named.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.schedule) == has(self.duration)",
                    "message": "schedule and duration go together",
                }
            ]
        }
    )

    nodes: Annotated[str, StringConstraints(pattern=r"^((100|[0-9]{1,2})%|[0-9]+)$")] = Field(
        default="10%", description="A number, or a percentage of the pool, rounded up."
    )
    reasons: tuple[Literal["Empty", "Underutilized", "Drifted", "Expired"], ...] = Field(
        default=(), max_length=4, description="Which disruptions it limits; default: all."
    )
    schedule: Schedule | None = Field(
        default=None, description="When it begins to count, as in crontab, in UTC."
    )
    duration: Duration | None = Field(
        default=None, description="For how long it counts from then on; default: always."
    )


class Disruption(Model):
    """When nodes that are not needed go."""

    policy: Literal["Never", "WhenEmpty", "WhenUnderutilized"] = Field(
        default="WhenUnderutilized",
        description="WhenUnderutilized also moves pods together when that saves money.",
    )
    consolidate_after: Duration = Field(
        default=timedelta(minutes=10), description="How long a node must have been unneeded."
    )
    min_savings: Euro = Field(
        default=Decimal(2),
        description="Euro a month that each node must save whose pods are moved.",
    )
    budgets: tuple[Budget, ...] = Field(default=(Budget(),), max_length=20)
    keep_until_hour_end: bool = Field(
        default=True, description="A started hour is paid: keep an idle server until it ends."
    )


class NodePoolSpec(Model):
    """What a user wants.

    `server_types` and `requirements` both narrow the choice; without either, any type will do.
    `weight` makes strict tiers: a pool of lower weight is used only when no higher one will do;
    within a tier the price decides.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.minNodes <= self.maxNodes",
                    "message": "minNodes must not exceed maxNodes",
                }
            ]
        }
    )

    server_types: tuple[Name, ...] = Field(
        default=(), max_length=64, description="Names such as cx23; the order means nothing."
    )
    requirements: Requirements = Field(default=Requirements())
    locations: tuple[Name, ...] = Field(
        default=(),
        max_length=16,
        description="Names such as fsn1; default: all of the network's zone.",
    )
    min_nodes: int = Field(default=0, ge=0, le=MOST_NODES)
    max_nodes: int = Field(ge=0, le=MOST_NODES)
    limits: Limits = Field(default=Limits())
    weight: int = Field(default=0, ge=0, le=100)
    labels: dict[str, LabelValue] = Field(default={}, max_length=64)
    taints: tuple[Taint, ...] = Field(default=(), max_length=32)
    startup_taints: tuple[Taint, ...] = Field(
        default=(),
        max_length=32,
        description="Taints that something in the cluster removes; pods need not tolerate them.",
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "ubuntu-24.04"
    expire_after: Expiry = Field(
        default=None, description="Age at which a node is replaced; Never by default."
    )
    termination_grace_period: Duration | None = Field(
        default=None, description="Longest drain; default: as long as budgets and pods want."
    )
    disruption: Disruption = Field(default=Disruption())
    join_timeout: Duration = Field(
        default=timedelta(minutes=15), description="A server that is no node by then is replaced."
    )


class Condition(Model):
    """As `meta/v1 Condition`."""

    type: Annotated[str, StringConstraints(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime


class BlockedOffering(Model):
    """An offering that is not tried for a while; `*` stands for all."""

    offering: str = Field(description="<server type>/<location>")
    reason: str
    until: datetime


class Decision(Model):
    """What was decided last for this pool, and why."""

    time: datetime
    reason: str
    message: str


class NodePoolStatus(Model):
    """What hk3s reports."""

    nodes: int = Field(default=0, ge=0, description="Servers bought and not yet deleted.")
    ready: int = Field(default=0, ge=0, description="Nodes that are Ready.")
    eur_per_hour: str = Field(default="0.0000", description="What the servers cost, net.")
    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    blocked_offerings: tuple[BlockedOffering, ...] = Field(default=(), max_length=256)
    last_decision: Decision | None = None


class Metadata(BaseModel):
    """The part of an object's metadata that matters for a pool; the rest is skipped."""

    model_config = ConfigDict(
        extra="ignore", alias_generator=to_camel, populate_by_name=True, frozen=True
    )

    name: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: datetime | None = None


class NodePool(Model):
    """A pool of workers."""

    api_version: Literal["hk3s.dev/v1alpha1"]
    kind: Literal["NodePool"]
    metadata: Metadata
    spec: NodePoolSpec
    status: NodePoolStatus | None = None


def micro_eur(euro: Decimal) -> int:
    """Return an amount in micro-euro, rounded down: limits stay limits."""
    return int(euro * MICRO)


def manifest(name: str, spec: NodePoolSpec) -> dict[str, Any]:
    """Return the object to apply; what equals a default is left to the API server."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }


def status_manifest(name: str, status: NodePoolStatus) -> dict[str, Any]:
    """Return the object to apply to the subresource `status`."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
