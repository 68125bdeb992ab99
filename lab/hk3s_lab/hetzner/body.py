"""Reading a request body: every field with its type, all problems reported together."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from hk3s_lab.hetzner.errors import ApiError, invalid_input
from hk3s_lab.hetzner.model import labels

MAX_ID = 9_007_199_254_740_991
MAX_NAME = 128
MISSING = "is required"

_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_MAX_HOST = 253


def parse(raw: bytes, *, required: bool) -> "Body":
    """Read a JSON object; an empty body is one without fields unless an object is required."""
    if not raw.strip():
        if required:
            raise ApiError("json_error", "the request needs a JSON body")
        return Body({})
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise ApiError("json_error", "invalid JSON in request body") from None
    if not isinstance(value, dict):
        raise ApiError("json_error", "the request body must be a JSON object")
    return Body(value)


class Body:
    """An object of the request; readers note problems, `check` raises them as one error.

    A field that is null counts as absent, as official clients send null for what is not set.
    Readers return a harmless value where they noted a problem.
    """

    def __init__(self, value: Mapping[str, Any], path: str = "") -> None:
        self.value = value
        self._path = path
        self.problems: dict[str, list[str]] = {}

    def note(self, field: str, message: str) -> None:
        """Note a problem."""
        self.problems.setdefault(self._path + field, []).append(message)

    def check(self) -> None:
        """Raise `invalid_input` when problems were noted."""
        if self.problems:
            raise invalid_input(self.problems)

    def has(self, field: str) -> bool:
        """Tell whether the field is present and not null."""
        return self.value.get(field) is not None

    def is_object(self, field: str) -> bool:
        """Tell whether the field holds an object."""
        return isinstance(self.value.get(field), dict)

    def only(self, *fields: str) -> None:
        """Note every field that is none of these."""
        for field in self.value:
            if field not in fields:
                self.note(field, "is not a known field")

    def text(self, field: str, *, required: bool = False, choices: Collection[str] = ()) -> str:
        """Read a string; absent is the empty string."""
        value = self._get(field, str, required=required)
        text = value if isinstance(value, str) else ""
        if required and value == "":
            self.note(field, "must not be empty")
        if choices and text and text not in choices:
            self.note(field, f"must be one of {', '.join(sorted(choices))}")
        return text

    def optional_text(self, field: str) -> str | None:
        """Read a string; absent is None."""
        return self.text(field) if self.has(field) else None

    def flag(self, field: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002 - mirrors dict.get
        """Read a boolean."""
        value = self._get(field, bool, required=False)
        return value if isinstance(value, bool) else default

    def required_flag(self, field: str) -> bool:
        """Read a boolean that must be there."""
        return self._get(field, bool, required=True) is True

    def optional_flag(self, field: str, current: bool) -> bool:  # noqa: FBT001 - mirrors dict.get
        """Read a boolean that keeps its current value when absent."""
        return self.flag(field, current)

    def number(self, field: str, *, required: bool = False) -> int | None:
        """Read an id or another positive integer."""
        value = self._get(field, int, required=required)
        if not isinstance(value, int):
            return None
        if not 0 < value <= MAX_ID:
            self.note(field, "must be a positive integer")
            return None
        return value

    def reference(self, field: str, *, required: bool = False) -> str:
        """Read an id or a name, as text."""
        value = self.value.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(field, required=required)

    def references(self, field: str) -> list[str]:
        """Read a list of ids or names."""
        found = []
        for value in self._list(field):
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                self.note(field, "must hold ids or names")
            else:
                found.append(str(value))
        return found

    def numbers(self, field: str) -> list[int]:
        """Read a list of ids."""
        found = []
        for value in self._list(field):
            if isinstance(value, bool) or not isinstance(value, int):
                self.note(field, "must hold integers")
            else:
                found.append(value)
        return found

    def texts(self, field: str) -> list[str]:
        """Read a list of strings."""
        found = []
        for value in self._list(field):
            if isinstance(value, str):
                found.append(value)
            else:
                self.note(field, "must hold strings")
        return found

    def objects(self, field: str, *, required: bool = False) -> list["Body"]:
        """Read a list of objects, which note their problems here."""
        if required and self.value.get(field) is None:
            self.note(field, MISSING)
        found = []
        for index, value in enumerate(self._list(field)):
            if isinstance(value, dict):
                found.append(self._part(value, f"{field}.{index}."))
            else:
                self.note(field, "must hold objects")
        return found

    def nested(self, field: str, *, required: bool = False) -> "Body":
        """Read an object, which notes its problems here."""
        value = self._get(field, dict, required=required)
        return self._part(value if isinstance(value, dict) else {}, f"{field}.")

    def labels(self) -> dict[str, str] | None:
        """Read the labels; None when absent."""
        value = self._get("labels", dict, required=False)
        if not isinstance(value, dict):
            return None
        for problem in labels.label_problems(value):
            self.note("labels", problem)
        return {key: text for key, text in value.items() if isinstance(text, str)}

    def name(self, *, required: bool) -> str:
        """Read the name of a resource: 1 to 128 characters."""
        name = self.text("name", required=required)
        if len(name) > MAX_NAME:
            self.note("name", "is too long")
        if not required and not name and self.has("name"):
            self.note("name", "must not be empty")
        return name

    def hostname(self, *, required: bool) -> str:
        """Read the name of a server: a host name as RFC 1123 has it."""
        name = self.name(required=required)
        valid = all(_HOST_LABEL.match(part) for part in name.split("."))
        if name and (len(name) > _MAX_HOST or not valid):
            self.note("name", "must be a valid hostname")
        return name

    def _part(self, value: Mapping[str, Any], path: str) -> "Body":
        part = Body(value, self._path + path)
        part.problems = self.problems
        return part

    def _list(self, field: str) -> list[Any]:
        value = self._get(field, list, required=False)
        return value if isinstance(value, list) else []

    def _get(self, field: str, kind: type, *, required: bool) -> Any:  # noqa: ANN401 - JSON
        value = self.value.get(field)
        if value is None:
            if required:
                self.note(field, MISSING)
            return None
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, kind):
            self.note(field, f"must be of type {_NAMES[kind]}")
            return None
        return value


_NAMES = {str: "string", bool: "boolean", int: "integer", dict: "object", list: "array"}
