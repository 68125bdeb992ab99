"""Saying what is going on: a live line on a terminal, plain lines elsewhere, JSON for programs."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.status import Status


class Reporter(Protocol):
    """Where progress goes. None of the texts holds a secret."""

    def doing(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """Open a piece of work; the function it gives updates what is being waited for."""
        ...

    def note(self, text: str) -> None:
        """Say something that needs no waiting."""
        ...


class TerminalReporter:
    """For people who watch."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def doing(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a spinner until the work is done, then a line."""
        with Status(what, console=self._console) as status:
            yield lambda detail: status.update(f"{what}: {detail}")
        self._console.print(f"[green]done[/] {what}", highlight=False)

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False)


class PlainReporter:
    """For logs: a line when work begins, and one whenever what is waited for changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def doing(self, what: str) -> Iterator[Callable[[str], None]]:
        """Print the work, then each new detail."""
        self._print(what)
        yield lambda detail: self._print(f"  {what}: {detail}")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class JsonReporter:
    """For programs: one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def doing(self, what: str) -> Iterator[Callable[[str], None]]:
        """Emit `begin`, `waiting` and `done`."""
        self._emit({"event": "begin", "what": what})
        yield lambda detail: self._emit({"event": "waiting", "what": what, "detail": detail})
        self._emit({"event": "done", "what": what})

    def note(self, text: str) -> None:
        """Emit `note`."""
        self._emit({"event": "note", "text": text})

    def _emit(self, values: dict[str, Any]) -> None:
        print(json.dumps(values), file=self._stream, flush=True)
