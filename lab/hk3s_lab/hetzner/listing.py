"""Lists: filters, sorting, pages and the links between them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from hk3s_lab.hetzner import errors
from hk3s_lab.hetzner.call import OK, Answer, Call, positive
from hk3s_lab.hetzner.model import labels
from hk3s_lab.hetzner.model.records import Labels

DEFAULT_PER_PAGE = 25
MAX_PER_PAGE = 50
BY_ID_OR_NAME = ("id", "name")
BY_ID_NAME_OR_CREATED = ("id", "name", "created")


class Named(Protocol):
    """What most resources have."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def labels(self) -> Labels:
        """The labels."""
        ...


T = TypeVar("T")
N = TypeVar("N", bound=Named)


def by_name_and_labels(call: Call, records: Iterable[N]) -> list[N]:
    """Keep what the query's `name` and `label_selector` ask for."""
    names = call.values("name")
    selected = [r for r in records if not names or r.name in names]
    for text in call.values("label_selector"):
        terms = selector(text, "label_selector")
        selected = [r for r in selected if labels.matches(terms, r.labels)]
    return selected


def selected(terms: labels.Selector, found: Labels) -> bool:
    """Tell whether a selector that was read matches labels."""
    return labels.matches(terms, found)


def flag(call: Call, name: str) -> bool:
    """Return a boolean of the query; absent is false. The official clients write True and true."""
    values = [value.lower() for value in call.values(name)]
    if set(values) - {"true", "false"}:
        raise errors.invalid_input({name: ["must be one of false, true"]})
    return bool(values) and values[-1] == "true"


def selector(text: str, field: str) -> labels.Selector:
    """Read a label selector of a request."""
    try:
        return labels.parse_selector(text)
    except labels.SelectorError as error:
        raise errors.invalid_input({field: [str(error)]}) from None


def choices(call: Call, name: str, allowed: Collection[str]) -> list[str]:
    """Return the values of a parameter that may be repeated."""
    values = call.values(name)
    if set(values) - set(allowed):
        raise errors.invalid_input({name: [f"must be one of {', '.join(sorted(allowed))}"]})
    return values


def ordered(
    call: Call,
    records: Iterable[T],
    fields: Sequence[str],
    *,
    read: Mapping[str, Callable[[Any], Any]] | None = None,
) -> list[T]:
    """Sort by the query's `sort` parameters, the first the most important; else by id.

    `read` says how the values of a field compare, where their JSON form does not tell.
    """
    result = sorted(records, key=_key("id"))
    for text in reversed(call.values("sort")):
        field, _, direction = text.partition(":")
        if field not in fields or direction not in ("", "asc", "desc"):
            raise errors.invalid_input({"sort": [f"cannot sort by '{text}'"]})
        result.sort(key=_key(field, (read or {}).get(field)), reverse=direction == "desc")
    return result


def page(call: Call, key: str, records: Sequence[T], view: Callable[[T], dict[str, Any]]) -> Answer:
    """Answer with the page asked for, its `meta` and its `Link` header."""
    number = _positive(call, "page", 1)
    size = min(_positive(call, "per_page", DEFAULT_PER_PAGE), MAX_PER_PAGE)
    last = max(1, -(-len(records) // size))
    shown = records[(number - 1) * size : number * size]
    numbers = {
        "previous_page": number - 1 if number > 1 else None,
        "next_page": number + 1 if number < last else None,
        "last_page": last,
    }
    pagination = {"page": number, "per_page": size, **numbers, "total_entries": len(records)}
    body = {key: [view(record) for record in shown], "meta": {"pagination": pagination}}
    return Answer(OK, body, _links(call, numbers, size))


def _links(call: Call, numbers: Mapping[str, int | None], size: int) -> dict[str, str]:
    others = [(key, value) for key, value in call.query if key not in ("page", "per_page")]
    names = {"previous_page": "prev", "next_page": "next", "last_page": "last"}
    links = []
    for name, number in numbers.items():
        if number is not None:
            query = urlencode([*others, ("page", number), ("per_page", size)])
            links.append(f'<{call.url}?{query}>; rel="{names[name]}"')
    return {"Link": ", ".join(links)}


def _positive(call: Call, name: str, default: int) -> int:
    values = call.values(name)
    if not values:
        return default
    number = positive(values[-1])
    if number is None:
        raise errors.invalid_input({name: ["must be a positive integer"]})
    return number


def _key(field: str, read: Callable[[Any], Any] | None = None) -> Callable[[Any], tuple[bool, Any]]:
    def key(record: Any) -> tuple[bool, Any]:  # noqa: ANN401 - records of any resource, or JSON
        value = record[field] if isinstance(record, dict) else getattr(record, field)
        if value is None:
            return (True, 0)
        return (False, read(value) if read else value)

    return key
