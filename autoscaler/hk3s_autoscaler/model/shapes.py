"""The shapes of plain JSON: each reader returns what a field holds or says that it is wrong."""

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


class PodSpecError(ValueError):
    """The value does not have the shape of a pod's spec; the message names the field."""


def mapping(parent: Json, field: str) -> Json:
    """Return the object in a field, an empty one when there is none."""
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PodSpecError(f"{field}: must be an object")
    return value


def items(parent: Json, field: str) -> tuple[Any, ...]:
    """Return the list in a field, an empty one when there is none."""
    value = parent.get(field)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise PodSpecError(f"{field}: must be a list")
    return tuple(value)


def objects(parent: Json, field: str) -> tuple[Json, ...]:
    """Return the objects listed in a field."""
    found = items(parent, field)
    if not all(isinstance(item, Mapping) for item in found):
        raise PodSpecError(f"{field}: must be a list of objects")
    return found


def number(parent: Json, field: str, default: int = 0) -> int:
    """Return the whole number in a field."""
    value = parent.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise PodSpecError(f"{field}: must be a number")
    return value


def texts(values: Json) -> Iterable[tuple[str, str]]:
    """Return the pairs of an object as texts."""
    return ((str(key), str(value)) for key, value in values.items())
