"""What can be said of a file that does not fit the schema: rules see the parts that do."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from hk3s_bootstrap.config import ClusterConfig
from hk3s_findings.finding import Finding
from hk3s_findings.located import Path

Rule = Callable[[ClusterConfig], Iterable[Finding]]


class _Unknown(Exception):
    """A rule asked for something that the file does not say in a usable way."""


def check(values: Any, malformed: Iterable[Path], rules: Iterable[Rule]) -> tuple[Finding, ...]:  # noqa: ANN401 - YAML
    """Return what the rules find in the parts of a file that are well-formed.

    A rule is heard up to the point where it asks for one of the `malformed` paths, so that nothing
    is guessed: what it would have said is found by the next run.
    """
    config = cast("ClusterConfig", _Partial(ClusterConfig, values, (), frozenset(malformed)))
    return tuple(finding for rule in rules for finding in _heard(rule, config))


def _heard(rule: Rule, config: ClusterConfig) -> Iterator[Finding]:
    try:
        yield from rule(config)
    except _Unknown:
        return


class _Partial:
    """Reads like a model; a field is read when it is asked for."""

    def __init__(
        self,
        model: type[BaseModel],
        values: Any,  # noqa: ANN401 - YAML
        path: Path,
        malformed: frozenset[Path],
    ) -> None:
        self._model = model
        self._values = values
        self._path = path
        self._malformed = malformed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the model says
        field = self._model.model_fields.get(name)
        if field is None:
            computed = getattr(self._model, name)
            if isinstance(computed, property) and computed.fget is not None:
                return computed.fget(self)
            return computed
        key = field.alias or name
        path = (*self._path, key)
        self._refuse(path)
        if key not in self._values:
            return field.get_default(call_default_factory=True, validated_data={})
        return self._read(field, self._values[key], path)

    def _read(self, field: FieldInfo, value: Any, path: Path) -> Any:  # noqa: ANN401 - YAML in, values out
        annotation: Any = field.annotation
        if _is_model(annotation):
            return _Partial(annotation, value, path, self._malformed)
        inner = get_args(annotation)
        if get_origin(annotation) is tuple and _is_model(inner[0]):
            for index in range(len(value)):
                self._refuse((*path, index))
            return tuple(
                _Partial(inner[0], item, (*path, index), self._malformed)
                for index, item in enumerate(value)
            )
        if any(bad[: len(path)] == path for bad in self._malformed):
            raise _Unknown
        kind: Any = Annotated[(annotation, *field.metadata)] if field.metadata else annotation
        return TypeAdapter(kind).validate_python(value)

    def _refuse(self, path: Path) -> None:
        if path in self._malformed:
            raise _Unknown


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
