"""YAML that remembers where each value stood, so that a problem can name its line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
"""Keys and list indexes from the root of a document."""

MERGE = "tag:yaml.org,2002:merge"
"""Of the key `<<`, which stands for the keys of another mapping."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file, counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The plain values of a YAML file and where they stood."""

    values: Any
    keys: Mapping[Path, Position]
    items: Mapping[Path, Position]

    def position(self, path: Path) -> Position:
        """Return where the path's key stands, else that of the nearest thing that contains it."""
        for length in range(len(path), -1, -1):
            known = self.keys.get(path[:length]) or self.items.get(path[:length])
            if known is not None:
                return known
        return Position(1, 1)


class MalformedYaml(Exception):
    """The text is not YAML, or not YAML that can be meant. `position` may be unknown."""

    def __init__(self, message: str, position: Position | None) -> None:
        super().__init__(message)
        self.position = position


def read(text: str) -> Document:
    """Read one YAML document; an empty text holds None.

    Raises:
        MalformedYaml: a syntax error, several documents, a key given twice, a value that contains
            itself.
    """
    documents = read_all(text)
    if len(documents) > 1:
        raise MalformedYaml("one document is expected", documents[1].position(()))
    return documents[0] if documents else EMPTY


def read_all(text: str) -> tuple[Document, ...]:
    """Read any number of YAML documents; empty ones are left out.

    Raises:
        MalformedYaml: a syntax error, a key given twice, a value that contains itself.
    """
    try:
        return _documents(text, _FAST)
    except yaml.YAMLError:
        pass
    # Slow, but its messages are clear and its places right.
    try:
        return _documents(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = None if mark is None else Position(mark.line + 1, mark.column + 1)
        raise MalformedYaml(error.problem or error.context or "syntax error", position) from None
    except yaml.YAMLError as error:
        raise MalformedYaml(" ".join(str(error).split()), None) from None


def values(text: str) -> tuple[Any, ...]:
    """Read any number of documents for their values alone: JSON, or YAML ten times as fast.

    Raises:
        MalformedYaml: as of `read_all`; only what is no YAML at all.
    """
    try:
        return tuple(v for v in (json.loads(text),) if v is not None)
    except ValueError:
        pass
    try:
        return tuple(v for v in yaml.load_all(text, Loader=_FAST) if v is not None)
    except yaml.YAMLError:
        return tuple(document.values for document in read_all(text))


_FAST: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's; PyYAML has it wherever it was built with it."""


def _documents(text: str, kind: type[yaml.SafeLoader]) -> tuple[Document, ...]:
    loader = kind(text)
    documents = []
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                documents.append(_document(loader, node))
    finally:
        loader.dispose()
    return tuple(document for document in documents if document.values is not None)


def _document(loader: yaml.SafeLoader, node: yaml.Node) -> Document:
    reader = _Reader(loader)
    found = reader.value(node, ())
    return Document(values=found, keys=reader.keys, items=reader.items)


EMPTY = Document(values=None, keys={}, items={})


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._open: list[yaml.Node] = []
        self.keys: dict[Path, Position] = {}
        self.items: dict[Path, Position] = {}

    def value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - YAML in, plain values out
        if any(node is above for above in self._open):
            raise MalformedYaml("an alias refers to what contains it", _position(node))
        self.items[path] = _position(node)
        self._open.append(node)
        try:
            match node:
                case yaml.MappingNode():
                    return self._mapping(node, path)
                case yaml.SequenceNode():
                    return [self.value(item, (*path, n)) for n, item in enumerate(node.value)]
                case _:
                    return self._loader.construct_object(node)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._refuse_duplicates(node)
        self._loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(self._loader.construct_object(key_node))
            self.keys[*path, key] = _position(key_node)
            values[key] = self.value(value_node, (*path, key))
        return values

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        """Before merging: a key of its own may replace a merged one, but not one of its own."""
        first: dict[str, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = str(self._loader.construct_object(key_node))
            if key in first:
                line = _position(first[key]).line
                message = f"the key {key!r} was given before, in line {line}"
                raise MalformedYaml(message, _position(key_node))
            first[key] = key_node


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
