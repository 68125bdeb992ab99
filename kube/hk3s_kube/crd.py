"""The NodePool CustomResourceDefinition, generated from the models.

A structural schema (Kubernetes docs, "Extend the Kubernetes API with CustomResourceDefinitions"):
no references, a type everywhere, defaults, no nulls. Unknown fields are pruned by the API server,
so `additionalProperties: false` must not be said.
"""

import copy
from collections.abc import Mapping
from typing import Any

from hk3s_kube import nodepool

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "$defs", "default"})


def crd() -> dict[str, Any]:
    """Return the definition, ready to apply."""
    untouched = nodepool.NodePoolSpec(max_nodes=0).model_dump(mode="json", by_alias=True)
    spec = structural(nodepool.NodePoolSpec.model_json_schema(by_alias=True), untouched)
    status = structural(nodepool.NodePoolStatus.model_json_schema(by_alias=True), {})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": nodepool.CRD_NAME},
        "spec": {
            "group": nodepool.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": nodepool.KIND,
                "listKind": f"{nodepool.KIND}List",
                "plural": nodepool.PLURAL,
                "singular": nodepool.KIND.lower(),
                "shortNames": ["np"],
                "categories": ["hk3s"],
            },
            "versions": [
                {
                    "name": nodepool.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A pool of workers that hk3s buys and deletes.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


def structural(schema: Schema, defaults: Mapping[str, Any]) -> Schema:
    """Return a JSON Schema of pydantic's as a structural one.

    `defaults` are the values of an instance in which all is left out, as JSON: pydantic's schema
    holds them as Python sees them.
    """
    return _convert(schema, schema.get("$defs", {}), defaults)


def _convert(
    schema: Schema, definitions: Mapping[str, Schema], defaults: Mapping[str, Any]
) -> Schema:
    schema = _resolve(schema, definitions)
    converted: Schema = {}
    for key, value in schema.items():
        match key, value:
            case "properties", dict():
                converted[key] = {
                    name: _property(name, part, definitions, defaults)
                    for name, part in value.items()
                }
            case (("items" | "additionalProperties"), dict()):
                converted[key] = _convert(value, definitions, {})
            case "additionalProperties", _:
                continue  # pruning says it, see above
            case "description", _:
                converted[key] = " ".join(value.replace("`", "").split())
            case "const", _:
                converted["enum"] = [value]
            case _ if key not in _DROPPED:
                converted[key] = copy.deepcopy(value)
    return converted


def _property(
    name: str, schema: Schema, definitions: Mapping[str, Schema], defaults: Mapping[str, Any]
) -> Schema:
    default = defaults.get(name, schema.get("default"))
    nested = default if isinstance(default, dict) else {}
    converted = _convert(schema, definitions, nested)
    if "default" in schema and (default or default in (0, False)) and "properties" not in converted:
        converted["default"] = _without_empty(default)
    elif "default" in schema and nested:
        converted["default"] = {}  # its own fields have theirs
    return converted


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Follow a reference, and take the one real branch of an optional value."""
    if "x-kubernetes-int-or-string" in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"$ref", "allOf", "anyOf"}}
    if "$ref" in schema:
        target = definitions[schema["$ref"].removeprefix("#/$defs/")]
        return _resolve({**target, **rest}, definitions)
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == 1:
        return _resolve({**branches[0], **rest}, definitions)
    if branches:
        raise ValueError(f"no structural schema holds this choice: {schema}")
    return schema


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """Return a default without what is empty or null inside it: that says nothing."""
    match value:
        case dict():
            return {
                key: _without_empty(part)
                for key, part in value.items()
                if part not in ([], {}, None)
            }
        case list():
            return [_without_empty(part) for part in value]
        case _:
            return value


def _columns() -> list[dict[str, Any]]:
    ready = '.status.conditions[?(@.type=="Ready")]'
    return [
        {"name": "Nodes", "type": "integer", "jsonPath": ".status.nodes"},
        {"name": "Ready", "type": "integer", "jsonPath": ".status.ready"},
        {"name": "Max", "type": "integer", "jsonPath": ".spec.maxNodes"},
        {"name": "EUR-h", "type": "string", "jsonPath": ".status.eurPerHour"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Status", "type": "string", "jsonPath": f"{ready}.reason"},
        {"name": "Message", "type": "string", "jsonPath": f"{ready}.message", "priority": 1},
    ]
