"""One problem, and all of them: the report of a validation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hk3s_bootstrap.located import Document, Path, Position

Severity = Literal["error", "warning"]


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
        """The path as a person writes it: `nodePools[1].serverTypes`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}"
        return text.removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings on one file, in the order of its lines."""

    file: str
    document: Document
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stand in the way."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def position(self, finding: Finding) -> Position:
        """Return where a finding belongs in the file."""
        return finding.position or self.document.position(finding.path)

    def as_text(self) -> str:
        """Return the report for people: place, code, cause, fix."""
        lines = []
        for finding in self.findings:
            place = self.position(finding)
            key = f" {finding.key}:" if finding.path else ""
            where = f"{self.file}:{place.line}:{place.column}"
            lines.append(f"{where}: {finding.severity} {finding.code}:{key} {finding.cause}")
            lines.append(f"    fix: {finding.fix}")
        errors = len(self.errors)
        lines.append(f"{_count(errors, 'error')}, {_count(len(self.findings) - errors, 'warning')}")
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


def report(file: str, document: Document, findings: Iterable[Finding]) -> Report:
    """Return the report of findings in any order."""
    unsorted = Report(file=file, document=document, findings=tuple(findings))

    def by_place(finding: Finding) -> tuple[Position, str, str]:
        return (unsorted.position(finding), finding.code, finding.cause)

    return Report(
        file=file, document=document, findings=tuple(sorted(unsorted.findings, key=by_place))
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
