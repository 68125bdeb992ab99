"""One problem, and all of them: the report on a file."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hk3s_findings.located import Document, Path, Position

Severity = Literal["error", "warning"]

_PLAIN = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem: its stable code, the key it concerns, its cause and what to do about it."""

    code: str
    path: Path
    cause: str
    fix: str
    severity: Severity = "error"
    position: Position | None = None
    """Only where the problem is not at `path`: text that is no YAML has no paths."""

    @property
    def key(self) -> str:
        """The path as a person writes it: `nodePools[1].labels[example.com/team]`."""
        text = ""
        for part in self.path:
            inner = isinstance(part, int) or _PLAIN.fullmatch(part) is None
            text += f"[{part}]" if inner else f".{part}"
        return text.removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings on one file, in the order of its lines.

    Without a `document` there are no lines: `file` is then an option of the command line.
    """

    file: str
    document: Document | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def position(self, finding: Finding) -> Position:
        """Return where a finding belongs in the file."""
        known = finding.position or (self.document and self.document.position(finding.path))
        return known or Position(1, 1)

    def as_text(self) -> str:
        """Return the report for people: place, code, cause, fix."""
        lines = []
        for finding in self.findings:
            place = self.position(finding)
            where = self.file if self.document is None else f"{self.file}:{place}"
            key = f" {finding.key}:" if finding.path else ""
            lines.append(f"{where}: {finding.severity} {finding.code}:{key} {finding.cause}")
            lines.append(f"    fix: {finding.fix}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {
            "ok": not self.errors,
            "file": self.file,
            "findings": [
                {
                    "code": finding.code,
                    "severity": finding.severity,
                    "key": finding.key,
                    "line": self.position(finding).line,
                    "column": self.position(finding).column,
                    "cause": finding.cause,
                    "fix": finding.fix,
                }
                for finding in self.findings
            ],
        }


def report(file: str, document: Document | None, findings: Iterable[Finding]) -> Report:
    """Return the report of findings in any order."""
    unsorted = Report(file=file, document=document, findings=tuple(findings))

    def by_place(finding: Finding) -> tuple[Position, str, str]:
        return (unsorted.position(finding), finding.code, finding.cause)

    return Report(
        file=file, document=document, findings=tuple(sorted(unsorted.findings, key=by_place))
    )


def as_text(reports: Iterable[Report]) -> str:
    """Return reports for people, with the number of errors and warnings at the end."""
    told = tuple(reports)
    errors = sum(len(each.errors) for each in told)
    warnings = sum(len(each.findings) for each in told) - errors
    lines = [each.as_text() for each in told if each.findings]
    return "\n".join((*lines, f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
