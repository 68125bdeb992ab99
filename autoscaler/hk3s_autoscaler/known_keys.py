"""Which keys a file may have at a place, for whoever misspelt one."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel


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
