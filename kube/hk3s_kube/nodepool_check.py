"""Reading a NodePool: all problems at once, each with a code, a path and a fix."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from hk3s_findings import schema
from hk3s_findings.finding import Finding
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

CODES = schema.Codes(unknown="HK3S-E202", missing="HK3S-E201", wrong="HK3S-E203")

KUBELET_PREFIXES = ("kubelet.kubernetes.io/", "node.kubernetes.io/")
"""Where NodeRestriction lets a kubelet label its node, within kubernetes.io and k8s.io."""


class NodePoolInvalid(Exception):
    """A pool cannot be used; `problems` has at least one entry."""

    def __init__(self, problems: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(f"{p.key}: {p.cause} ({p.code})" for p in problems))
        self.problems = problems


def read(manifest: Mapping[str, Any]) -> NodePool:
    """Return the pool of a manifest; raise `NodePoolInvalid` with every problem found."""
    try:
        pool = NodePool.model_validate(dict(manifest))
    except ValidationError as error:
        raise NodePoolInvalid(schema.findings(error, NodePool, CODES, schema.usual)) from None
    problems = tuple(
        replace(problem, path=("spec", *problem.path))
        for rule in RULES
        for problem in rule(pool.spec)
    )
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


def counts_ordered(spec: NodePoolSpec) -> Iterator[Finding]:
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
            yield Finding(
                code="HK3S-E204",
                path=tuple(low_path.split(".")),
                cause=f"{low} exceeds {high_path}, which is {high}",
                fix=f"lower {low_path} or raise {high_path}",
            )


def labels_allowed(spec: NodePoolSpec) -> Iterator[Finding]:
    """Labels are well-formed, and not those that the system sets or forbids."""
    for key in spec.labels:
        path = ("labels", key)
        prefix = key.partition("/")[0] if "/" in key else ""
        kubernetes = any(
            prefix == domain or prefix.endswith(f".{domain}")
            for domain in ("kubernetes.io", "k8s.io")
        )
        if LABEL_KEY.fullmatch(key) is None:
            yield Finding(
                code="HK3S-E205",
                path=path,
                cause="is no label key",
                fix=KEY_FIX,
            )
        elif prefix == "hk3s.dev" or key in OWN_LABELS:
            yield Finding(
                code="HK3S-E206",
                path=path,
                cause="is set by the system",
                fix="remove it; nodes get it anyway",
            )
        elif kubernetes and not key.startswith(KUBELET_PREFIXES):
            yield Finding(
                code="HK3S-E207",
                path=path,
                cause="is refused by NodeRestriction when the node registers",
                fix="use a prefix of your own, or node.kubernetes.io/",
            )


def taints_unique(spec: NodePoolSpec) -> Iterator[Finding]:
    """A key and effect occur once, as Kubernetes demands of a node."""
    for field, taints in (("taints", spec.taints), ("startupTaints", spec.startup_taints)):
        counts = Counter((taint.key, taint.effect) for taint in taints)
        for (key, effect), count in counts.items():
            if count > 1:
                yield Finding(
                    code="HK3S-E208",
                    path=(field,),
                    cause=f"{key}:{effect} occurs {count} times",
                    fix="keep one",
                )
            elif LABEL_KEY.fullmatch(key) is None:
                yield Finding(
                    code="HK3S-E205",
                    path=(field,),
                    cause=f"{key!r} is no taint key",
                    fix=KEY_FIX,
                )


def times_sensible(spec: NodePoolSpec) -> Iterator[Finding]:
    """A join takes a while: a deadline of seconds would buy and delete for ever."""
    if spec.join_timeout.total_seconds() < 10:  # noqa: PLR2004 - faster than any boot
        yield Finding(
            code="HK3S-E209",
            path=("joinTimeout",),
            cause="no server boots that fast",
            fix="allow minutes; private servers were seen to need five",
        )


def budgets_complete(spec: NodePoolSpec) -> Iterator[Finding]:
    """A schedule says when a budget begins to count, and a duration for how long."""
    for number, budget in enumerate(spec.disruption.budgets):
        if (budget.schedule is None) != (budget.duration is None):
            missing = "schedule" if budget.schedule is None else "duration"
            yield Finding(
                code="HK3S-E210",
                path=("disruption", "budgets", number, missing),
                cause="schedule and duration go together",
                fix=f"add {missing}, or leave both out for a budget that always counts",
            )


RULES: tuple[Callable[[NodePoolSpec], Iterator[Finding]], ...] = (
    counts_ordered,
    labels_allowed,
    taints_unique,
    times_sensible,
    budgets_complete,
)
