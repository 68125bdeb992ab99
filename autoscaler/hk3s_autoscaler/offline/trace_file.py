"""The file format of traces: what `simulate` plays, as models, and the facts that it comes to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from hk3s_autoscaler.adapters import convert
from hk3s_autoscaler.model.pod import DaemonSet, Owner, Pod, PodKey
from hk3s_autoscaler.simulation.trace import (
    LONGEST,
    Arrivals,
    Disruptions,
    Joining,
    Level,
    Stock,
    Trace,
    Workload,
)
from hk3s_kube import duration, objects

MOST_PODS = 100_000
DEFAULT_START = datetime(2026, 11, 23, tzinfo=UTC)
"""A Monday, midnight."""


def _time(value: object) -> object:
    return duration.parse(value) if isinstance(value, str) else value


def _offset(value: object) -> object:
    # YAML reads 8:30 as a number of minutes, and everybody forgets the unit of zero.
    return timedelta() if value == 0 and not isinstance(value, bool) else _time(value)


Duration = Annotated[timedelta, BeforeValidator(_time), Field(gt=timedelta(), strict=True)]
Offset = Annotated[timedelta, BeforeValidator(_offset), Field(ge=timedelta(), strict=True)]
Number = Annotated[int, Field(ge=0, le=MOST_PODS, strict=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")]


class _Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class ReplicasSection(_Section):
    """From `at` on so many pods are kept."""

    at: Offset
    count: Number


class LifetimeSection(_Section):
    """How long a pod runs, counted from when it got a node."""

    min: Duration
    max: Duration

    @model_validator(mode="after")
    def _in_order(self) -> "LifetimeSection":
        if self.max < self.min:
            raise ValueError("max must not be below min")
        return self


class ArrivalsSection(_Section):
    """Pods that come again and again, and end by themselves."""

    start: Annotated[timedelta, BeforeValidator(_offset), Field(alias="from", ge=timedelta())]
    until: Duration
    every: Duration
    pods: Annotated[int, Field(ge=1, le=MOST_PODS, strict=True)] = 1
    lifetime: LifetimeSection

    @model_validator(mode="after")
    def _in_order(self) -> "ArrivalsSection":
        if self.until <= self.start:
            raise ValueError("until must be after from")
        if self.pods * ((self.until - self.start) // self.every + 1) > MOST_PODS:
            raise ValueError(f"more than {MOST_PODS} pods arrive")
        return self


class PodsSection(_Section):
    """What one pod asks for: its requests, or a whole pod template."""

    requests: dict[str, str | int | float] | None = None
    template: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "PodsSection":
        if (self.requests is None) == (self.template is None):
            raise ValueError("needs either requests or template")
        return self

    def manifest(self, name: str) -> dict[str, Any]:
        """The pod as Kubernetes writes it."""
        if self.template is not None:
            return {
                "metadata": {**(self.template.get("metadata") or {}), "name": name},
                "spec": _with_texts(self.template.get("spec") or {}),
            }
        requests = {key: str(value) for key, value in (self.requests or {}).items()}
        container = {"name": "main", "resources": {"requests": requests}}
        return {"metadata": {"name": name}, "spec": {"containers": [container]}}


_AMOUNTS = ("requests", "limits", "overhead")


def _with_texts(value: Any, *, amounts: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Write the amounts of resources as texts: the apiserver takes numbers for them, too."""
    if isinstance(value, dict):
        return {
            key: _with_texts(item, amounts=amounts or key in _AMOUNTS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_texts(item) for item in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if amounts and is_number else value


Share = Annotated[int, Field(ge=0, strict=True)] | str


class BudgetSection(_Section):
    """A PodDisruptionBudget: a number of pods, or a share such as 25%."""

    min_available: Share | None = None
    max_unavailable: Share | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "BudgetSection":
        if (self.min_available is None) == (self.max_unavailable is None):
            raise ValueError("needs either minAvailable or maxUnavailable")
        self.facts()
        return self

    def facts(self) -> Disruptions:
        """What it allows.

        Raises:
            ValueError: it is neither a number nor a share.
        """
        least, most = _share(self.min_available), _share(self.max_unavailable)
        texts = (self.min_available, self.max_unavailable)
        return Disruptions(
            min_available=least,
            max_unavailable=most,
            percent=any(isinstance(text, str) for text in texts),
        )


def _share(value: int | str | None) -> int | None:
    if isinstance(value, str):
        number = value.removesuffix("%")
        if not (value.endswith("%") and number.isdecimal() and int(number) <= 100):  # noqa: PLR2004 - per cent
            raise ValueError(f"{value!r} is neither a number nor a share such as 25%")
        return int(number)
    return value


class WorkloadSection(PodsSection):
    """Pods of one kind."""

    name: Name
    replicas: tuple[ReplicasSection, ...] = ()
    arrivals: tuple[ArrivalsSection, ...] = ()
    repeat: Duration | None = None
    pdb: BudgetSection | None = None

    @model_validator(mode="after")
    def _some(self) -> "WorkloadSection":
        if not (self.replicas or self.arrivals):
            raise ValueError("needs replicas or arrivals")
        if self.repeat is not None and self.repeat < timedelta(minutes=1):
            raise ValueError("repeat must be a minute or more")
        return self


class DaemonSetSection(PodsSection):
    """Pods that every node carries."""

    name: Name


class StockSection(_Section):
    """From `at` on so many servers of some offerings can be had; no `left` means any number."""

    at: Offset
    offering: Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+$")]
    left: Number | None = None
    announced: bool = True


class JoinSection(_Section):
    """How long servers take from the order to a Ready node, and how many never get there."""

    min: Duration = Joining().shortest
    max: Duration = Joining().longest
    failing_percent: Annotated[int, Field(ge=0, le=100, strict=True)] = 0

    @model_validator(mode="after")
    def _in_order(self) -> "JoinSection":
        if self.max < self.min:
            raise ValueError("max must not be below min")
        return self


class TraceFile(_Section):
    """A whole trace."""

    start: datetime = DEFAULT_START
    duration: Annotated[Duration, Field(le=LONGEST)]
    workloads: tuple[WorkloadSection, ...]
    stock: tuple[StockSection, ...] = ()
    join: JoinSection = JoinSection()
    daemon_sets: tuple[DaemonSetSection, ...] = ()
    interval: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=2)
    scheduler: Literal["packing", "default"] = "packing"
    max_servers: Annotated[int, Field(ge=0, le=98, strict=True)] = 98
    max_euro_per_hour: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _something(self) -> "TraceFile":
        if not self.workloads:
            raise ValueError("workloads must name at least one")
        return self


class PodProblem(Exception):
    """A pod that cannot be understood, or holds what is not simulated; `fix` is what to do."""

    def __init__(
        self,
        cause: str,
        fix: str = "write it as in a Deployment; requests are such as {cpu: 500m, memory: 1Gi}",
    ) -> None:
        super().__init__(cause)
        self.fix = fix


def trace_of(file: TraceFile) -> Trace:
    """Return the facts of a file whose pods have been looked at by `pod_of`."""
    start = file.start if file.start.tzinfo is not None else file.start.replace(tzinfo=UTC)
    return Trace(
        start=start,
        duration=file.duration,
        workloads=tuple(_workload(item, start) for item in file.workloads),
        stock=tuple(
            Stock(at=s.at, offering=s.offering, left=s.left, announced=s.announced)
            for s in file.stock
        ),
        joining=Joining(
            shortest=file.join.min,
            longest=file.join.max,
            failing_percent=file.join.failing_percent,
        ),
        daemonsets=tuple(
            DaemonSet(
                key=PodKey("kube-system", item.name), spec=pod_of(item, item.name, start).spec
            )
            for item in file.daemon_sets
        ),
        interval=file.interval,
        packing=file.scheduler == "packing",
    )


def pod_of(section: PodsSection, name: str, start: datetime) -> Pod:
    """Return a pod as the daemon would see it.

    Raises:
        PodProblem: it is not a pod, or asks for what is not simulated; the text names the field.
    """
    try:
        manifest = section.manifest(name)
        manifest["metadata"].setdefault("namespace", "default")
        manifest["metadata"]["creationTimestamp"] = start.isoformat()
        pod = convert.pod(msgspec.convert(manifest, objects.Pod))
    except (msgspec.ValidationError, TypeError, ValueError, AttributeError) as error:
        raise PodProblem(f"is no pod template: {error}") from error
    if pod.spec.unsupported:
        raise PodProblem(", ".join(pod.spec.unsupported))
    if pod.spec.claims:
        fix = (
            "leave them out, which plays the pods without them; `plan -f` prices pods with volumes"
        )
        raise PodProblem("volumes are not simulated", fix)
    if not (pod.spec.requests.cpu_milli or pod.spec.requests.memory_bytes):
        raise PodProblem("requests neither cpu nor memory")
    return pod


def _workload(section: WorkloadSection, start: datetime) -> Workload:
    pod = pod_of(section, section.name, start)
    kind = "ReplicaSet" if section.replicas else "Job"
    owner = Owner(kind=kind, name=section.name, uid=section.name)
    return Workload(
        name=section.name,
        pod=replace(pod, owner=owner),
        levels=tuple(Level(at=item.at, count=item.count) for item in section.replicas),
        arrivals=tuple(
            Arrivals(
                start=item.start,
                until=item.until,
                every=item.every,
                pods=item.pods,
                shortest=item.lifetime.min,
                longest=item.lifetime.max,
            )
            for item in section.arrivals
        ),
        repeat=section.repeat,
        disruptions=section.pdb.facts() if section.pdb is not None else None,
    )
