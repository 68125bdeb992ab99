"""Values made from the specification's schemas: right ones, and right ones gone wrong."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Json = Any
JUNK: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**64),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["", "\ud800", "a" * 300, "0.0.0.0/0", "fe80::1", "\x00", "../..", "💥"]),
    st.just([]),
    st.just({}),
    st.just([[None]]),
    st.just({"id": {"id": 1}}),
)


def wrong(schema: Mapping[str, Json]) -> st.SearchStrategy[Json]:
    """Values of which some part may be anything."""
    return st.one_of(value(schema, rotten=True), value(schema), JUNK)


def value(schema: Mapping[str, Json], *, rotten: bool = False) -> st.SearchStrategy[Json]:
    made = _value(schema, rotten=rotten)
    return st.one_of(made, made, made, JUNK) if rotten else made


def _value(schema: Mapping[str, Json], *, rotten: bool) -> st.SearchStrategy[Json]:
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return st.one_of([value(part, rotten=rotten) for part in schema[key]])
    if "allOf" in schema:
        parts = [value(part, rotten=rotten) for part in schema["allOf"]]
        return st.tuples(*parts).map(_merged)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return st.one_of([_of_kind(kind, schema, rotten=rotten) for kind in kinds])


def _of_kind(kind: str, schema: Mapping[str, Json], *, rotten: bool) -> st.SearchStrategy[Json]:
    match kind:
        case "object":
            return _object(schema, rotten=rotten)
        case "array":
            return st.lists(value(schema.get("items", {}), rotten=rotten), max_size=3)
        case "string":
            samples = ["fsn1", "cx23", "lb11", "ubuntu-24.04", "10.4.0.0/24", "eu-central", "1"]
            return st.one_of(st.sampled_from(samples), st.text(max_size=12))
        case "integer" | "number":
            low, high = schema.get("minimum", 0), schema.get("maximum", 100_000)
            return st.integers(int(low), min(int(high), 10**15))
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


def _object(schema: Mapping[str, Json], *, rotten: bool) -> st.SearchStrategy[Json]:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ())) if not rotten else set()
    fixed = {k: value(v, rotten=rotten) for k, v in properties.items() if k in required}
    free = {k: value(v, rotten=rotten) for k, v in properties.items() if k not in required}
    if isinstance(schema.get("additionalProperties"), dict) and not properties:
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
    made = st.fixed_dictionaries(fixed, optional=free)
    if not rotten:
        return made
    extra = st.dictionaries(st.sampled_from(["unknown", "id", ""]), JUNK, max_size=1)
    return st.tuples(made, extra).map(_merged)


def _merged(parts: tuple[Json, ...]) -> Json:
    whole: dict[str, Json] = {}
    for part in parts:
        if not isinstance(part, dict):
            return part
        whole.update(part)
    return whole
