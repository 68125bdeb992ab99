#!/usr/bin/env python3
"""report STEP STATE ATTEMPT [ERROR MESSAGE]: record where this machine is on its way to Ready."""

import json
import os
import pathlib
import sys
import time


def main(
    step: str, state: str, attempt: str, error: str | None = None, message: str | None = None
) -> None:
    """Write status.json, the answer of the status port, at once and whole."""
    run = pathlib.Path(os.environ.get("HK3S_RUN", "/run/hk3s"))
    timer = run / "timer.json"
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    known = json.loads(timer.read_text()) if timer.exists() else {"began": {}, "steps": {}}
    began = known["began"].setdefault(step, now)
    if state == "done":
        known["steps"][step] = round(now - began, 1)
    status = {
        "schema": 1,
        "name": os.environ["HK3S_NAME"],
        "role": os.environ["HK3S_ROLE"],
        "step": step,
        "state": state,
        "error": error,
        "message": message,
        "attempt": int(attempt),
        "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "steps": known["steps"],
    }
    for path, content in ((timer, known), (run / "status.json", status)):
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content))
        new.chmod(0o644)
        new.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
