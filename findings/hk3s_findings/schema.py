"""What keeps values from being those of a pydantic model, as findings."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hk3s_findings.finding import Finding
from hk3s_findings.located import Path

Fix = Callable[[ErrorDetails, Path], str | None]
"""What to do about an error at a path, where the usual words do not serve; else None."""


def usual(_details: ErrorDetails, _path: Path) -> None:
    """Leave every fix to the usual words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """The codes of a file format, such as `HK3S-E003`."""

    unknown: str
    missing: str
    wrong: str


def findings(
    error: ValidationError,
    root: type[BaseModel],
    codes: Codes,
    fix: Fix,
) -> tuple[Finding, ...]:
    """Return one finding for each code and place."""
    first: dict[tuple[str, Path], Finding] = {}
    for details in error.errors(include_url=False, include_input=False):
        path = _existing(details["loc"])
        made = _finding(details, path, root, codes, fix(details, path))
        first.setdefault((made.code, made.path), made)
    return tuple(first.values())


def _finding(
    details: ErrorDetails, path: Path, root: type[BaseModel], codes: Codes, fix: str | None
) -> Finding:
    match details["type"]:
        case "extra_forbidden":
            known = sorted(known_keys(root, path[:-1]))
            close = difflib.get_close_matches(str(path[-1]), known, n=1)
            usual = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
            cause = f"unknown key {str(path[-1])!r}"
            return Finding(code=codes.unknown, path=path, cause=cause, fix=fix or usual)
        case "missing":
            cause = f"the key {str(path[-1])!r} is missing"
            usual = f"add {path[-1]}"
            return Finding(code=codes.missing, path=path, cause=cause, fix=fix or usual)
        case kind:
            message = _CAUSES.get(kind, details["msg"].removeprefix("Value error, "))
            cause = message[:1].lower() + message[1:]
            usual = _FIXES.get(kind, "correct the value")
            if kind == "literal_error":
                usual = f"choose one of {details.get('ctx', {}).get('expected')}"
            return Finding(code=codes.wrong, path=path, cause=cause, fix=fix or usual)


_CAUSES = {
    "time_delta_type": "is no length of time",
    "int_type": "is no whole number",
    "tuple_type": "a list is expected here",
    "list_type": "a list is expected here",
}
_FIXES = {
    "time_delta_type": "write a time with its unit, such as 90s, 15m or 1h30m",
    "tuple_type": "write it in brackets: [first, second]",
    "list_type": "write it in brackets: [first, second]",
    "less_than_equal": "choose a smaller value",
    "greater_than_equal": "choose a larger value",
    "greater_than": "choose a larger value",
    "int_type": "write a whole number",
    "string_type": "put the value in quotes",
    "ip_v4_network": "write a network such as 10.4.0.0/16, with no bits set behind the prefix",
    "ip_any_network": "write a network such as 10.4.0.0/16, with no bits set behind the prefix",
}


def known_keys(root: type[BaseModel], path: Sequence[int | str]) -> set[str]:
    """Return the keys that may stand at a path below a model, as users write them."""
    models: list[type[BaseModel]] = [root]
    for part in path:
        if isinstance(part, int):
            continue
        models = [
            inner
            for model in models
            for name, field in model.model_fields.items()
            if (field.alias or name) == part
            for inner in _models(field.annotation)
        ]
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type at all
    if get_origin(annotation) is not None:
        for inner in get_args(annotation):
            yield from _models(inner)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _existing(loc: tuple[int | str, ...]) -> Path:
    """Drop what pydantic adds for unions and validators: only keys and indexes are ours."""
    return tuple(part for part in loc if isinstance(part, int) or not part.startswith("function-"))
