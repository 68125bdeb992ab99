"""Labels and the label selector language: validation, parsing, matching."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RESERVED_PREFIX = "hetzner.cloud"

_SEGMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_MAX_PREFIX = 253
_SET = re.compile(r"(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\Z")
_EQUALITY = re.compile(r"(?P<key>[^=!\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^=!\s]*)\Z")


class SelectorError(ValueError):
    """The text is not a label selector."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: the key's value is among `values` (or the key exists, when None), or not so."""

    key: str
    values: frozenset[str] | None
    negated: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels satisfy the term; a missing key satisfies every negation."""
        if self.values is None:
            return (self.key in labels) is not self.negated
        return (labels.get(self.key) in self.values) is not self.negated


Selector = tuple[Requirement, ...]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Tell whether all terms hold."""
    for requirement in selector:  # noqa: SIM110 - all() costs twice as much, for every record
        if not requirement.matches(labels):
            return False
    return True


@functools.lru_cache(maxsize=256)
def parse_selector(text: str) -> Selector:
    """Parse terms joined by commas; the empty text selects everything.

    Raises:
        SelectorError: with the term that cannot be read.
    """
    if not text.strip():
        return ()
    return tuple(_term(part.strip()) for part in _split(text))


def label_problems(labels: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the labels, in the order of their keys."""
    problems = []
    for key, value in labels.items():
        if not is_key(key):
            problems.append(f"label key {key!r} is not valid")
        elif _prefix(key) == RESERVED_PREFIX:
            problems.append(f"label key {key!r} uses a reserved prefix")
        if not isinstance(value, str) or not is_value(value):
            problems.append(f"value of label {key!r} is not valid")
    return problems


def is_key(key: str) -> bool:
    """Tell whether the text is `name` or `dns.prefix/name` within the documented lengths."""
    prefix, name = _prefix(key), key.rpartition("/")[2]
    if not _SEGMENT.match(name):
        return False
    if prefix is None:
        return True
    labels = prefix.split(".")
    return len(prefix) <= _MAX_PREFIX and all(_DNS_LABEL.match(label) for label in labels)


def is_value(value: str) -> bool:
    """Tell whether the text is empty or a name of at most 63 characters."""
    return value == "" or _SEGMENT.match(value) is not None


def _prefix(key: str) -> str | None:
    return key.rpartition("/")[0] if "/" in key else None


def _split(text: str) -> list[str]:
    """Split at the commas outside of parentheses."""
    parts = [""]
    depth = 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _term(text: str) -> Requirement:
    if found := _SET.match(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return _checked(text, found["key"], values, negated=found["op"] == "notin")
    if found := _EQUALITY.match(text):
        return _checked(
            text, found["key"], frozenset({found["value"]}), negated=found["op"] == "!="
        )
    if text.startswith("!"):
        return _checked(text, text[1:].strip(), None, negated=True)
    return _checked(text, text, None, negated=False)


def _checked(text: str, key: str, values: frozenset[str] | None, *, negated: bool) -> Requirement:
    if not is_key(key) or not all(is_value(value) for value in values or ()):
        raise SelectorError(f"cannot read {text!r}")
    return Requirement(key, values, negated)
