"""What reaches the log, and what never does."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hk3s_autoscaler.daemon import log

TOKEN = "Kq3vX9sLb2TzR7mYw5NcJ8dPf4HgA6eUo1ViBtCkDxEzFyGwHuIsJrQpMaWnSl0Z"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    kept = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    secrets = log.Secrets()
    secrets.add("api-token", TOKEN)
    secrets.add("demo-workers-a", "0123456789abcdef")
    stream = io.StringIO()
    log.configure(secrets, stream=stream)
    yield stream
    structlog.configure(**kept)
    logging.root.handlers[:], logging.root.level = handlers, level


def written(stream: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"error": f"limit of {TOKEN} reached"}, id="whole"),
        pytest.param({"error": f"limit of {TOKEN[:32]} reached"}, id="first-half"),
        pytest.param({"error": f"limit of {TOKEN[:8]}... reached"}, id="eight-characters"),
        pytest.param({"nested": {"list": [{"text": TOKEN}]}}, id="nested"),
        pytest.param({"where": {TOKEN: 1}}, id="as-a-key"),
        pytest.param({"error": ValueError(TOKEN)}, id="inside-an-object"),
        pytest.param({"error": "joins with abcdef.0123456789abcdef"}, id="join-token"),
    ],
)
def test_a_secret_shows_nowhere(stream: io.StringIO, values: dict[str, Any]) -> None:
    log.logger("test").warning("some.event", **values)

    text = stream.getvalue()
    assert TOKEN[:8] not in text
    assert "0123456789abcdef" not in text
    assert "[redacted]" in text


def test_a_traceback_is_cleaned(stream: io.StringIO) -> None:
    try:
        int(TOKEN)
    except ValueError:
        log.logger("test").exception("some.failure")

    assert TOKEN[:8] not in stream.getvalue()
    assert "ValueError" in written(stream)["exception"]


def test_lines_are_json_with_fixed_names(stream: io.StringIO) -> None:
    log.logger("loop").info("loop.done", pending=3, seconds=0.8)

    line = written(stream)
    assert (line["event"], line["component"], line["level"]) == ("loop.done", "loop", "info")
    assert (line["pending"], line["seconds"]) == (3, 0.8)
    assert line["time"].endswith("Z")


def test_debug_lines_need_to_be_asked_for(stream: io.StringIO) -> None:
    log.logger("loop").debug("loop.done")

    assert stream.getvalue() == ""


def test_the_standard_library_speaks_the_same_way(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp").warning("proxy of %s", TOKEN)

    assert TOKEN[:8] not in stream.getvalue()
    assert "proxy of" in written(stream)["event"]


def test_a_terminal_gets_lines_for_people(stream: io.StringIO) -> None:
    terminal = Terminal()
    log.configure(log.Secrets(), stream=terminal)

    log.logger("loop").info("loop.done", pending=3)

    assert "loop.done" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_a_token_that_was_revoked_is_forgotten() -> None:
    secrets = log.Secrets()
    secrets.add("a", "0123456789abcdef")
    secrets.forget("a")

    assert secrets.text("0123456789abcdef") == "0123456789abcdef"
