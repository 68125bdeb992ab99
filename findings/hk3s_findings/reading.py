"""From a file to the pydantic model of its format, or to every reason why not."""

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from hk3s_findings import schema
from hk3s_findings.finding import Finding
from hk3s_findings.located import EMPTY, Document, MalformedYaml, read

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format(Generic[Model]):
    """A kind of file: its model, the codes of what may be wrong, a file to begin with.

    `fix` knows better than the usual words what to do about some error, or says None.
    """

    model: type[Model]
    unreadable: str
    malformed: str
    codes: schema.Codes
    example: str
    fix: schema.Fix = schema.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed(Generic[Model]):
    """What a text says, and where. There is either a value or a finding."""

    value: Model | None
    document: Document
    findings: tuple[Finding, ...]


def read_text(file: FilePath, code: str) -> tuple[str, tuple[Finding, ...]]:
    """Return a file's text, or why it cannot be read."""
    try:
        return file.read_text(encoding="utf-8"), ()
    except OSError as error:
        cause, fix = f"cannot be read: {error.strerror}", "name a readable file"
    except UnicodeDecodeError as error:
        cause = f"is not UTF-8 text: {error.reason} at byte {error.start}"
        fix = "save the file as UTF-8"
    return "", (Finding(code=code, path=(), cause=cause, fix=fix),)


def parse(text: str, form: Format[Model]) -> Parsed[Model]:
    """Read a text as a format."""
    try:
        document = read(text)
    except MalformedYaml as error:
        return Parsed(value=None, document=EMPTY, findings=(malformed(error, form.malformed),))
    if not isinstance(document.values, dict):
        finding = Finding(
            code=form.codes.wrong,
            path=(),
            cause="must hold keys and values",
            fix=f"start from {form.example}",
        )
        return Parsed(value=None, document=document, findings=(finding,))
    try:
        value = form.model.model_validate(document.values)
    except ValidationError as error:
        found = schema.findings(error, form.model, form.codes, form.fix)
        return Parsed(value=None, document=document, findings=found)
    return Parsed(value=value, document=document, findings=())


def read_file(file: FilePath, form: Format[Model]) -> Parsed[Model]:
    """Read a file as a format."""
    text, unreadable = read_text(file, form.unreadable)
    if unreadable:
        return Parsed(value=None, document=EMPTY, findings=unreadable)
    return parse(text, form)


def malformed(error: MalformedYaml, code: str) -> Finding:
    """Return the finding of a text that is no YAML."""
    return Finding(
        code=code,
        path=(),
        cause=f"is not YAML: {error}",
        fix="correct the syntax at this place",
        position=error.position,
    )
