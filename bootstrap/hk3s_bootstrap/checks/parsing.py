"""From text to a ClusterConfig, or to every reason why not (E001 to E005)."""

import difflib
from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hk3s_autoscaler.known_keys import known_keys
from hk3s_bootstrap.checks.finding import Finding
from hk3s_bootstrap.config import ClusterConfig
from hk3s_bootstrap.located import Document, MalformedYaml, Path, read

EMPTY = Document(values=None, keys={}, items={})


def read_file(file: FilePath) -> tuple[str, tuple[Finding, ...]]:
    """Return a file's text, or why it cannot be read (E001)."""
    try:
        return file.read_text(encoding="utf-8"), ()
    except OSError as error:
        cause = f"cannot be read: {error.strerror}"
        fix = "name a readable file with -f"
    except UnicodeDecodeError as error:
        cause = f"is not UTF-8 text: {error.reason} at byte {error.start}"
        fix = "save the file as UTF-8"
    return "", (Finding(code="HK3S-E001", path=(), cause=cause, fix=fix),)


def parse(text: str) -> tuple[ClusterConfig | None, Document, tuple[Finding, ...]]:
    """Return the settings, where they stood, and what keeps them from being settings.

    Without findings there is a config; with findings there is none.
    """
    try:
        document = read(text)
    except MalformedYaml as error:
        finding = Finding(
            code="HK3S-E002",
            path=(),
            cause=f"is not YAML: {error}",
            fix="correct the syntax at this place",
            position=error.position,
        )
        return None, EMPTY, (finding,)
    if not isinstance(document.values, dict):
        finding = Finding(
            code="HK3S-E005",
            path=(),
            cause="must hold keys and values",
            fix="start from examples/production.yaml",
        )
        return None, document, (finding,)
    try:
        return ClusterConfig.model_validate(document.values), document, ()
    except ValidationError as error:
        found = (_finding(details) for details in error.errors(include_url=False))
        return None, document, tuple(_distinct(found))


def _finding(details: ErrorDetails) -> Finding:
    path = _existing(details["loc"])
    match details["type"]:
        case "extra_forbidden":
            known = sorted(known_keys(ClusterConfig, path[:-1]))
            close = difflib.get_close_matches(str(path[-1]), known, n=1)
            fix = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            cause = f"unknown key {path[-1]!r}"
            return Finding(code="HK3S-E003", path=path, cause=cause, fix=fix)
        case "missing":
            return Finding(
                code="HK3S-E004",
                path=path,
                cause=f"the key {path[-1]!r} is missing",
                fix=_MISSING.get(path[-1], f"add {path[-1]}"),
            )
        case "tuple_type" | "list_type":
            return Finding(
                code="HK3S-E005",
                path=path,
                cause="a list is expected here",
                fix="write it in brackets: [first, second]",
            )
        case _:
            message = details["msg"].removeprefix("Value error, ")
            cause = message[:1].lower() + message[1:]
            return Finding(code="HK3S-E005", path=path, cause=cause, fix=_value_fix(details, path))


_MISSING: dict[str | int, str] = {
    "allowedCidrs": "list who may reach SSH and the API, such as your own address: 203.0.113.7/32",
    "publicKeys": "list a public key, such as ~/.ssh/id_ed25519.pub",
    "serverType": "name a server type, such as cpx22",
    "location": "name a location, such as fsn1",
    "cluster": "give the cluster a name",
    "name": "give the pool a name",
}


def _value_fix(details: ErrorDetails, path: Path) -> str:
    match details["type"]:
        case "literal_error":
            return f"choose one of {details.get('ctx', {}).get('expected')}"
        case "string_pattern_mismatch" if path == ("cluster",):
            return "use a-z, 0-9 and inner hyphens, a letter first, at most 32 characters"
        case "string_type":
            return "put the value in quotes"
        case "ip_v4_network" | "ip_any_network":
            return "write a network such as 10.4.0.0/16, with no bits set behind the prefix"
        case _:
            return "correct the value"


def _existing(loc: tuple[int | str, ...]) -> Path:
    """Drop what pydantic adds for unions and validators: only keys and indexes are ours."""
    return tuple(part for part in loc if isinstance(part, int) or not part.startswith("function-"))


def _distinct(findings: Iterator[Finding]) -> Iterator[Finding]:
    seen: set[tuple[str, Path]] = set()
    for finding in findings:
        if (finding.code, finding.path) not in seen:
            seen.add((finding.code, finding.path))
            yield finding
