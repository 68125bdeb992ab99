"""The format of traces, and what no single value of one shows."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pydantic_core import ErrorDetails

from hk3s_autoscaler.offline.question import MALFORMED, NO_POD, UNREADABLE, WRONG
from hk3s_autoscaler.offline.trace_file import (
    DaemonSetSection,
    PodProblem,
    PodsSection,
    TraceFile,
    WorkloadSection,
    pod_of,
)
from hk3s_findings.finding import Finding
from hk3s_findings.located import Path
from hk3s_findings.reading import Format
from hk3s_findings.schema import Codes


def _fix(details: ErrorDetails, _path: Path) -> str | None:
    if details["type"] == "string_pattern_mismatch":
        return "names are a-z, 0-9 and inner hyphens; offerings are type/location"
    return None


TRACE_FILE = Format(
    model=TraceFile,
    unreadable=UNREADABLE,
    malformed=MALFORMED,
    codes=Codes(unknown="HK3S-E103", missing="HK3S-E104", wrong=WRONG),
    example="examples/trace-working-day.yaml",
    fix=_fix,
)


def check(file: TraceFile) -> Iterator[Finding]:
    """Return what no single value shows."""
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
        yield Finding(code=NO_POD, path=(*path, key), cause=str(problem), fix=problem.fix)
