"""Reading a NodePool: all problems at once, each with a code, a path and a fix."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hk3s_kube import labels, quantity
from hk3s_kube.nodepool import API_VERSION, KIND, NodePool, NodePoolSpec
from hk3s_kube.objects import NodePoolObject

LABEL_KEY = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)

KEY_FIX = "use letters, digits, '-', '_' and '.', with an optional DNS prefix and '/'"

OWN_LABELS = frozenset(
    {
        labels.ARCH,
        labels.OS,
        labels.HOSTNAME,
        labels.REGION,
        labels.ZONE,
        labels.INSTANCE_TYPE,
    }
)
"""Labels that hk3s, the kubelet or the cloud controller set to what is true."""

KUBELET_PREFIXES = ("kubelet.kubernetes.io/", "node.kubernetes.io/")
"""Where NodeRestriction lets a kubelet label its node, within kubernetes.io and k8s.io."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePoolProblem:
    """Something wrong with a pool: a stable code, where, what, and what to do."""

    code: str
    path: str
    message: str
    fix: str


class NodePoolInvalid(Exception):
    """A pool cannot be used; `problems` has at least one entry."""

    def __init__(self, problems: tuple[NodePoolProblem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.message} ({p.code})" for p in problems))
        self.problems = problems


def read(manifest: Mapping[str, Any]) -> NodePool:
    """Return the pool of a manifest; raise `NodePoolInvalid` with every problem found."""
    try:
        pool = NodePool.model_validate(dict(manifest))
    except ValidationError as error:
        problems = tuple(_explain(details) for details in error.errors())
        raise NodePoolInvalid(problems) from None
    problems = tuple(problem for rule in RULES for problem in rule(pool.spec))
    if problems:
        raise NodePoolInvalid(problems)
    return pool


def read_object(stored: NodePoolObject) -> NodePool:
    """Return the pool of an object as a reflector holds it, its status included."""
    meta = stored.metadata
    return read(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": meta.name,
                "uid": meta.uid,
                "generation": meta.generation,
                "resourceVersion": meta.resource_version,
                "deletionTimestamp": meta.deletion_timestamp,
            },
            "spec": stored.spec,
            **({"status": stored.status} if stored.status else {}),
        }
    )


def problems_of(spec: Mapping[str, Any]) -> tuple[NodePoolProblem, ...]:
    """Return the problems of a spec alone, as `cluster.yaml` holds it; paths start at the spec."""
    try:
        return tuple(
            problem for rule in RULES for problem in rule(NodePoolSpec.model_validate(dict(spec)))
        )
    except ValidationError as error:
        return tuple(_explain(details, model=NodePoolSpec) for details in error.errors())


def counts_ordered(spec: NodePoolSpec) -> Iterator[NodePoolProblem]:
    """Minima do not exceed maxima."""
    wanted = spec.requirements
    pairs = (
        ("minNodes", spec.min_nodes, "maxNodes", spec.max_nodes),
        ("requirements.minCores", wanted.min_cores, "requirements.maxCores", wanted.max_cores),
        (
            "requirements.minMemory",
            None if wanted.min_memory is None else quantity.whole(wanted.min_memory),
            "requirements.maxMemory",
            None if wanted.max_memory is None else quantity.whole(wanted.max_memory),
        ),
    )
    for low_path, low, high_path, high in pairs:
        if low is not None and high is not None and low > high:
            yield NodePoolProblem(
                code="HK3S-E204",
                path=low_path,
                message=f"{low} exceeds {high_path}, which is {high}",
                fix=f"lower {low_path} or raise {high_path}",
            )


