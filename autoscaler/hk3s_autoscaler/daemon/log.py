"""Canonical log lines: fixed event names, values as keys, JSON unless stderr is a terminal.

Secrets are replaced by value wherever they stand in an event, tracebacks included, for texts of
others may quote them: Hetzner's own rate-limit message holds half of the API token.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hk3s_hetzner.redaction import Redactor


class Secrets:
    """The secrets that this process knows, by a name each."""

    def __init__(self) -> None:
        self._redactors: dict[str, Redactor] = {}

    def __repr__(self) -> str:
        return f"Secrets({len(self._redactors)})"

    def add(self, name: str, value: str) -> None:
        """Hide a value from now on, and pieces of it of eight characters and more."""
        if value:
            self._redactors[name] = Redactor(value)

    def forget(self, name: str) -> None:
        """Stop to look for a value that is worth nothing any more."""
        self._redactors.pop(name, None)

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for redactor in tuple(self._redactors.values()):
            text = redactor.text(text)
        return text

    def processor(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Clean a whole event, keys and nested values included."""
        return {self.text(key): self._clean(value) for key, value in event.items()}

    def _clean(self, value: object) -> object:
        match value:
            case bool() | int() | float() | None:
                return value
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self._clean(item) for key, item in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._clean(item) for item in value]
            case _:
                return self.text(str(value))


def configure(secrets: Secrets, *, stream: TextIO | None = None, debug: bool = False) -> None:
    """Set up structlog for the process, and send the standard library's warnings through it."""
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    # Tracebacks become text before the secrets are looked for.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        secrets.processor,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if terminal
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if debug else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def logger(name: str) -> Any:  # noqa: ANN401 - structlog's loggers are typed so
    """Return the logger of a part of the daemon, such as `loop`."""
    return structlog.get_logger(component=name)
