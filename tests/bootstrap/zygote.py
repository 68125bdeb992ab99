"""Runs `hk3s-bootstrap` in fresh processes without importing it anew: one fork a line of input.

A line is `{"argv", "environment", "directory", "stdout", "stderr"}`; the answers are
`{"pid"}` at once and `{"status"}`, as of waitpid, when that process has ended.
"""

import json
import os
import sys
import time
from typing import NoReturn
from unittest import mock

from forks import end_with
from hk3s_bootstrap.cli import main

SHORTER = 50.0
"""Divides the pauses between the SDK's own attempts: no test is about their length."""


def become(order: dict[str, object]) -> NoReturn:
    """Turn this process into the command."""
    end_with(lambda: _run(order))


def _run(order: dict[str, object]) -> None:
    os.chdir(str(order["directory"]))
    os.environ.clear()
    os.environ.update(dict(order["environment"]))  # type: ignore[call-overload] # JSON
    for number, name in ((1, "stdout"), (2, "stderr")):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(str(order[name]), flags, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["hk3s-bootstrap", *order["argv"]]  # type: ignore[misc] # JSON
    main()


def serve() -> None:
    """Answer lines until there are no more."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            become(json.loads(line))
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201 - the protocol
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": status}), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    pause = time.sleep  # noqa: TID251 - the SDK's, which blocks its own threads
    with mock.patch("hcloud._client.time.sleep", lambda seconds: pause(seconds / SHORTER)):
        serve()
