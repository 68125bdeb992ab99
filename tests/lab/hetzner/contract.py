"""The official specification as a judge of single exchanges.

The specification is OpenAPI 3.1, so its schemas are JSON Schema 2020-12; `jsonschema` judges them.
Three things are made right first: the ranges of its answers are spelled `4xx` where OpenAPI wants
`4XX`, its enums of nullable values lack null, and the overlay beside it says what changed since it
was saved.
"""

import copy
import functools
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from hk3s_lab.hetzner.http import Exchange

DATA = Path(__file__).parent / "data"
METHODS = ("get", "post", "put", "delete")
REFERENCES = frozenset({"image", "server_type", "location", "iso", "load_balancer_type"})
"""Specified as strings that hold an id or a name; official clients send ids as numbers."""
Json = Any


@dataclass(frozen=True, eq=False)
class Operation:
    method: str
    template: str
    spec: Mapping[str, Json]

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    @functools.cache  # noqa: B019 - operations live as long as the tests
    def validator(self, status: int) -> Draft202012Validator | None:
        """The judge of a body with this status; None when such a body has no schema."""
        answers = {key.upper(): answer for key, answer in self.spec["responses"].items()}
        answer = answers.get(str(status)) or answers.get(f"{str(status)[0]}XX")
        if answer is None:
            raise AssertionError(f"{self.name}: the specification has no {status}")
        content = answer.get("content", {}).get("application/json")
        return Draft202012Validator(content["schema"]) if content else None

    @functools.cache  # noqa: B019 - as above
    def request_validator(self) -> Draft202012Validator | None:
        body = self.spec.get("requestBody")
        if body is None:
            return None
        return Draft202012Validator(body["content"]["application/json"]["schema"])

    @functools.cached_property
    def parameters(self) -> Mapping[str, Mapping[str, Json]]:
        """The schemas of the query's parameters by name."""
        found = self.spec.get("parameters", ())
        return {p["name"]: p["schema"] for p in found if p["in"] == "query"}


@functools.cache
def specification() -> dict[str, Json]:
    spec: dict[str, Json] = json.loads(
        gzip.decompress((DATA / "hcloud-openapi.json.gz").read_bytes())
    )
    (overlay,) = DATA.glob("overlay-*.yaml")
    for change in yaml.safe_load(overlay.read_text()):
        _apply(spec, change)
    _complete_enums(spec)
    return spec


@functools.cache
def operations() -> dict[str, Operation]:
    """All operations but those of DNS zones, by `METHOD /template`."""
    found = [
        Operation(method.upper(), template, spec)
        for template, methods in specification()["paths"].items()
        for method, spec in methods.items()
        if method in METHODS and not template.startswith("/zones")
    ]
    return {operation.name: operation for operation in found}


def judge(exchange: Exchange) -> Operation | None:
    """Raise `AssertionError` unless the answer is one that the specification allows.

    A request that was carried out must itself be as specified: else the emulator is too lenient.
    """
    if exchange.template is None:
        return None
    operation = operations().get(f"{exchange.method} {exchange.template}")
    if operation is None:
        return None
    body = json.loads(exchange.content) if exchange.content else None
    validator = operation.validator(exchange.status)
    where = f"{operation.name} -> {exchange.status}"
    if validator is None:
        assert body is None, f"{where}: a body where none is specified"
    else:
        _check(validator, body, where)
    if exchange.status < 300:
        _check_what_is_specified(operation, exchange)
    return operation


def check_request(operation: Operation, exchange: Exchange) -> None:
    """Raise `AssertionError` unless it is as specified and has no other parameters."""
    unknown = {name for name, _ in exchange.query} - set(operation.parameters)
    assert not unknown, f"{operation.name}: unspecified parameters {unknown}"
    _check_what_is_specified(operation, exchange)


