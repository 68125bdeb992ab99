"""Runs `hk3s-autoscaler` in fresh processes without importing it anew: one fork an order.

A line `{"argv", "environment", "stderr", "exec", "patient"}` is answered by `{"pid"}`, a line
`{"wait": pid}` by `{"status"}`, as of waitpid, when that process has ended. `exec` starts the
command as a user would, with arguments that others see; a `patient` process holds on to its Lease
on a machine too busy to renew it in time.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from forks import dress, end_with
from hk3s_autoscaler.cli import main
from hk3s_kube.lease import LeaseTimes

PATIENT = partial(LeaseTimes, duration=120.0, renew_deadline=100.0, request=30.0)


def run(order: dict[str, Any]) -> None:
    """Run the command as it is ordered."""
    log = os.open(order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    dress(order, "hk3s-autoscaler", {1: log, 2: log})
    if order["exec"]:
        program = str(Path(sys.executable).with_name("hk3s-autoscaler"))
        os.execv(program, [program, *sys.argv[1:]])  # noqa: S606 - no shell
    with mock.patch("hk3s_kube.lease.LeaseTimes", PATIENT if order["patient"] else LeaseTimes):
        main()


def serve() -> None:
    """Answer lines until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = {"status": os.waitpid(order["wait"], 0)[1]}
        else:
            answer = {"pid": os.fork()}
            if answer["pid"] == 0:
                end_with(partial(run, order))
        print(json.dumps(answer), flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    serve()
