"""What most kinds of resources have in common: reading, renaming, protecting, counting."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from hk3s_lab.hetzner import listing, lookup
from hk3s_lab.hetzner.call import OK, Answer, Call, Handler, Route, action_answer
from hk3s_lab.hetzner.model.project import Project
from hk3s_lab.hetzner.model.records import Record
from hk3s_lab.hetzner.resources import actions

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[R]):
    """A kind of resource: where a project keeps its records, and how the API shows one."""

    singular: str
    """As in answers and actions: `floating_ip`."""
    table: Callable[[Project], dict[int, R]]
    view: Callable[[Call, R], dict[str, Any]]
    sorts: Sequence[str] = listing.BY_ID_NAME_OR_CREATED
    has_actions: bool = True

    @property
    def plural(self) -> str:
        """As in paths and lists."""
        return f"{self.singular}s"

    def wanted(self, call: Call) -> R:
        """Return the record of the path."""
        return lookup.wanted(call, self.table(call.project), self.singular)

    def free(self, call: Call) -> R:
        """Return the record of the path, or raise while an action holds it."""
        return lookup.free(call, self.table(call.project), self.singular)

    def check_new(self, call: Call, name: str) -> None:
        """Raise unless there is room for one more, of this name if it has one."""
        records = self.table(call.project)
        if name:
            lookup.check_name(records.values(), name)
        lookup.check_room(call, self.plural, f"{self.singular}_limit", len(records) + 1)

    def add(self, call: Call, record: R) -> R:
        """Keep a new record."""
        self.table(call.project)[record.id] = record
        call.touched.append(record.id)
        return record

    def list(self, call: Call, keep: Callable[[R], bool] | None = None) -> Answer:
        """Answer with the records that the query, and `keep`, let through."""
        found: Iterable[R] = listing.by_name_and_labels(call, self.table(call.project).values())
        if keep is not None:
            found = filter(keep, found)
        ordered = listing.ordered(call, found, self.sorts)
        return listing.page(call, self.plural, ordered, lambda record: self.view(call, record))

    def get(self, call: Call) -> Answer:
        """Return one."""
        return self.show(call, self.wanted(call))

    def show(self, call: Call, record: R) -> Answer:
        """Answer with one record."""
        return Answer(OK, {self.singular: self.view(call, record)})

    def update(self, call: Call) -> Answer:
        """Change name or labels."""
        return self.rename(call, self.wanted(call))

    def rename(self, call: Call, record: R, **changes: Any) -> Answer:  # noqa: ANN401 - fields of the record
        """Change name and labels as the body says, and what else is given."""
        table = self.table(call.project)
        name, labels = lookup.new_name_and_labels(call.body, record, table.values())
        table[record.id] = changed = replace(record, name=name, labels=labels, **changes)
        return self.show(call, changed)

    def act(self, call: Call, command: str, record: R, **arguments: Any) -> Answer:  # noqa: ANN401 - JSON
        """Start an action that holds the record, and answer with it."""
        keys = [(self.singular, record.id)]
        return action_answer(call, call.start(command, keys, arguments=arguments))

    def protect(self, call: Call, record: R, *, protected: bool) -> Answer:
        """Protect against deletion, or no longer; absent leaves it as it is."""
        wanted = call.body.optional_flag("delete", protected)
        call.body.check()
        return self.act(call, "change_protection", record, delete=wanted)

    def routes(
        self,
        *,
        create: Handler,
        delete: Handler,
        list_all: Handler | None = None,
        update: Handler | None = None,
    ) -> tuple[Route, ...]:
        """Return the routes that every kind has."""
        one, many = f"/{self.plural}/{{id}}", f"/{self.plural}"
        return (
            Route("GET", many, list_all or self.list),
            Route("POST", many, create, has_body=True),
            Route("GET", one, self.get),
            Route("PUT", one, update or self.update, has_body=True),
            Route("DELETE", one, delete),
            *(actions.routes_of(self.plural, self.singular) if self.has_actions else ()),
        )