def labels_allowed(spec: NodePoolSpec) -> Iterator[NodePoolProblem]:
    """Labels are well-formed, and not those that the system sets or forbids."""
    for key in spec.labels:
        path = f"labels[{key}]"
        prefix = key.partition("/")[0] if "/" in key else ""
        kubernetes = any(
            prefix == domain or prefix.endswith(f".{domain}")
            for domain in ("kubernetes.io", "k8s.io")
        )
        if LABEL_KEY.fullmatch(key) is None:
            yield NodePoolProblem(
                code="HK3S-E205",
                path=path,
                message="is no label key",
                fix=KEY_FIX,
            )
        elif prefix == "hk3s.dev" or key in OWN_LABELS:
            yield NodePoolProblem(
                code="HK3S-E206",
                path=path,
                message="is set by the system",
                fix="remove it; nodes get it anyway",
            )
        elif kubernetes and not key.startswith(KUBELET_PREFIXES):
            yield NodePoolProblem(
                code="HK3S-E207",
                path=path,
                message="is refused by NodeRestriction when the node registers",
                fix="use a prefix of your own, or node.kubernetes.io/",
            )


def taints_unique(spec: NodePoolSpec) -> Iterator[NodePoolProblem]:
    """A key and effect occur once, as Kubernetes demands of a node."""
    for field, taints in (("taints", spec.taints), ("startupTaints", spec.startup_taints)):
        counts = Counter((taint.key, taint.effect) for taint in taints)
        for (key, effect), count in counts.items():
            if count > 1:
                yield NodePoolProblem(
                    code="HK3S-E208",
                    path=field,
                    message=f"{key}:{effect} occurs {count} times",
                    fix="keep one",
                )
            elif LABEL_KEY.fullmatch(key) is None:
                yield NodePoolProblem(
                    code="HK3S-E205",
                    path=field,
                    message=f"{key!r} is no taint key",
                    fix=KEY_FIX,
                )


def times_sensible(spec: NodePoolSpec) -> Iterator[NodePoolProblem]:
    """A join takes a while: a deadline of seconds would buy and delete for ever."""
    if spec.join_timeout.total_seconds() < 10:  # noqa: PLR2004 - faster than any boot
        yield NodePoolProblem(
            code="HK3S-E209",
            path="joinTimeout",
            message="no server boots that fast",
            fix="allow minutes; private servers were seen to need five",
        )


def budgets_complete(spec: NodePoolSpec) -> Iterator[NodePoolProblem]:
    """A schedule says when a budget begins to count, and a duration for how long."""
    for number, budget in enumerate(spec.disruption.budgets):
        if (budget.schedule is None) != (budget.duration is None):
            missing = "schedule" if budget.schedule is None else "duration"
            yield NodePoolProblem(
                code="HK3S-E210",
                path=f"disruption.budgets[{number}].{missing}",
                message="schedule and duration go together",
                fix=f"add {missing}, or leave both out for a budget that always counts",
            )


RULES: tuple[Callable[[NodePoolSpec], Iterator[NodePoolProblem]], ...] = (
    counts_ordered,
    labels_allowed,
    taints_unique,
    times_sensible,
    budgets_complete,
)


def _explain(details: ErrorDetails, model: type[BaseModel] = NodePool) -> NodePoolProblem:
    path = _path(details["loc"])
    match details["type"]:
        case "missing":
            return NodePoolProblem(
                code="HK3S-E201", path=path, message="is missing", fix=f"add {path}"
            )
        case "extra_forbidden":
            near = difflib.get_close_matches(str(details["loc"][-1]), _known(model), n=1)
            return NodePoolProblem(
                code="HK3S-E202",
                path=path,
                message="is no field of a NodePool",
                fix=f"did you mean {near[0]}?" if near else "remove it",
            )
        case _:
            message = details["msg"].removeprefix("Value error, ")
            return NodePoolProblem(
                code="HK3S-E203", path=path, message=message, fix=f"correct {path}"
            )


def _path(location: tuple[int | str, ...]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")


def _known(model: type[BaseModel]) -> list[str]:
    """Return the names of all fields below a model."""
    found: list[str] = []
    schema = model.model_json_schema(by_alias=True)
    for part in (schema, *schema.get("$defs", {}).values()):
        found.extend(part.get("properties", ()))
    return found
