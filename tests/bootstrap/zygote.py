"""Runs `hk3s-bootstrap` in fresh processes without importing it anew: one fork a line of input.

A line is `{"argv", "environment", "directory", "stdout", "stderr"}`; the answers are
`{"pid"}` at once and `{"status"}`, as of waitpid, when that process has ended.
"""

import json
import os
import sys
import time
from functools import partial
from typing import Any
from unittest import mock

from forks import dress, end_with
from hk3s_bootstrap.cli import main

SHORTER = 50.0
"""Divides the pauses between the SDK's own attempts: no test is about their length."""


def run(order: dict[str, Any]) -> None:
    """Run the command as it is ordered."""
    os.chdir(order["directory"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    logs = {n: os.open(order[name], flags, 0o600) for n, name in ((1, "stdout"), (2, "stderr"))}
    dress(order, "hk3s-bootstrap", logs)
    main()


def serve() -> None:
    """Answer lines until there are no more."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            end_with(partial(run, json.loads(line)))
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201 - the protocol
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": status}), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    pause = time.sleep  # noqa: TID251 - the SDK's, which blocks its own threads
    with mock.patch("hcloud._client.time.sleep", lambda seconds: pause(seconds / SHORTER)):
        serve()
