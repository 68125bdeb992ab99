"""Everything that is wrong with a trace, in one report: place, code, cause, what to do about it."""

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hk3s_autoscaler.known_keys import known_keys
from hk3s_autoscaler.offline_trace import (
    DaemonSetSection,
    PodProblem,
    PodsSection,
    TraceFile,
    WorkloadSection,
    pod_of,
)

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem: its stable code, the key it concerns, its cause and what to do about it."""

    code: str
    path: Path
    cause: str
    fix: str

    def __str__(self) -> str:
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        where = place.removeprefix(".") or "(whole file)"
        return f"{where}: error {self.code}: {self.cause}\n    fix: {self.fix}"


def read_trace(text: str) -> tuple[TraceFile | None, tuple[Finding, ...]]:
    """Return a trace, or everything that keeps the text from being one."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        cause = f"is not YAML: {' '.join(str(error).split())}"
        return None, (
            Finding(code="HK3S-E102", path=(), cause=cause, fix="correct the syntax there"),
        )
    if not isinstance(values, dict):
        fix = "start from examples/trace-working-day.yaml"
        return None, (
            Finding(code="HK3S-E105", path=(), cause="must hold keys and values", fix=fix),
        )
    try:
        file = TraceFile.model_validate(values)
    except ValidationError as error:
        found = (_finding(details) for details in error.errors(include_url=False))
        first = {(finding.code, finding.path): finding for finding in reversed(list(found))}
        return None, tuple(reversed(first.values()))
    findings = tuple(_cross_checks(file))
    return (None, findings) if findings else (file, ())


def _finding(details: ErrorDetails) -> Finding:
    path = details["loc"]
    match details["type"]:
        case "extra_forbidden":
            known = sorted(known_keys(TraceFile, path[:-1]))
            close = difflib.get_close_matches(str(path[-1]), known, n=1)
            fix = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            cause = f"unknown key {path[-1]!r}"
            return Finding(code="HK3S-E103", path=path, cause=cause, fix=fix)
        case "missing":
            cause = f"the key {path[-1]!r} is missing"
            return Finding(code="HK3S-E104", path=path, cause=cause, fix=f"add {path[-1]}")
        case kind:
            message = _CAUSES.get(kind, details["msg"].removeprefix("Value error, "))
            cause = message[:1].lower() + message[1:]
            fix = _FIXES.get(kind, "correct the value")
            return Finding(code="HK3S-E105", path=path, cause=cause, fix=fix)


_CAUSES = {
    "time_delta_type": "is no length of time",
    "int_type": "is no whole number",
    "tuple_type": "is no list",
}
_FIXES = {
    "time_delta_type": "write a time with its unit, such as 90s, 15m or 1h30m",
    "tuple_type": "write a list: each item begins with a hyphen",
    "less_than_equal": "choose a smaller value",
    "greater_than_equal": "choose a larger value",
    "greater_than": "choose a larger value",
    "int_type": "write a whole number",
    "string_pattern_mismatch": "names are a-z, 0-9 and inner hyphens; offerings are type/location",
}


def _cross_checks(file: TraceFile) -> Iterator[Finding]:
    """What no single value shows."""
    named: tuple[tuple[str, Sequence[WorkloadSection | DaemonSetSection]], ...] = (
        ("workloads", file.workloads),
        ("daemonSets", file.daemon_sets),
    )
    for key, sections in named:
        seen = Counter(section.name for section in sections)
        for number, section in enumerate(sections):
            if seen[section.name] > 1:
                cause = f"the name {section.name} is used twice"
                fix = "give each its own name"
                yield Finding(code="HK3S-E106", path=(key, number, "name"), cause=cause, fix=fix)
            yield from _pod_checks(file, section, (key, number), section.name)
    for number, workload in enumerate(file.workloads):
        times = [(("replicas", n, "at"), level.at) for n, level in enumerate(workload.replicas)]
        times += [(("arrivals", n, "from"), a.start) for n, a in enumerate(workload.arrivals)]
        for place, at in times:
            if at >= file.duration:
                yield Finding(
                    code="HK3S-E107",
                    path=("workloads", number, *place),
                    cause="lies behind the end of the trace",
                    fix="lengthen duration, or choose an earlier time",
                )


def _pod_checks(file: TraceFile, section: PodsSection, path: Path, name: str) -> Iterator[Finding]:
    try:
        pod_of(section, name, file.start)
    except PodProblem as problem:
        key = "template" if section.requests is None else "requests"
        yield Finding(
            code="HK3S-E108",
            path=(*path, key),
            cause=str(problem),
            fix="write it as in a Deployment; requests are such as {cpu: 500m, memory: 1Gi}",
        )