def _check_what_is_specified(operation: Operation, exchange: Exchange) -> None:
    """Judge parameters, of which others are ignored, and body, in which null counts as absent."""
    for name, text in exchange.query:
        schema = operation.parameters.get(name, {})
        schema = schema.get("items", schema)
        _check(Draft202012Validator(schema), _read(text, schema), f"{operation.name}?{name}")
    validator = operation.request_validator()
    if validator is not None and exchange.body:
        _check(validator, _without_null(exchange.body), f"request {operation.name}")


def _read(text: str, schema: Mapping[str, Json]) -> Json:
    """Read a parameter's text as its schema means it; what cannot be read stays text."""
    match schema.get("type"):
        case "integer" if text.isdigit():
            return int(text)
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case _:
            return text


def _check(validator: Draft202012Validator, value: Json, where: str) -> None:
    problem = best_match(validator.iter_errors(value))
    if problem is not None:
        raise AssertionError(f"{where}: {problem.json_path}: {problem.message[:400]}")


def _without_null(value: Json) -> Json:
    if isinstance(value, dict):
        kept = {key: _without_null(part) for key, part in value.items() if part is not None}
        if "rules" in value:  # hcloud-go sends null for a firewall without rules
            kept.setdefault("rules", [])
        if "network_zone" in kept and kept.get("gateway") == "":  # of a subnet, by older ones
            del kept["gateway"]
        for key in REFERENCES & set(kept):
            kept[key] = _reference(kept[key])
        if "server_type" in kept and "ssh_keys" in kept:  # of a new server; elsewhere numbers
            kept["ssh_keys"] = _reference(kept["ssh_keys"])
        return kept
    return [_without_null(part) for part in value] if isinstance(value, list) else value


def _complete_enums(node: Json) -> None:
    """Let enums of nullable types hold null, which the specification forgets and means."""
    if isinstance(node, dict):
        kinds, values = node.get("type"), node.get("enum")
        if isinstance(kinds, list) and "null" in kinds and isinstance(values, list):
            values.append(None)
        for part in node.values():
            _complete_enums(part)
    elif isinstance(node, list):
        for part in node:
            _complete_enums(part)


def _reference(value: Json) -> Json:
    """Read the number that clients send for an id as the string that is specified."""
    if isinstance(value, list):
        return [_reference(part) for part in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _apply(spec: dict[str, Json], change: Mapping[str, Json]) -> None:
    merge = _resolved(spec, change.get("merge", {}))
    if "everywhere" in change:
        for properties in list(_having(spec, change["everywhere"]["property_of"])):
            properties.update(merge)
        return
    parent: Json = None
    node: Json = spec
    for key in change["at"]:
        parent, node = node, node[key]
    _make_optional(node, set(change.get("optional", ())))
    for key in change.get("remove", ()):
        del node[key]
    if "append" in change:
        node.extend(change["append"])
    else:
        node.update(merge)
    if "replace" in change and parent is not None:
        parent[change["at"][-1]] = _resolved(spec, change["replace"])


def _make_optional(node: Json, names: set[str]) -> None:
    """Take the names out of everything that is required below."""
    if isinstance(node, dict):
        if isinstance(node.get("required"), list):
            node["required"] = [name for name in node["required"] if name not in names]
        for part in node.values():
            _make_optional(part, names)
    elif isinstance(node, list):
        for part in node:
            _make_optional(part, names)


def _resolved(spec: dict[str, Json], value: Json) -> Json:
    """Put a copy of a part of the specification in the place of `copy: path`."""
    if isinstance(value, list):
        return [_resolved(spec, part) for part in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"copy"}:
        node = spec
        for key in value["copy"]:
            node = node[key]
        return copy.deepcopy(node)
    return {key: _resolved(spec, part) for key, part in value.items()}


def _having(node: Json, names: list[str]) -> Iterator[dict[str, Json]]:
    """Yield the `properties` of all schemas that have all these properties."""
    if isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict) and set(names) <= set(properties):
            yield properties
        for part in node.values():
            yield from _having(part, names)
    elif isinstance(node, list):
        for part in node:
            yield from _having(part, names)
